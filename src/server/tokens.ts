import { createHash, timingSafeEqual } from 'node:crypto';
import type { Scope, TokenOptions } from './options.ts';

/** Who calls. */
export interface Caller {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** The hash of a token as the option `tokens` takes it: SHA-256, in hexadecimal digits. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');

/** The callers that a server knows, by their tokens, of which it keeps hashes alone. */
export class Tokens {
  readonly #known: readonly { readonly hash: Buffer; readonly caller: Caller }[];

  constructor(tokens: readonly TokenOptions[]) {
    this.#known = tokens.map(({ name, token, hash = hashToken(token!), scopes }) => ({
      hash: Buffer.from(hash, 'hex'),
      caller: { name, scopes: new Set(scopes) },
    }));
  }

  /** The caller of an Authorization header. Takes as long whichever token it is, and whether there is one. */
  callerOf(authorization: string | undefined): Caller | undefined {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
    const hash = createHash('sha256').update(given).digest();
    let found: Caller | undefined;
    for (const { hash: known, caller } of this.#known) if (timingSafeEqual(hash, known)) found = caller;
    return given === '' ? undefined : found;
  }
}
