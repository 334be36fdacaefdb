/** What a search is to use, as it stands in its fields: blank is the index's default. */
export interface Settings {
  readonly k: string;
  readonly numLeavesToSearch: string;
  readonly numReorderingCandidates: string;
}

export const NO_SETTINGS: Settings = { k: '', numLeavesToSearch: '', numReorderingCandidates: '' };

/** The numbers of fields that are not blank. What is no number goes as it is, for the server to say what is wrong with it. */
export function numbersOf(settings: Settings): Record<string, number> {
  const given = Object.entries(settings).filter(([, text]) => text.trim() !== '');
  return Object.fromEntries(given.map(([name, text]) => [name, Number(text)]));
}
