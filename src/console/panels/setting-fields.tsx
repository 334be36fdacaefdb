import type { IndexStats } from '../../coordinator/types.ts';
import { parseFilter } from '../filter-text.ts';
import type { Settings } from '../settings.ts';

interface SettingFieldsProps {
  stats: IndexStats | undefined;
  settings: Settings;
  filter: string;
  onSettings: (settings: Settings) => void;
  onFilter: (filter: string) => void;
}

const FIELDS = [
  { name: 'k', label: 'k', note: 'results wanted' },
  { name: 'numLeavesToSearch', label: 'Leaves', note: 'searched' },
  { name: 'numReorderingCandidates', label: 'Candidates', note: 'scored exactly' },
] as const;

/** How much is searched, and among what. */
export function SettingFields({ stats, settings, filter, onSettings, onFilter }: SettingFieldsProps) {
  const { problem } = parseFilter(filter);
  return (
    <>
      <div class="row thirds">
        {FIELDS.map(({ name, label, note }) => (
          <div class="field" key={name}>
            <label for={name}>{label}</label>
            <input
              id={name}
              type="number"
              min={1}
              step={1}
              inputMode="numeric"
              placeholder={stats ? String(stats.config.defaults[name]) : ''}
              value={settings[name]}
              aria-describedby={`${name}-note`}
              onInput={(event) => onSettings({ ...settings, [name]: event.currentTarget.value })}
            />
            <span id={`${name}-note`} class="muted">
              {note}
            </span>
          </div>
        ))}
      </div>
      <div class="field">
        <label for="filter">Filter</label>
        <textarea
          id="filter"
          rows={2}
          spellcheck={false}
          placeholder='{"allow": {"genre": ["drama"]}, "range": {"year": {"gte": 1990}}}'
          value={filter}
          aria-invalid={problem !== undefined}
          aria-describedby="filter-note"
          onInput={(event) => onFilter(event.currentTarget.value)}
        />
        <span id="filter-note" role="status" class={problem ? 'bad' : 'muted'}>
          {problem ??
            (filter.trim() === '' ? 'JSON: allow, deny, range, and, or, not; blank for none' : 'A good filter')}
        </span>
      </div>
    </>
  );
}
