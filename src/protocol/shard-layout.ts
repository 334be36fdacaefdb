// Layout of the structures that kernels read from a shard's memory. Offsets are bytes; every word is a little-endian u32
// unless noted. This file is compiled twice, by tsc and by AssemblyScript, so it holds plain integer constants only.
// Pointers inside a memory are byte offsets from its start, so an image can be read back at the same place.

/** Bytes at the start of every memory that are never handed out, so that 0 can mean "none". */
export const RESERVED_BYTES = 1024;
/** Word of every memory's reserved bytes that holds its first free byte; never saved. */
export const TOP_WORD = 4;
/** Word of a shard memory's reserved bytes: pointer to its deaths (see STATE_DEATHS), 0 while nothing was deleted; never saved. */
export const DEATHS_WORD = 5;
/** Word of a shard memory's reserved bytes: first byte past what was taken of it beside scratch since serving began; never saved. */
export const KEPT_WORD = 6;
/** Alignment of everything that is allocated in a memory. */
export const ALIGNMENT = 64;

/** Shard header, at RESERVED_BYTES in each shard memory. */
export const SHARD_COUNT = 0; // vectors stored (locals are 0 .. count - 1)
export const SHARD_STRIDE = 4; // numbers per vector, padded to a multiple of 4
export const SHARD_CODEC = 8; // CODEC_*
export const SHARD_METRIC = 12; // METRIC_*
export const SHARD_ROW_BYTES = 16; // bytes per stored vector; 0 when vectors are not stored
export const SHARD_CHUNK_SHIFT = 20; // log2 of vectors per chunk
export const SHARD_CHUNKS = 24; // pointer: u32 [chunks], each a pointer to a chunk
export const SHARD_NUM_LEAVES = 28;
export const SHARD_LEAVES = 32; // pointer: u32 [numLeaves], head segment of each leaf, 0 if this shard has none of it
export const SHARD_SUBSPACES = 36; // subspaces per code, padded to a multiple of 2; 0 without hashing
export const SHARD_HAS_BIAS = 40; // 1 when every code carries a 16-bit bias (squared_l2)
export const SHARD_NUM_CHUNKS = 44;
export const SHARD_DATA_END = 48; // first byte past the data
export const SHARD_LANES_PER_VECTOR = 52; // 2 when every vector is spilled to a second leaf (SOAR), else 1
export const SHARD_CAPACITY = 56; // vectors that the chunks have room for
export const SHARD_COLUMNS = 60; // pointer: u32 [MAX_COLUMNS], tables of the columns of attributes (see COLUMN_ROOM); 0 if there are none
export const SHARD_HEADER_BYTES = 64;

/**
 * A column of attributes: u32 chunks that the table has room for, then u32 pointers to chunks, 0 where no vector has the attribute.
 * A chunk has a value for each vector of a chunk of vectors: u32 codes, 0 for none, or f64 numbers, NaN for none.
 */
export const COLUMN_ROOM = 0;
export const COLUMN_CHUNKS = 4;
export const MAX_COLUMNS = 256;

/** log2 of vectors per chunk at the most: some megabytes. Every chunk of a large shard is that large. */
export const MAX_CHUNK_SHIFT = 14;

/**
 * A chunk holds 2^chunkShift vectors: u32 row numbers, then f32 scales (int8 only), then the vectors.
 * Rows and scales have full capacity; the vectors of the last chunk may be cut short until the first one is added.
 */
export const CODEC_NONE = 0;
export const CODEC_FLOAT32 = 1;
export const CODEC_BFLOAT16 = 2;
export const CODEC_INT8 = 3;

export const METRIC_DOT = 0; // dot_product, and cosine over normalised vectors
export const METRIC_L2 = 1;

/**
 * A leaf segment: header, then blocks of 32 lanes, then per-lane biases (i16 [blocks x 32], only with SHARD_HAS_BIAS, in
 * accumulator order), then u32 locals [blocks x 32]. A block is subspaces x 16 bytes: byte j of subspace m holds the code
 * of lane j in its low nibble and of lane j + 16 in its high nibble.
 */
export const SEGMENT_NEXT = 0; // pointer to the next segment of the leaf, 0 at the end
export const SEGMENT_COUNT = 4; // lanes in use, published after the lanes are written; a query may see fewer (STATE_BOUND)
export const SEGMENT_BLOCKS = 8; // capacity in blocks
export const SEGMENT_HEADER_BYTES = 16;
export const BLOCK_LANES = 32;
/** Subspaces whose LUT entries add up in 8 bits. */
export const LUT_GROUP = 8;

