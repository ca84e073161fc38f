"""Training of ``deduplication``: choices on all lineages, judged over folds of them, and the index of their blocks."""

import logging
import time
from typing import Any

import numpy as np

from augury.errors import UserError
from augury.parameters import with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.minhash_choices import (
    PREDICTOR,
    MinHashModel,
    Rows,
    choose,
    fold_of_lineage,
    judged,
    part_of,
    replay_batch,
    rows_of,
)
from augury.predictors import DataFacts, Metadata
from augury.predictors import sketched_block_columns as sb
from augury.predictors.block_index import BlockIndex
from augury.predictors.deduplication import INPUTS, OUTPUTS, NearDuplicateIndex
from augury.predictors.shingle_sketches import SketchRecipe

TASK = "policy: against which stored block a new one is kept as a difference"
EXAMPLES = 3

logger = logging.getLogger(__name__)


def train_near_duplicates(
    features_train: Any,
    features_train_pairs: Any,
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    sketch: SketchRecipe,
    model: MinHashModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[NearDuplicateIndex, dict[str, Any]]:
    """Choose bands, threshold and rules, and index the blocks of training.

    The bands are the cheapest that find a pair of ``near_duplicate`` with the probability ``band_recall``; what they
    cost is counted on the blocks. The threshold reaches both targets on the pairs of exactly known similarity. The
    rules of deltas are those under which storing the blocks in the order of time takes the fewest bytes, a CPU
    microsecond counted as ``bytes_per_us``.

    Args:
        features_train: Blocks in the order of time.
        features_train_pairs: Measured pairs of them.
        report_data: What data engineering says; ``origin`` maps origins to rows.
        best_params: What tuning found; empty if there was none.
        sketch: How the blocks were sketched.
        model: Parameters.
        seed: Of the folds.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor, and a JSON-ready account.

    Raises:
        UserError: There are no near-duplicates to choose by, or bands do not fit the sketch.
    """
    started = time.perf_counter()
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    rows = rows_of(features_train, features_train_pairs, sketch, model)
    choice = choose(rows, sketch, model)
    folds = _judge_folds(rows, sketch, model, seed)
    first = ~rows.blocks[sb.DIGEST].duplicated() | (rows.blocks[sb.DIGEST] == "")
    first &= model.index_blocks
    kept = rows.blocks[first]
    index = BlockIndex(choice.settings)
    index.add_sketches(kept[sb.BLOCK].tolist(), rows.cells[first.to_numpy()], kept[sb.DIGEST].tolist())
    index.bands.compact()
    metadata = Metadata(
        predictor=PREDICTOR,
        family=NearDuplicateIndex.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=(sb.SKETCH, sb.DIGEST),
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(rows.blocks[[sb.BLOCK, sb.TS, sb.SKETCH, sb.PLAIN_BYTES]]),
            rows=len(rows.blocks),
            groups=int(rows.blocks[sb.LINEAGE].nunique()),
            origin={name: len(rows.blocks) for name in list(report_data["origin"])[:1]},
        ),
        seed=seed,
        **provenance,
    )
    example: list[Any] = kept[[sb.BLOCK, sb.SKETCH, sb.DIGEST]].tail(EXAMPLES).to_dict("records")
    predictor = NearDuplicateIndex(metadata, index, sketch, choice.delta, example)
    stored = replay_batch(rows, choice.settings, choice.delta)
    account = {
        "rows": len(rows.blocks),
        "indexed": len(index),
        "parameters": model.model_dump(mode="json"),
        "chosen": {
            "bands": choice.settings.banding.bands,
            "rows": choice.settings.banding.rows,
            "threshold": choice.settings.threshold,
            "hashes": choice.settings.sketch.cells,
            **choice.delta.model_dump(mode="json"),
        },
        "training": judged(rows, choice, model),
        "folds": folds,
        "stored": {name: stored.choices.count(name) for name in sorted(set(stored.choices))},
        "seconds": time.perf_counter() - started,
    }
    logger.info("Chose %s on %d blocks.", account["chosen"], len(rows.blocks))
    return predictor, account


def _judge_folds(rows: Rows, sketch: SketchRecipe, model: MinHashModel, seed: int) -> dict[str, Any]:
    """Choose on all lineages but those of a fold, and judge on these."""
    fold = fold_of_lineage(rows.blocks[sb.LINEAGE], model.folds, seed)
    results = []
    for number in range(model.folds):
        if not (fold == number).any() or (fold == number).all():
            continue
        try:
            choice = choose(part_of(rows, fold != number), sketch, model)
        except UserError:  # too few near-duplicates among the others
            continue
        results.append({"threshold": choice.settings.threshold, **judged(part_of(rows, fold == number), choice, model)})
    names = ("recall", "recall_at_0.8", "precision", "saving_over_zstd", "threshold")
    summary: dict[str, Any] = {"count": len(results)}
    for name in names:
        values = [result[name] for result in results if result[name] is not None]
        if values:
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            summary[name] = {"mean": float(np.mean(values)), "spread": spread, "worst": float(np.min(values))}
    return summary
