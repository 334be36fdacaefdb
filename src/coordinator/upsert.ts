import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { AttributeChecker, type CheckedAttributes } from './attribute-schema.ts';
import { checkNumberOfAttributes } from './attribute-values.ts';
import type { IndexData } from './build.ts';
import { type QuerySource, vectorShape, writeVector } from './call.ts';
import type { CheckedRows } from './changes.ts';
import { eachSlice } from './each-slice.ts';
import { type EncodedSlot, EncodeWork, ROWS_PER_SLOT } from './encode-work.ts';
import { checkId, duplicateId, wrongNumberOfIds } from './id-column.ts';
import type { IdLookup } from './id-lookup.ts';
import { isVector, rowSource } from './inputs.ts';
import { placeEncoder } from './place-encoder.ts';
import { hashId, RowTable } from './row-table.ts';
import { RowWriter } from './row-writer.ts';
import { MAX_ROWS, type Place } from './rows.ts';
import type { Serving } from './serving.ts';
import type { Id, UpsertResult } from './types.ts';

/** Adds vectors to an index that is being searched. */
export class Upserter {
  readonly #data: IndexData;
  readonly #serving: Serving;
  readonly #writer: RowWriter;

  constructor(data: IndexData, serving: Serving, kernels: KernelSource) {
    this.#data = data;
    this.#serving = serving;
    placeEncoder(data, kernels);
    this.#writer = new RowWriter(data, kernels);
  }

  /** Adds what was checked; vectors with the same ids are deleted at the same time. If it throws, nothing has changed. */
  async upsert({ ids, row, attributes }: CheckedRows, lookup: IdLookup): Promise<UpsertResult> {
    const { rows } = this.#data;
    const first = rows.count;
    if (first + ids.length > MAX_ROWS) {
      const message = `an index numbers at most ${MAX_ROWS} vectors over time; build it anew`;
      throw new ScanneryError('SCANNERY_NOT_SUPPORTED', message, { value: first + ids.length });
    }
    const replaced: Place[] = [];
    try {
      await this.#writeAll(ids.length, row, attributes);
      await eachSlice(ids.length, (i) => {
        const place = lookup.find(ids[i]!);
        if (place !== undefined) replaced.push(place);
      });
      await rows.reserve(replaced);
    } catch (error) {
      this.#writer.undo();
      throw error;
    }
    await eachSlice(ids.length, (i) => {
      this.#data.ids.set(first + i, ids[i]!);
      lookup.add(first + i);
    });
    await rows.commit(replaced, ids.length);
    this.#writer.committed();
    return { inserted: ids.length - replaced.length, updated: replaced.length };
  }

  /** Encodes and writes; the workers encode the next vectors while this thread writes the last ones. */
  async #writeAll(count: number, row: QuerySource['row'], attributes: CheckedRows['attributes']): Promise<void> {
    // So few at once that a search waits for one or two slots per worker.
    const perStep = ROWS_PER_SLOT * this.#serving.threadCount;
    let coming = this.#encode(row, 0, Math.min(perStep, count));
    for (let end = perStep; ; end += perStep) {
      const encoded = await coming;
      const last = end >= count;
      if (!last) {
        coming = this.#encode(row, end, Math.min(perStep, count - end));
        // Writing may fail before anybody waits for it.
        coming.catch(() => {});
      }
      for (const slot of encoded) await this.#writer.write(slot, attributes);
      if (last) return;
    }
  }

  #encode(row: QuerySource['row'], first: number, size: number): Promise<EncodedSlot[]> {
    return this.#serving.run(
      new EncodeWork(row, { first, size }, this.#writer.form, vectorShape(this.#data)),
      undefined,
    );
  }
}

/**
 * Checks what is to be upserted.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID, SCANNERY_DUPLICATE_ID
 */
export async function checkRows(input: unknown, data: IndexData): Promise<CheckedRows> {
  if (typeof input !== 'object' || input === null) throw invalid('input', input, 'an object with vectors and ids');
  const { vectors, ids, attributes } = input as { vectors?: unknown; ids?: unknown; attributes?: unknown };
  if (!isVector(ids)) throw invalid('ids', ids, 'an array or typed array of ids');
  const { count, row } = rowSource(vectors, data.dimensions, 'vectors');
  if (ids.length !== count) throw wrongNumberOfIds(ids.length, count, 0);
  if (attributes !== undefined) {
    if (!Array.isArray(attributes)) throw invalid('attributes', attributes, 'an array');
    checkNumberOfAttributes(attributes, count, 0);
  }
  const checker = new AttributeChecker(data.attributes.schema);
  const checkedAttributes: CheckedAttributes[] = [];
  const checked: Id[] = [];
  const seen = new RowTable((i) => hashId(checked[i]!), count);
  const scratch = new Float32Array(data.stride);
  const shape = vectorShape(data);
  await eachSlice(count, (i) => {
    const id: unknown = ids[i];
    checkId(id, i, 'id');
    const earlier = seen.find(hashId(id), (other) => checked[other] === id);
    if (earlier !== -1) throw duplicateId(i, id, earlier);
    checked.push(id);
    seen.add(i, hashId(id));
    writeVector(row(i), `row ${i}`, i, shape, scratch, 0);
    if (attributes !== undefined) checkedAttributes.push(checker.check(attributes[i], i));
  });
  return { ids: checked, row, attributes: attributes === undefined ? undefined : checkedAttributes };
}
