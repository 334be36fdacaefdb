// A process of its own that takes a directory and keeps it until it is killed.
import { DirectoryLock } from '../../src/coordinator/lock.ts';

const [, , directory] = process.argv;
await DirectoryLock.take(directory!, 'writer');
process.stdout.write('taken\n');
setInterval(() => {}, 1000);
