import { join } from 'node:path';
import type { OpenedWith } from '../../coordinator/companion.ts';
import { openIndexWith, saveIndexWith } from '../../coordinator/vector-index.ts';
import { type OptionTable, resolveOptions } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { READ, type ReadOptions } from '../../protocol/live-options.ts';
import { type QueryModel, queryModel } from '../model/features.ts';
import { decoded } from '../model/saved-towers.ts';
import { Tower } from '../model/tower.ts';
import { openTower, type TowerMeta, towerParts } from '../model/tower-parts.ts';
import { type IdentifierParts, type Identifiers, openIdentifiers } from './identifiers.ts';

// One artefact: the files of the layer's index, and beside them one with the query tower, its vocabularies and the identifiers.

const NAME = 'recommender.scannery';
const KIND = 'recommender';

export interface LoadOptions extends ReadOptions {
  /** The query model, for an artefact that was saved with one that is no `Tower`. */
  queryModel?: QueryModel | undefined;
}

const LOAD: OptionTable<LoadOptions> = {
  ...READ,
  queryModel: { default: undefined, check: queryModel },
};

/** What the file's header says. */
interface Meta {
  readonly layer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly identifiers: Omit<IdentifierParts, 'sections'> | null;
  /** 'none', 'external' for a model that is no Tower, or the tower's shape. */
  readonly queryModel: TowerMeta | 'none' | 'external';
}

/** A layer as it was saved. */
export interface SavedLayer {
  readonly layer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly index: OpenedWith['index'];
  readonly identifiers: Identifiers | null;
}

/** Saves a layer by the name of its class. */
export async function saveLayer(
  directory: string,
  layer: string,
  options: { readonly queryModel?: QueryModel | undefined; readonly threads?: number | undefined },
  { index, identifiers }: { index: OpenedWith['index']; identifiers: Identifiers | null },
): Promise<void> {
  // How many threads serve is for whoever loads it to say.
  const { queryModel, threads: _, ...others } = options;
  const plain = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
  const ids = identifiers?.parts();
  const tower = queryModel instanceof Tower ? towerParts(queryModel) : null;
  const meta: Meta = {
    layer,
    options: plain,
    identifiers: ids === undefined ? null : { kind: ids.kind, distinct: ids.distinct, size: ids.size },
    queryModel: tower?.meta ?? (queryModel === undefined ? 'none' : 'external'),
  };
  const parts = [...(ids?.sections ?? []), ...(tower?.parts ?? [])];
  await saveIndexWith(index, directory, { name: NAME, kind: KIND, meta: { ...meta }, parts });
}

/** Opens what `saveLayer` saved. */
export async function openLayer(directory: string, options: LoadOptions): Promise<SavedLayer> {
  const { queryModel: given, ...opening } = resolveOptions(LOAD, options);
  const { index, meta, parts } = await openIndexWith(directory, opening, NAME, KIND);
  try {
    const saved = decoded(join(directory, NAME), () => {
      const { layer, options, identifiers, queryModel } = meta as unknown as Meta;
      const ids = identifiers === null ? null : openIdentifiers({ ...identifiers, sections: take(parts, identifiers) });
      const { size, deleted } = index.stats();
      if (ids !== null && ids.size !== size + deleted) throw new RangeError(`${ids.size} identifiers`);
      const own = typeof queryModel === 'object' ? openTower(queryModel, parts) : undefined;
      const model = given ?? own;
      const needsModel = model === undefined && queryModel === 'external';
      return {
        ...{ layer, index, identifiers: ids, needsModel },
        options: { ...options, queryModel: model, threads: opening.threads },
      };
    });
    if (saved.needsModel) throw modelIsMissing();
    return saved;
  } catch (error) {
    await index.close();
    throw error;
  }
}

function take(parts: Uint8Array[], { kind }: Omit<IdentifierParts, 'sections'>): Uint8Array[] {
  return parts.splice(0, kind === 'text' ? 3 : 2);
}

function modelIsMissing(): ScanneryError {
  return new ScanneryError(
    'SCANNERY_INVALID_OPTION',
    'this artefact was saved with a query model that is no Tower; give it as `queryModel`',
    { option: 'queryModel', value: undefined },
  );
}
