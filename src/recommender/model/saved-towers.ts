import { join } from 'node:path';
import { openCompanion } from '../../coordinator/open.ts';
import { saveCompanion } from '../../coordinator/save.ts';
import { damaged } from '../../protocol/file-format.ts';
import type { Tower } from './tower.ts';
import { openTower, type TowerMeta, towerParts } from './tower-parts.ts';

const FILE = { name: 'towers.scannery', kind: 'two-tower model' };

interface TowersMeta {
  readonly query: TowerMeta;
  readonly candidate: TowerMeta;
}

/** Saves two towers, without an index. */
export async function saveTowers(directory: string, query: Tower, candidate: Tower): Promise<void> {
  const [q, c] = [towerParts(query), towerParts(candidate)];
  await saveCompanion(directory, {
    ...FILE,
    meta: { query: q.meta, candidate: c.meta },
    parts: [...q.parts, ...c.parts],
  });
}

export async function openTowers(directory: string): Promise<{ queryTower: Tower; candidateTower: Tower }> {
  const { meta, parts } = await openCompanion(directory, FILE, { verifyChecksums: true });
  return decoded(join(directory, FILE.name), () => {
    const { query, candidate } = meta as unknown as TowersMeta;
    return { queryTower: openTower(query, parts), candidateTower: openTower(candidate, parts) };
  });
}

/** Whatever goes wrong while parts that passed their checksums are put together is damage, too. */
export function decoded<T>(path: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw damaged(path, 'a part of it', cause);
  }
}
