import type { Phase } from './messages.ts';
import type { OptimizerStep } from './optimizer-step.ts';

// The phases of one training step of a two-tower model. All matrices are f32, row-major, in one shared memory; pointers are
// byte offsets. Widths are padded to multiples of 8 and the padding is zero, in weights and gradients alike, so it stays zero.

/** Rows of a batch that one chunk of the forward and backward phases takes; a multiple of 8. */
export const BATCH_ROWS_PER_CHUNK = 512;
/** Rows of logits that are in work at once. */
export const LOGIT_ROWS = 16;
/** Slabs of queries, each of which sums its own gradient of the candidates: the result does not depend on the threads. */
export const MAX_SLABS = 16;
/** Distinct rows of an embedding table, or rows of it, that one chunk of the update phase takes. */
export const TABLE_ROWS_PER_CHUNK = 256;

/** One feature of a tower: a look-up into a table of embeddings. */
export interface FeatureLayout {
  /** u32 [rows]: the table's row for each example. */
  readonly indices: number;
  /** f32 [table rows x width] */
  readonly table: number;
  readonly width: number;
  /** Where the feature starts in the concatenated input, in numbers. */
  readonly offset: number;
}

/** A fully connected layer: output = activation(input x weights + bias). */
export interface DenseLayout {
  readonly inputs: number;
  readonly units: number;
  /** f32 [inputs x units] */
  readonly weights: number;
  /** f32 [units] */
  readonly bias: number;
  readonly relu: boolean;
  /** Weights transposed, in panels: f32 [inputs / 8][units][8]. */
  readonly panels: number;
  /** f32 [rows x units] */
  readonly output: number;
  /** Gradients of weights and bias, one pair per chunk of the backward phase: f32 [chunks][inputs x units], [chunks][units]. */
  readonly weightGradients: number;
  readonly biasGradients: number;
}

/** A tower and its activations over one batch. */
export interface TowerLayout {
  readonly features: readonly FeatureLayout[];
  readonly dense: readonly DenseLayout[];
  /** Concatenated features: f32 [rows x inputWidth]. */
  readonly input: number;
  readonly inputWidth: number;
  /** The last activation: f32 [rows x width]. */
  readonly output: number;
  readonly width: number;
  /** Gradients of input, of each layer's output in turn; the last one is that of the tower's output. */
  readonly gradients: readonly number[];
}

/** Outputs of both towers. Chunks are blocks of rows, of the first tower and then of the second. */
export interface ForwardTask extends Phase {
  readonly kind: 'forward';
  readonly memory: WebAssembly.Memory;
  readonly towers: readonly TowerLayout[];
  readonly rows: number;
}

/**
 * In-batch softmax cross-entropy. Chunk s takes queries [s x rowsPerSlab, ...): it leaves each one's figures, and, when it
 * trains, the gradient of the queries' embeddings and its own sum of the candidates' gradients.
 */
export interface SoftmaxTask extends Phase {
  readonly kind: 'softmax';
  readonly memory: WebAssembly.Memory;
  /** Examples; query i's positive is candidate i. */
  readonly rows: number;
  readonly rowsPerSlab: number;
  readonly width: number;
  /** f32 [rows x width] */
  readonly queries: number;
  readonly candidates: number;
  /** Candidates in panels: f32 [rows / 8][width][8]. */
  readonly panels: number;
  /** Factor of the logits: 1 / temperature. */
  readonly scale: number;
  /** f32 [rows padded to 8], subtracted from every query's logits; 0 for none. */
  readonly corrections: number;
  /** u32 [rows padded to 8]: candidates with equal numbers are the same; 0 when accidental hits stay. */
  readonly ids: number;
  /** f32 [rows]; 0 when all weigh 1. */
  readonly sampleWeights: number;
  /** Negatives kept per query; 0 for all. */
  readonly hardNegatives: number;
  readonly train: boolean;
  /** Out, f32 [rows x 4]: maximum, sum of exponentials, the positive's logit. */
  readonly stats: number;
  /** Out, u32 [rows]: logits above the positive's; 0 when not wanted. */
  readonly ranks: number;
  /** Out, f32 [rows x width]. */
  readonly queryGradients: number;
  /** Out, f32 [slabs][rows x width]. */
  readonly slabGradients: number;
  readonly scratch: number;
  readonly scratchBytes: number;
}

/** Gradients of weights and of the looked-up embeddings. Chunks as in the forward phase. */
export interface BackwardTask extends Phase {
  readonly kind: 'backward';
  readonly memory: WebAssembly.Memory;
  readonly towers: readonly TowerLayout[];
  readonly rows: number;
  /** f32 [slabs][rows x width]: summed into the output gradient of the second tower. */
  readonly slabGradients: number;
  readonly slabs: number;
}

/** A parameter to update: an embedding table by the rows that the batch looked up, or the weights of a dense layer. */
export type ParameterUpdate = {
  readonly weights: number;
  /** The optimiser's slots, each as large as the weights: accumulators, or moments and velocities. */
  readonly slots: readonly number[];
} & (
  | {
      readonly kind: 'table';
      readonly tableRows: number;
      readonly width: number;
      /** Gradient of the concatenated input: f32 [batch rows x gradientWidth], this feature's part at `offset`. */
      readonly gradients: number;
      readonly gradientWidth: number;
      readonly offset: number;
      /** The distinct table rows that were looked up, ascending: u32 [distinct], and the batch rows of each. */
      readonly distinct: number;
      readonly numDistinct: number;
      readonly starts: number;
      readonly members: number;
    }
  | {
      readonly kind: 'dense';
      readonly words: number;
      /** f32 [parts][words], summed. */
      readonly gradients: number;
      readonly parts: number;
    }
);

/** One step of the optimiser. Chunks: those of the first parameter, of the second, and so on. */
export interface UpdateTask extends Phase {
  readonly kind: 'update';
  readonly memory: WebAssembly.Memory;
  readonly optimizer: OptimizerStep;
  readonly parameters: readonly ParameterUpdate[];
  readonly scratch: number;
  readonly scratchBytes: number;
}

export type TrainingTask = ForwardTask | SoftmaxTask | BackwardTask | UpdateTask;

/** Chunks that a parameter's update is made of. */
export function updateChunks(parameter: ParameterUpdate, optimizer: OptimizerStep): number {
  if (parameter.kind === 'dense') return 1;
  // Adagrad leaves rows without a gradient as they are; Adam's moments fade everywhere.
  const rows = optimizer.kind === 'adagrad' ? parameter.numDistinct : parameter.tableRows;
  return Math.ceil(rows / TABLE_ROWS_PER_CHUNK);
}
