/** What fit tells about itself after every batch. */
export interface TrainingProgress {
  /** Counted from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Batches done in this epoch. */
  readonly batch: number;
  /** Batches in an epoch; undefined during the first, when nobody has counted them yet. */
  readonly batches: number | undefined;
  /** Seconds since the epoch began. */
  readonly seconds: number;
  readonly logs: Readonly<Record<string, number>>;
}

/** Where a bar is drawn; process.stderr is one. */
export interface BarStream {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

const WIDTH = 30;

/** Draws Keras's bar: one line that moves on a terminal, one line per epoch elsewhere. */
export class ProgressBar {
  readonly #stream: BarStream;

  constructor(stream: BarStream = process.stderr) {
    this.#stream = stream;
  }

  update(progress: TrainingProgress): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${line(progress)}`);
  }

  /** Ends an epoch's line. */
  endEpoch(progress: TrainingProgress): void {
    this.#stream.write(`${this.#stream.isTTY ? '\r\x1b[K' : ''}${line(progress)}\n`);
  }
}

function line({ epoch, epochs, batch, batches, seconds, logs }: TrainingProgress): string {
  const done = batches === undefined ? '' : '='.repeat(Math.round(WIDTH * Math.min(1, batch / Math.max(1, batches))));
  const bar = batches === undefined ? `${batch}` : `${batch}/${batches} [${done.padEnd(WIDTH, '.')}]`;
  const figures = Object.entries(logs).map(([name, value]) => `${name}: ${shown(value)}`);
  return [`Epoch ${epoch}/${epochs} ${bar}`, `${seconds.toFixed(1)} s`, ...figures].join(' - ');
}

function shown(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(1) : value.toFixed(4);
}
