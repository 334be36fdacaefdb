import type { Attributes } from '../../protocol/filter.ts';
import type { Metric } from '../../protocol/metrics.ts';
import type { SearchAnswer } from '../api.ts';
import { kindOf, linkTo, textOf } from '../id-text.ts';
import { Scroll } from '../panel.tsx';

const SCORES: Record<Metric, string> = {
  dot_product: 'dot product, larger is nearer',
  cosine: 'cosine, 1 is the same direction',
  squared_l2: 'squared distance, smaller is nearer',
};

/** The answer of a search. Each id is a link that searches for it. */
export function Results({ answer, metric }: { answer: SearchAnswer; metric: Metric | undefined }) {
  const { ids, scores, attributes = [] } = answer;
  if (ids.length === 0) return <p class="empty">Nothing matches.</p>;
  const hasAttributes = attributes.some((some) => some !== null && Object.keys(some).length > 0);
  return (
    <Scroll name="Results">
      <table class="results">
        <caption>Score: {metric ? SCORES[metric] : 'the value of the metric'}</caption>
        <thead>
          <tr>
            <th scope="col">#</th>
            <th scope="col">Id</th>
            <th scope="col">Score</th>
            {hasAttributes && <th scope="col">Attributes</th>}
          </tr>
        </thead>
        <tbody>
          {ids.map((id, i) => (
            <tr key={linkTo(id)}>
              <td>{i + 1}</td>
              <td>
                <a href={linkTo(id)} title="Search for its neighbours">
                  {textOf(id)}
                </a>
                {kindOf(id) === 'bigint' && <span class="tag">bigint</span>}
              </td>
              <td>{scores[i]!.toFixed(4)}</td>
              {hasAttributes && (
                <td>
                  <AttributeList attributes={attributes[i] ?? {}} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const AttributeList = ({ attributes }: { attributes: Attributes }) => (
  <span class="attributes">
    {Object.entries(attributes).map(([name, value]) => (
      <span key={name}>
        <span class="muted">{name}</span> {Array.isArray(value) ? value.join(', ') : String(value)}
      </span>
    ))}
  </span>
);
