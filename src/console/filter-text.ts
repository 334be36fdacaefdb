import { type Filter, filter } from '../protocol/filter.ts';

/** A filter, or what is wrong with its text; neither if the text is blank. */
export interface FilterText {
  readonly filter?: Filter;
  readonly problem?: string;
}

/** Reads a filter as the index would; what it refuses here, it would refuse there. */
export function parseFilter(text: string): FilterText {
  if (text.trim() === '') return {};
  try {
    return { filter: filter(JSON.parse(text), 'filter') };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
