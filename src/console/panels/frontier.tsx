import { useState } from 'preact/hooks';
import type { FrontierPoint, IndexStats } from '../../coordinator/types.ts';
import { type Frontier, frontier, tune } from '../api.ts';
import { integer, microseconds, percent } from '../format.ts';
import { ErrorMessage, Panel, Scroll } from '../panel.tsx';
import type { Settings } from '../settings.ts';
import { useAnswer } from '../use-answer.ts';
import { FrontierChart } from './frontier-chart.tsx';

interface FrontierPanelProps {
  stats: IndexStats | undefined;
  settings: Settings;
  onSettings: (settings: Settings) => void;
}

const perSecond = ({ microsecondsPerQuery }: FrontierPoint): number => 1e6 / microsecondsPerQuery;

export function FrontierPanel({ stats, settings, onSettings }: FrontierPanelProps) {
  const [target, setTarget] = useState('0.95');
  const [k, setK] = useState('10');
  const { value, error, isBusy, ask } = useAnswer(frontier, stats !== undefined);
  const choose = ({ numLeavesToSearch, numReorderingCandidates }: FrontierPoint): void =>
    onSettings({
      ...settings,
      numLeavesToSearch: String(numLeavesToSearch),
      numReorderingCandidates: String(numReorderingCandidates),
    });
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!isBusy) void ask(() => tune(Number(target), Number(k)));
  };
  return (
    <Panel id="frontier" title="Frontier" note="What recall costs: the settings that no other beats in both">
      <form class="row end" onSubmit={submit}>
        <div class="field narrow">
          <label for="target">Target recall</label>
          <input
            id="target"
            inputMode="decimal"
            value={target}
            onInput={(event) => setTarget(event.currentTarget.value)}
          />
        </div>
        <div class="field narrow">
          <label for="tune-k">at k</label>
          <input id="tune-k" inputMode="numeric" value={k} onInput={(event) => setK(event.currentTarget.value)} />
        </div>
        <button type="submit" aria-disabled={isBusy}>
          {isBusy ? 'Tuning…' : 'Tune, and make it the default'}
        </button>
        <span role="status" class="muted">
          {isBusy ? 'Searches go on; this takes seconds to minutes.' : value && chosen(value)}
        </span>
      </form>
      <ErrorMessage error={error} />
      {value ? (
        <Points frontier={value} settings={settings} onChoose={choose} />
      ) : (
        <p class="empty">Not tuned since the server began.</p>
      )}
    </Panel>
  );
}

const chosen = ({ numLeavesToSearch, numReorderingCandidates, recall, k, queries }: Frontier): string =>
  `Default: ${integer(numLeavesToSearch)} leaves, ${integer(numReorderingCandidates)} candidates; ` +
  `recall@${k} ${percent(recall)} over ${integer(queries)} queries`;

interface PointsProps {
  frontier: Frontier;
  settings: Settings;
  onChoose: (point: FrontierPoint) => void;
}

function Points({ frontier: { frontier: points, k, ...best }, settings, onChoose }: PointsProps) {
  const isChosen = ({ numLeavesToSearch, numReorderingCandidates }: FrontierPoint): boolean =>
    String(numLeavesToSearch) === settings.numLeavesToSearch &&
    String(numReorderingCandidates) === settings.numReorderingCandidates;
  return (
    <figure>
      <FrontierChart points={points} best={best} isChosen={isChosen} onChoose={onChoose} />
      <figcaption class="muted">
        Recall@{k} against queries per second of one thread. The orange point is the default; choose any to search with
        it.
      </figcaption>
      <details>
        <summary>Settings as a table</summary>
        <Scroll name="Settings of the frontier">
          <table class="numbers">
            <thead>
              <tr>
                <th scope="col">Leaves</th>
                <th scope="col">Candidates</th>
                <th scope="col">Recall@{k}</th>
                <th scope="col">Per query</th>
                <th scope="col">QPS, a thread</th>
              </tr>
            </thead>
            <tbody>
              {points.map((point) => (
                <tr key={`${point.numLeavesToSearch} ${point.numReorderingCandidates}`}>
                  <td>{integer(point.numLeavesToSearch)}</td>
                  <td>{integer(point.numReorderingCandidates)}</td>
                  <td>{percent(point.recall)}</td>
                  <td>{microseconds(point.microsecondsPerQuery)}</td>
                  <td>{integer(perSecond(point))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      </details>
    </figure>
  );
}
