import { useEffect, useRef, useState } from 'preact/hooks';
import { setToken } from './api.ts';

/** Asks for a token; it is kept for this tab alone, until it is closed. */
export function SignIn({ wasRefused, onToken }: { wasRefused: boolean; onToken: () => void }) {
  const [token, setText] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.trim() === '') return;
    setToken(token.trim());
    onToken();
  };
  return (
    <form class="notice sign-in" onSubmit={submit} aria-label="Sign in">
      <label for="token">This server asks for a token</label>
      <input
        ref={field}
        id="token"
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={token}
        aria-describedby="token-note"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="primary">
        Sign in
      </button>
      <span id="token-note" role="status" class={wasRefused ? 'bad' : 'muted'}>
        {wasRefused ? 'The server does not know this token.' : 'Kept in this tab until it is closed.'}
      </span>
    </form>
  );
}
