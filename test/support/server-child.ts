import { createServer, stopOnSignals } from '../../src/server/index.ts';
import { smallIndex } from './server-index.ts';

// A server that stops on signals; its parent reads where it listens, and whether the index was closed.
const index = await smallIndex();
const server = await createServer(index, { port: 0 });
stopOnSignals(server, async () => {
  await index.close();
  console.log('closed');
});
console.log(await server.listen());
