import type { SearchAnswer } from '../api.ts';
import { Drawing } from '../drawing.tsx';
import { integer, microseconds, short } from '../format.ts';
import { Figure, Panel, Scroll } from '../panel.tsx';
import { type Lane, layOut, type Stage, ticks } from '../timeline.ts';

type Account = NonNullable<SearchAnswer['explanation']>;

const METHODS: Record<Account['method'], string> = {
  exact: 'every vector scored',
  tree: 'vectors of the leaves scored',
  hashed: 'codes scanned, best reordered',
  codes: 'codes scanned only',
};
const STAGES: readonly Stage[] = ['prepare', 'scan', 'reorder', 'merge'];

export function ExplainPanel({ explanation }: { explanation: Account | undefined }) {
  return (
    <Panel id="explain" title="Explain" note="How the last answer was found">
      {explanation ? (
        <Account account={explanation} />
      ) : (
        <p class="empty">Search with “Explain” ticked to see it here.</p>
      )}
    </Panel>
  );
}

function Account({ account }: { account: Account }) {
  const { method, leaves, codesScanned, candidates, reordered, filter } = account;
  return (
    <>
      <dl class="figures">
        <Figure name="Method" value={method} note={METHODS[method]} />
        <Figure name="Kernel time" value={microseconds(account.microseconds.total)} note="over all threads" />
        <Figure name="Leaves visited" value={integer(leaves.length)} note="nearest to the query" />
        <Figure name="Codes scanned" value={integer(codesScanned)} note="4-bit codes compared" />
        <Figure name="Candidates" value={integer(candidates)} note="kept by the shards" />
        <Figure name="Reordered" value={integer(reordered)} note="scored exactly" />
        {filter && (
          <Figure
            name="Filter"
            value={filter.strategy}
            note={`about ${integer(filter.estimatedMatches)} vectors match`}
          />
        )}
      </dl>
      <Timeline account={account} />
      <details>
        <summary>Times as a table</summary>
        <ShardTable account={account} />
      </details>
      {leaves.length > 0 && (
        <details>
          <summary>Leaves visited, best first</summary>
          <p class="leaf-list">{leaves.join(', ')}</p>
        </details>
      )}
    </>
  );
}

const [LEFT, RIGHT, ROW, BAR] = [64, 16, 20, 12];

function Timeline({ account }: { account: Account }) {
  const { lanes, length, hidden } = layOut(account);
  const height = lanes.length * ROW + 26;
  const { microseconds: times } = account;
  const summary = STAGES.map((stage) => `${stage} ${microseconds(times[stage])}`).join(', ');
  return (
    <figure>
      <Drawing height={height} label={`Timeline: ${summary}`}>
        {(width) => {
          const x = (time: number): number => LEFT + ((width - LEFT - RIGHT) * time) / Math.max(length, 1e-9);
          return (
            <>
              {ticks(0, length, width > 450 ? 6 : 3).map((time) => (
                <g key={time}>
                  <line class="grid" x1={x(time)} x2={x(time)} y1={0} y2={height - 22} />
                  <text class="mark" x={x(time)} y={height - 8} text-anchor="middle">
                    {short(time)}
                  </text>
                </g>
              ))}
              {lanes.map((lane, i) => (
                <LaneBars key={lane.name} lane={lane} y={i * ROW + 4} x={x} />
              ))}
            </>
          );
        }}
      </Drawing>
      <figcaption>
        <ul class="legend">
          {STAGES.map((stage) => (
            <li key={stage}>
              <span class={`swatch ${stage}`} /> {stage} {microseconds(times[stage])}
            </li>
          ))}
        </ul>
        <p class="muted">
          Microseconds in kernels; shards are drawn as if each had a thread of its own.
          {hidden > 0 && ` ${hidden} shards that took least are left out.`}
        </p>
      </figcaption>
    </figure>
  );
}

const LaneBars = ({ lane, y, x }: { lane: Lane; y: number; x: (time: number) => number }) => (
  <g>
    <text class="mark" x={LEFT - 8} y={y + BAR - 2} text-anchor="end">
      {lane.name}
    </text>
    {lane.spans.map(({ stage, from, to }) => (
      <rect key={stage} class={stage} x={x(from)} y={y} width={Math.max(1.5, x(to) - x(from))} height={BAR} rx={2}>
        <title>{`${lane.name}, ${stage}: ${microseconds(to - from)}`}</title>
      </rect>
    ))}
  </g>
);

function ShardTable({ account: { shards, microseconds: times } }: { account: Account }) {
  return (
    <Scroll name="Times of each shard">
      <table class="numbers">
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Codes</th>
            <th scope="col">Candidates</th>
            <th scope="col">Reordered</th>
            <th scope="col">Scan, µs</th>
            <th scope="col">Reorder, µs</th>
          </tr>
        </thead>
        <tbody>
          {shards.map((shard, i) => (
            <tr key={i}>
              <th scope="row">shard {i}</th>
              <td>{integer(shard.codesScanned)}</td>
              <td>{integer(shard.candidates)}</td>
              <td>{integer(shard.reordered)}</td>
              <td>{short(shard.scanMicroseconds)}</td>
              <td>{short(shard.reorderMicroseconds)}</td>
            </tr>
          ))}
          {(['prepare', 'merge'] as const).map((stage) => (
            <tr key={stage}>
              <th scope="row">{stage}</th>
              <td colSpan={5}>{short(times[stage])} µs</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
