import { useState } from 'preact/hooks';
import type { IndexStats } from '../coordinator/types.ts';
import { forgetToken } from './api.ts';
import { integer } from './format.ts';
import { chooseTheme, currentTheme } from './theme.ts';

export function Header({ stats, hasToken }: { stats: IndexStats | undefined; hasToken: boolean }) {
  const [theme, setTheme] = useState(currentTheme());
  const toggle = (): void => {
    const next = theme === 'dark' ? 'light' : 'dark';
    chooseTheme(next);
    setTheme(next);
  };
  const signOut = (): void => {
    forgetToken();
    location.reload();
  };
  return (
    <header class="top">
      <h1>
        scannery <span>console</span>
      </h1>
      {stats && (
        <dl class="facts" aria-label="The index">
          <Fact name="vectors" value={integer(stats.size)} />
          <Fact name="dimensions" value={integer(stats.dimensions)} />
          <Fact name="metric" value={stats.metric} />
          <Fact name="leaves" value={integer(stats.numLeaves)} />
          <Fact name="shards" value={integer(stats.shards.length)} />
          <Fact name="threads" value={`${integer(stats.threads)}, ${stats.kernels}`} />
        </dl>
      )}
      <div class="actions">
        {hasToken && (
          <button type="button" class="quiet" onClick={signOut}>
            Sign out
          </button>
        )}
        <button type="button" class="quiet" aria-pressed={theme === 'dark'} onClick={toggle}>
          Dark
        </button>
      </div>
    </header>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);
