import type { IndexHealth } from '../../coordinator/types.ts';
import { health } from '../api.ts';
import { Drawing } from '../drawing.tsx';
import { integer, percent, short } from '../format.ts';
import { ErrorMessage, Figure, Panel } from '../panel.tsx';
import { ticks } from '../timeline.ts';
import { useAnswer } from '../use-answer.ts';

export function LeavesPanel({ isReady }: { isReady: boolean }) {
  const { value, error, isBusy, ask } = useAnswer(health, isReady);
  const refresh = (
    <button type="button" class="quiet" disabled={!isReady} aria-disabled={isBusy} onClick={() => void ask(health)}>
      {isBusy ? 'Looking…' : 'Refresh'}
    </button>
  );
  return (
    <Panel id="leaves" title="Leaf sizes" note="How vectors lie in the leaves of the tree" actions={refresh}>
      <ErrorMessage error={error} />
      {value && <Health health={value} />}
    </Panel>
  );
}

function Health({ health: { leaves, deleted, changed, drift } }: { health: IndexHealth }) {
  return (
    <>
      <dl class="figures">
        <Figure name="Leaves" value={integer(leaves.count)} note={`${integer(leaves.empty)} empty`} />
        <Figure name="Median size" value={integer(leaves.median)} note={`${leaves.smallest} to ${leaves.largest}`} />
        <Figure name="Imbalance" value={short(leaves.imbalance)} note="1 is even, 2 scans twice as much" />
        <Figure name="Drift" value={short(drift)} note="above 1: new vectors suit less" />
        <Figure name="Changed" value={percent(changed)} note={`since the build; ${integer(deleted)} deleted`} />
      </dl>
      {leaves.histogram.length === 0 ? (
        <p class="empty">This index has neither tree nor hashing, hence no leaves.</p>
      ) : (
        <Bars histogram={leaves.histogram} />
      )}
    </>
  );
}

const [HEIGHT, LEFT, RIGHT, BOTTOM] = [150, 36, 4, 36];

function Bars({ histogram }: { histogram: IndexHealth['leaves']['histogram'] }) {
  const most = Math.max(...histogram.map(({ leaves }) => leaves));
  const y = (leaves: number): number => 8 + (HEIGHT - BOTTOM - 8) * (1 - leaves / most);
  return (
    <figure>
      <Drawing height={HEIGHT} label="Leaves by size; the table below has the numbers">
        {(width) => {
          const step = (width - LEFT - RIGHT) / histogram.length;
          // Every second or third size where all would not fit.
          const every = Math.ceil(38 / step);
          return (
            <>
              {ticks(0, most, 4).map((leaves) => (
                <g key={leaves}>
                  <line class="grid" x1={LEFT} x2={width - RIGHT} y1={y(leaves)} y2={y(leaves)} />
                  <text class="mark" x={LEFT - 6} y={y(leaves) + 4} text-anchor="end">
                    {short(leaves)}
                  </text>
                </g>
              ))}
              {histogram.map(({ from, to, leaves }, i) => (
                <g key={from}>
                  <rect class="bar" x={LEFT + i * step + 1} y={y(leaves)} width={step - 2} height={y(0) - y(leaves)}>
                    <title>{`${leaves} leaves of ${from} to ${to} vectors`}</title>
                  </rect>
                  {i % every === 0 && (
                    <text class="mark" x={LEFT + i * step + 1} y={HEIGHT - BOTTOM + 15}>
                      {short(from)}
                    </text>
                  )}
                </g>
              ))}
              <text class="mark" x={(LEFT + width) / 2} y={HEIGHT - 4} text-anchor="middle">
                vectors in a leaf; height: leaves
              </text>
            </>
          );
        }}
      </Drawing>
      <details>
        <summary>Sizes as a table</summary>
        <table class="numbers">
          <thead>
            <tr>
              <th scope="col">Vectors in a leaf</th>
              <th scope="col">Leaves</th>
            </tr>
          </thead>
          <tbody>
            {histogram.map(({ from, to, leaves }) => (
              <tr key={from}>
                <th scope="row">
                  {integer(from)} to {integer(to)}
                </th>
                <td>{integer(leaves)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
