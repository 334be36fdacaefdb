import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { commandOf, lastOf } from './dockerfile.ts';
import type { Replayed } from './replay.ts';

/** Runs commands as a container of a replayed image would: its variables and no others, its user, no home. */
export class ImageProcess {
  readonly #image: Replayed;
  readonly #environment: Record<string, string>;
  readonly #asUser: readonly string[];

  /** @param extra variables that `docker run --env` would add */
  constructor(image: Replayed, extra: Readonly<Record<string, string>>) {
    this.#image = image;
    const { PATH, ...others } = image.environment;
    // The Node that runs this stands for the image's.
    const path = [dirname(process.execPath), PATH].join(delimiter);
    // tini is not PID 1 here, and says so unless it is told to reap all the same.
    this.#environment = { ...others, ...extra, PATH: path, TINI_SUBREAPER: '1' };
    const [user, group] = lastOf(image.stage, 'USER').getArguments()[0]!.getValue().split(':') as [string, string];
    const isRoot = process.getuid?.() === 0;
    this.#asUser = isRoot ? ['setpriv', '--reuid', user, '--regid', group, '--clear-groups', '--no-new-privs'] : [];
  }

  /** ENTRYPOINT with a command in place of CMD; `/data` in it is the folder of that name. */
  entry(command: readonly string[] = commandOf(lastOf(this.#image.stage, 'CMD'))): Running {
    const entry = commandOf(lastOf(this.#image.stage, 'ENTRYPOINT'));
    const inside = command.map((word) => (word.startsWith('/data') ? join(this.#image.root, word) : word));
    const known = hasProgram('tini') ? entry : entry.slice(entry.indexOf('--') + 1);
    return this.run([...known, ...inside]);
  }

  /** The HEALTHCHECK's command, once. */
  async isHealthy(): Promise<boolean> {
    const command = commandOf(lastOf(this.#image.stage, 'HEALTHCHECK'));
    const { code } = await this.run(command.map((word) => word.replace(/^\/app\//, `${this.#image.root}/app/`))).ended;
    return code === 0;
  }

  run(command: readonly string[]): Running {
    const [program, ...args] = [...this.#asUser, ...command] as [string, ...string[]];
    return new Running(
      spawn('env', ['-i', ...pairs(this.#environment), program, ...args], {
        cwd: join(this.#image.root, 'app'),
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }
}

/** A process and what it says. */
export class Running {
  readonly ended: Promise<{ code: number | null; output: string }>;
  readonly #child: ChildProcess;
  #output = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    const note = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    child.stdout!.on('data', note);
    child.stderr!.on('data', note);
    this.ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output: this.#output }));
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get output(): string {
    return this.#output;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

const pairs = (variables: Readonly<Record<string, string>>): string[] =>
  Object.entries(variables).map(([name, value]) => `${name}=${value}`);

/** Whether this machine has a program. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
