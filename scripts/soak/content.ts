import type { Id } from '../../src/index.ts';
import type { Question } from './answer.ts';
import { checkSearch, shown, storedDiffers } from './check.ts';
import type { SoakedIndex } from './load.ts';
import type { Material } from './material.ts';
import type { Model } from './model.ts';

const SEARCHES = 20;

/** In what the whole content of an index, to which nobody writes, is not that of the model. */
export async function contentProblems(index: SoakedIndex, model: Model, material: Material): Promise<string[]> {
  const problems: string[] = [];
  const ids = new Set<Id>();
  let count = 0;
  for await (const id of index.ids()) {
    ids.add(id);
    count++;
  }
  if (count !== ids.size) problems.push(`${count} ids are listed, of which only ${ids.size} differ`);
  if (index.size !== model.size) problems.push(`the size is ${index.size}, not ${model.size}`);
  for (const id of ids) {
    if (model.at(id, model.submitted) === undefined) problems.push(`${shown(id)} is listed, which is not there`);
  }
  for (const place of model.latest()) {
    const id = model.ids[place]!;
    const wrong = storedDiffers(model, id, place, await index.get(id));
    if (wrong !== undefined) problems.push(wrong);
    if (!ids.has(id)) problems.push(`${shown(id)} is not listed`);
  }
  for (let i = 0; i < SEARCHES; i++) {
    const filter = i % 2 === 0 ? {} : { filter: material.filter() };
    const question: Question = { query: material.query(undefined), options: { k: 20, exact: true, ...filter } };
    const sight = { first: model.submitted, last: model.submitted };
    const { wrong } = checkSearch(model, question, sight, await index.search(question.query, question.options));
    if (wrong !== undefined) problems.push(wrong);
  }
  return problems;
}
