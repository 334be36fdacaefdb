import { loadPeer } from './peer-package.ts';

interface ArrowModule {
  Int32: new () => unknown;
  Float32: new () => unknown;
  FixedSizeList: new (size: number, item: unknown) => unknown;
  Struct: new (fields: readonly unknown[]) => unknown;
  Field: new (name: string, type: unknown, nullable: boolean) => unknown;
  Schema: new (fields: readonly unknown[]) => { fields: readonly unknown[] };
  RecordBatch: new (schema: unknown, data: unknown) => unknown;
  Table: new (schema: unknown, batches: readonly unknown[]) => unknown;
  makeData(props: Record<string, unknown>): unknown;
}

/** The columns `id` and `vector` around the arrays as they are: as records, each number would be boxed. */
export function arrowTable(ids: Int32Array, vectors: Float32Array, dimensions: number): unknown {
  const arrow = loadPeer<ArrowModule>('apache-arrow');
  const { length } = ids;
  const [int32, float32] = [new arrow.Int32(), new arrow.Float32()];
  const listType = new arrow.FixedSizeList(dimensions, new arrow.Field('item', float32, true));
  const child = arrow.makeData({ type: float32, data: vectors });
  const children = [
    arrow.makeData({ type: int32, data: ids }),
    arrow.makeData({ type: listType, length, nullCount: 0, child }),
  ];
  const schema = new arrow.Schema([new arrow.Field('id', int32, false), new arrow.Field('vector', listType, false)]);
  const data = arrow.makeData({ type: new arrow.Struct(schema.fields), length, nullCount: 0, children });
  return new arrow.Table(schema, [new arrow.RecordBatch(schema, data)]);
}
