import type { ScanneryServer } from './server.ts';

const SIGNALS = { SIGTERM: 143, SIGINT: 130 } as const;

/**
 * Has SIGTERM and SIGINT stop a server, do what is to be done then, such as closing the index, and end the process: with exit code
 * 0, or 1 if something failed, with the error on stderr. A second signal ends it at once. Returns a function that undoes this.
 */
export function stopOnSignals(server: ScanneryServer, then: () => Promise<void> = async () => {}): () => void {
  let signalled = false;
  const listeners = Object.entries(SIGNALS).map(([signal, code]) => {
    const listener = (): void => {
      if (signalled) process.exit(code);
      signalled = true;
      server
        .close()
        .then(then)
        .then(
          () => process.exit(0),
          (error: unknown) => {
            console.error(error);
            process.exit(1);
          },
        );
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}