/** Query tables, built once per query and copied to each shard that scans: header, query f32 [stride], LUT u8 [subspaces x 16]. */
export const TABLES_INVERSE_SCALE = 0; // f32: one LUT unit as a score
export const TABLES_OFFSET = 4; // f32: added to every approximate score
export const TABLES_BIAS_MULTIPLIER = 8; // i32: Q15 factor from stored bias to LUT units
export const TABLES_SCALE = 12; // f32: LUT units per unit of score
export const TABLES_QUERY_NORM = 16; // f32: squared norm of the centred query (squared_l2), else 0
export const TABLES_HEADER_BYTES = 32;

/** Search state of one scan: in/out block beside the candidate buffer. */
export const STATE_FLOOR = 0; // u64 key: candidates below it can't matter
export const STATE_CODES = 8; // u32: codes scanned so far
export const STATE_HELD = 12; // u32: candidates in the buffer
export const STATE_LANES = 16; // 64 bytes of scratch for the lanes of one block
export const STATE_ABOVE = 80; // i32: candidates above the edge
export const STATE_EDGE = 84; // i32: buckets below the floor, or 0 while none are chosen
export const STATE_LOW = 88; // f32: score at which buckets begin
export const STATE_PER_SCORE = 92; // f32: buckets per unit of score
/**
 * u32 pointer to when vectors died, 0 if none did: a pointer per chunk, 0 if none of it did, to u32 [vectors per chunk], the epoch
 * from which on a vector is deleted, 0 if it is not.
 */
export const STATE_DEATHS = 96;
export const STATE_EPOCH = 100; // u32: the query sees what was deleted up to this epoch
export const STATE_BOUND = 104; // u32: first local number that the query does not see, as it was added later
export const STATE_FILTER = 108; // u32 pointer: a bit per vector, set if the query's filter lets it through; 0 without a filter
export const STATE_HISTOGRAM = 112; // u32 [HISTOGRAM_BUCKETS]: candidates in each
export const STATE_BYTES = 1136;
/** Buckets of scores, of which the first half covers the candidates that are held when counting starts. */
export const HISTOGRAM_BUCKETS = 256;
/** Free entries that a candidate buffer needs beyond its limit, so that a whole block always fits. */
export const BUFFER_SLACK = 64;

/** An entry of the list of chosen leaves: u32 leaf, f32 base score. */
export const LEAF_ENTRY_BYTES = 8;

/** A visit of a leaf by a query: u32 leaf, f32 base score, u32 pointer to the query's search state. */
export const VISIT_BYTES = 12;

/** Model header: centroids and codebooks, one for all shards. */
export const MODEL_NUM_LEAVES = 0;
export const MODEL_STRIDE = 4;
export const MODEL_CENTROIDS = 8; // pointer: f32 [numLeaves x stride], centred for squared_l2
export const MODEL_CENTROID_BIAS = 12; // pointer: f32 [numLeaves], subtracted from q . c when routing
export const MODEL_MEAN = 16; // pointer: f32 [stride], zero unless squared_l2
export const MODEL_CODEBOOKS = 20; // pointer: f32 [subspaces][dimensionsPerBlock][16]
export const MODEL_BLOCKS = 24; // subspaces that carry dimensions
export const MODEL_SUBSPACES = 28; // the same, padded to a multiple of 2; 0 without hashing
export const MODEL_DIMENSIONS_PER_BLOCK = 32;
export const MODEL_METRIC = 40; // 36: of no use any more, 63 in saved models
export const MODEL_BIAS_MINIMUM = 44; // f32: bias that code 0 stands for
export const MODEL_BIAS_RANGE = 48; // f32: bias that code 32767 adds to it
export const MODEL_ROUTES = 52; // pointer: groups of ROUTE_LANES quantized centroids; 0 if there are none
export const MODEL_HEADER_BYTES = 64;

/**
 * A group of quantized centroids: per lane an f32 scale, then an f32 bias to subtract, then i8 [stride / 2][lanes][2], so that
 * a centroid's number is code x scale. Lanes past the last leaf repeat it.
 */
export const ROUTE_LANES = 16;
export const ROUTE_BIASES = 64;
export const ROUTE_CODES = 128;
/** Leaves are chosen by codes first when at least this many times as many exist. */
export const ROUTE_LEAST_SHARE = 4;
/** Leaves beyond those wanted that are scored from the centroids, at least: so many, and one for so many wanted. */
export const ROUTE_MARGIN = 4;
export const ROUTE_MARGIN_SHARE = 16;
/** Ranges of score that leaves are counted by. */
export const ROUTE_BUCKETS = 256;
