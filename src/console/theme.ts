/** Colours of the page. */
export type Theme = 'light' | 'dark';

const KEY = 'scannery.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

/** Those chosen here, or else those of the system. */
export function currentTheme(): Theme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return system.matches ? 'dark' : 'light';
}

const apply = (): void => {
  document.documentElement.dataset.theme = currentTheme();
};

export function startTheme(): void {
  apply();
  system.addEventListener('change', apply);
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  apply();
}

/** Calls back when the colours change; returns what ends that. */
export function onTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  return () => observer.disconnect();
}

/** A colour of the style sheet as it is now, for what is drawn on a canvas. */
export function colourOf(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
