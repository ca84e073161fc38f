"""Columns of the raw tables of `deduplication`, shared by their schemas, the cleaning and the predictor."""

BLOCKS_DATASET = "deduplication.sketches"
PAIRS_DATASET = "deduplication.pairs"

BLOCK, TS, LINEAGE, SIZE, DIGEST, SKETCH = "block", "ts", "lineage", "size", "digest", "sketch"
PLAIN_BYTES, PREVIOUS_BYTES, RANDOM_BYTES = "plain_bytes", "previous_bytes", "random_bytes"
PLAIN_US, SKETCH_US, KIND = "plain_us", "sketch_us", "kind"
REFERENCE, JACCARD, DELTA_BYTES, DELTA_US = "reference", "jaccard", "delta_bytes", "delta_us"

REQUIRED_TEXTS = (BLOCK, SKETCH)
OPTIONAL_TEXTS = (LINEAGE, DIGEST, KIND)
REQUIRED_NUMBERS = (TS, SIZE, PLAIN_BYTES)
OPTIONAL_NUMBERS = (PREVIOUS_BYTES, RANDOM_BYTES, PLAIN_US, SKETCH_US)
BLOCK_COLUMNS = (BLOCK, TS, LINEAGE, SIZE, DIGEST, KIND, SKETCH, PLAIN_BYTES, *OPTIONAL_NUMBERS)

PAIR_TEXTS = (BLOCK, REFERENCE)
PAIR_NUMBERS = (JACCARD, DELTA_BYTES, DELTA_US)
PAIR_COLUMNS = (*PAIR_TEXTS, *PAIR_NUMBERS)
