import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { IndexStats } from '../../coordinator/types.ts';
import { ApiError, type SearchAnswer, type SearchRequest, search } from '../api.ts';
import { parseFilter } from '../filter-text.ts';
import { type IdKind, idOfLink, idsOf, kindOf, textOf } from '../id-text.ts';
import { ErrorMessage, Panel } from '../panel.tsx';
import { numbersOf, type Settings } from '../settings.ts';
import { describeVector, parseVector } from '../vector-text.ts';
import { QueryFields } from './query-fields.tsx';
import { Results } from './results.tsx';
import { SettingFields } from './setting-fields.tsx';

interface SearchPanelProps {
  stats: IndexStats | undefined;
  settings: Settings;
  onSettings: (settings: Settings) => void;
  onExplanation: (explanation: SearchAnswer['explanation']) => void;
}

/** What is asked for, as it stands in the fields. */
export interface Query {
  readonly by: 'id' | 'vector';
  readonly id: string;
  readonly kind: IdKind;
  readonly vector: string;
}

interface Outcome {
  readonly answer: SearchAnswer;
  readonly milliseconds: number;
}

export function SearchPanel({ stats, settings, onSettings, onExplanation }: SearchPanelProps) {
  const [query, setQuery] = useState<Query>({ by: 'id', id: '', kind: 'any', vector: '' });
  const [filter, setFilter] = useState('');
  const [explains, setExplains] = useState(true);
  const [isBusy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const [error, setError] = useState<ApiError>();
  const running = useRef<AbortController>(undefined);

  const run = async (asked: Query): Promise<void> => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    const start = performance.now();
    try {
      const parsed = parseFilter(filter);
      if (parsed.problem !== undefined) throw local('filter', parsed.problem);
      const request: SearchRequest = {
        ...numbersOf(settings),
        ...(parsed.filter && { filter: parsed.filter }),
        explain: explains,
        attributes: true,
      };
      const answer = await ask(asked, request, stats?.dimensions, controller.signal);
      if (controller.signal.aborted) return;
      setOutcome({ answer, milliseconds: performance.now() - start });
      setError(undefined);
      onExplanation(answer.explanation);
    } catch (failure) {
      if (controller.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      setOutcome(undefined);
      setError(failure);
      onExplanation(undefined);
    } finally {
      if (running.current === controller) setBusy(false);
    }
  };

  // An address with an id, from a result or from elsewhere, searches for it.
  const latest = useRef(run);
  latest.current = run;
  const follow = useCallback(() => {
    const id = idOfLink(location.hash);
    if (id === undefined) return;
    const asked: Query = { by: 'id', id: textOf(id), kind: kindOf(id), vector: '' };
    setQuery((before) => ({ ...asked, vector: before.vector }));
    void latest.current(asked);
  }, []);
  const isReady = stats !== undefined;
  useEffect(() => {
    if (!isReady) return;
    follow();
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, [isReady, follow]);

  const submit = (event: Event): void => {
    event.preventDefault();
    void run(query);
  };

  return (
    <Panel id="search" title="Search" note="Nearest vectors of a stored id, or of a vector">
      <form onSubmit={submit} class="query" noValidate>
        <QueryFields query={query} dimensions={stats?.dimensions} onQuery={setQuery} />
        <SettingFields stats={stats} settings={settings} filter={filter} onSettings={onSettings} onFilter={setFilter} />
        <div class="row middle">
          <button type="submit" class="primary">
            Search
          </button>
          <label class="check">
            <input type="checkbox" checked={explains} onChange={(event) => setExplains(event.currentTarget.checked)} />
            Explain
          </label>
          <span role="status" class="muted">
            {isBusy ? 'Searching…' : outcome && described(outcome)}
          </span>
        </div>
      </form>
      <ErrorMessage error={error} />
      {outcome && <Results answer={outcome.answer} metric={stats?.metric} />}
    </Panel>
  );
}

function described({ answer, milliseconds }: Outcome): string {
  const count = answer.ids.length;
  return `${count} ${count === 1 ? 'result' : 'results'} in ${milliseconds.toFixed(1)} ms, to the server and back`;
}

/** What is wrong with a field is told as the server would. */
const local = (option: string, message: string): ApiError => new ApiError(400, { code: 'Not sent:', message, option });

/** Searches by a vector, or by each id that a text can mean, until there is one. */
async function ask(
  { by, id, kind, vector }: Query,
  request: SearchRequest,
  dimensions: number | undefined,
  signal: AbortSignal,
): Promise<SearchAnswer> {
  if (by === 'vector') {
    const parsed = parseVector(vector);
    const described = describeVector(vector, dimensions);
    if ('problem' in parsed || !described.isGood) throw local('vector', described.message);
    return search({ ...request, vector: parsed.numbers }, signal);
  }
  const ids = idsOf(id, kind);
  for (const [i, one] of ids.entries()) {
    try {
      return await search({ ...request, id: one }, signal);
    } catch (error) {
      const isLast = i === ids.length - 1;
      if (isLast || !(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }
  throw local('id', id === '' ? 'give an id' : `'${id}' is no ${kind}`);
}
