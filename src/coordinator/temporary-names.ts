import { join } from 'node:path';

// Names that say which process they belong to, so that others can tell what it left when it died.

const TEMPORARY = /^\.scannery-(\d+)-[0-9a-f]+\.tmp$/;

/** A path for something that is renamed once it is whole. */
export function temporaryPath(directory: string): string {
  return join(directory, `.scannery-${process.pid}-${randomName()}.tmp`);
}

/** Whether a name is a temporary one of a process that has died. */
export function isLeftOver(name: string): boolean {
  const owner = TEMPORARY.exec(name)?.[1];
  return owner !== undefined && !processLives(Number(owner));
}

export function randomName(): string {
  return Math.floor(Math.random() * 2 ** 48).toString(16);
}

export function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
