import type { IdKind } from '../id-text.ts';
import { describeVector } from '../vector-text.ts';
import type { Query } from './search.tsx';

interface QueryFieldsProps {
  query: Query;
  dimensions: number | undefined;
  onQuery: (query: Query) => void;
}

/** The id or the vector that is searched for. */
export function QueryFields({ query, dimensions, onQuery }: QueryFieldsProps) {
  const change = (changed: Partial<Query>): void => onQuery({ ...query, ...changed });
  const way = (by: Query['by'], name: string) => (
    <label class="check">
      <input type="radio" name="by" value={by} checked={query.by === by} onChange={() => change({ by })} />
      {name}
    </label>
  );
  return (
    <>
      <fieldset class="row">
        <legend>Search by</legend>
        {way('id', 'Stored id')}
        {way('vector', 'Vector')}
      </fieldset>
      {query.by === 'id' ? <IdFields query={query} change={change} /> : null}
      {query.by === 'vector' ? <VectorField query={query} dimensions={dimensions} change={change} /> : null}
    </>
  );
}

type Change = (changed: Partial<Query>) => void;

const IdFields = ({ query, change }: { query: Query; change: Change }) => (
  <div class="row">
    <div class="field grow">
      <label for="query-id">Id</label>
      <input
        id="query-id"
        type="text"
        autocomplete="off"
        spellcheck={false}
        placeholder="a word, a title, a number"
        value={query.id}
        onInput={(event) => change({ id: event.currentTarget.value })}
      />
    </div>
    <div class="field">
      <label for="id-kind">Kind of id</label>
      <select
        id="id-kind"
        value={query.kind}
        onChange={(event) => change({ kind: event.currentTarget.value as IdKind })}
      >
        <option value="any">any</option>
        <option value="string">text</option>
        <option value="integer">integer</option>
        <option value="bigint">bigint</option>
      </select>
    </div>
  </div>
);

function VectorField({ query, dimensions, change }: { query: Query; dimensions: number | undefined; change: Change }) {
  const { message, isGood } = describeVector(query.vector, dimensions);
  const isBad = query.vector.trim() !== '' && !isGood;
  return (
    <div class="field">
      <label for="query-vector">Vector</label>
      <textarea
        id="query-vector"
        rows={4}
        spellcheck={false}
        placeholder="[0.12, -0.4, …] or numbers with blanks or commas between them"
        value={query.vector}
        aria-invalid={isBad}
        aria-describedby="vector-note"
        onInput={(event) => change({ vector: event.currentTarget.value })}
      />
      <span id="vector-note" role="status" class={isBad ? 'bad' : 'muted'}>
        {message}
      </span>
    </div>
  );
}
