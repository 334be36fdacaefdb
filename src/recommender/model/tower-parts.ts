import { type IdKind, openIdColumn } from '../../coordinator/id-column.ts';
import { Dense } from './dense.ts';
import { Embedding } from './embedding.ts';
import { StringLookup } from './string-lookup.ts';
import { type FeatureLayers, Tower } from './tower.ts';

/** A tower's shape, as it is saved in a file's header. */
export interface TowerMeta {
  readonly features: readonly {
    readonly name: string | null;
    /** Null for a feature of integers. */
    readonly vocabulary: { readonly kind: IdKind; readonly size: number } | null;
    readonly inputDim: number;
    readonly outputDim: number;
  }[];
  readonly dense: readonly {
    readonly units: number;
    readonly activation: 'relu' | 'linear';
    readonly useBias: boolean;
  }[];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** What to save of a tower: its shape, and vocabularies and weights as bytes. */
export function towerParts(tower: Tower): { meta: TowerMeta; parts: Uint8Array[] } {
  tower.build(null);
  const parts: Uint8Array[] = [];
  const features = tower.features.map(({ name, lookup, embedding }) => {
    const column = lookup?.column();
    if (column !== undefined) parts.push(...column.parts());
    parts.push(bytesOf(embedding.getWeights()!));
    const vocabulary = column === undefined ? null : { kind: column.kind, size: column.size };
    return { name, vocabulary, inputDim: embedding.inputDim, outputDim: embedding.outputDim };
  });
  const dense = tower.layers.map((layer) => {
    parts.push(...layer.getWeights()!.map(bytesOf));
    return { units: layer.units, activation: layer.activation, useBias: layer.useBias };
  });
  return { meta: { features, dense }, parts };
}

/** The tower that was saved as these parts, which are taken off the front of the list. */
export function openTower(meta: TowerMeta, parts: Uint8Array[]): Tower {
  const next = (): Uint8Array => {
    const part = parts.shift();
    if (part === undefined) throw new RangeError('a part of a tower is missing');
    return part;
  };
  const floats = (): Float32Array => {
    const { buffer, byteOffset, byteLength } = next();
    return new Float32Array(buffer, byteOffset, byteLength / 4);
  };
  const chains = meta.features.map(({ vocabulary, inputDim, outputDim }): FeatureLayers => {
    const embedding = new Embedding(inputDim, outputDim);
    const words = vocabulary === null ? null : openVocabulary(vocabulary, next);
    embedding.setWeights(floats());
    return words === null ? [embedding] : [new StringLookup({ vocabulary: words }), embedding];
  });
  const dense = meta.dense.map(({ units, activation, useBias }) => {
    const layer = new Dense(units, { activation, useBias });
    layer.setWeights([floats(), floats()]);
    return layer;
  });
  if (meta.features[0]!.name === null) return new Tower(chains[0]!, dense);
  return new Tower(Object.fromEntries(meta.features.map(({ name }, i) => [name!, chains[i]!])), dense);
}

function openVocabulary({ kind, size }: { kind: IdKind; size: number }, next: () => Uint8Array): string[] {
  const parts = kind === 'text' ? [next(), next()] : [next()];
  const column = openIdColumn(kind, size, parts);
  return Array.from({ length: size }, (_, i) => column.at(i) as string);
}
