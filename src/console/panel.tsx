import type { ComponentChildren } from 'preact';
import type { ApiError } from './api.ts';

interface PanelProps {
  id: string;
  title: string;
  /** What it shows, in a few words. */
  note?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

export const Panel = ({ id, title, note, actions, children }: PanelProps) => (
  <section class="panel" id={id} aria-labelledby={`${id}-title`} tabIndex={-1}>
    <div class="panel-head">
      <h2 id={`${id}-title`}>{title}</h2>
      {note && <p class="muted">{note}</p>}
      {actions}
    </div>
    {children}
  </section>
);

/** A number with its name, and what it means. */
export const Figure = ({ name, value, note }: { name: string; value: string; note?: string }) => (
  <div class="figure">
    <dt>{name}</dt>
    <dd>{value}</dd>
    {note && <dd class="muted">{note}</dd>}
  </div>
);

/** What is wider than a small screen scrolls by itself, also by keyboard. */
export const Scroll = ({ name, children }: { name: string; children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be in reach of the keyboard
  <section class="scroll" aria-label={name} tabIndex={0}>
    {children}
  </section>
);

/** What the server said of a request that failed. */
export const ErrorMessage = ({ error }: { error: ApiError | undefined }) => {
  if (error === undefined) return null;
  const { code, message, option, row } = error.failure;
  return (
    <p class="notice error" role="alert">
      <strong>{code}</strong> {message}
      {option !== undefined && (
        <span class="tag">
          option <code>{option}</code>
        </span>
      )}
      {row !== undefined && <span class="tag">row {row}</span>}
    </p>
  );
};
