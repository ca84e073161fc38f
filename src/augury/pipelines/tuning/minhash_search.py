"""Tuning of ``deduplication``: sketch, bands and threshold, by what storing the lineages of each fold takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics import pair_retrieval
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.minhash_lsh import (
    PREDICTOR,
    SEARCHED_FROM,
    MinHashModel,
    Rows,
    choose,
    fold_of_lineage,
    part_of,
    replay_batch,
    rows_of,
)
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors import sketched_block_columns as sb
from augury.predictors.shingle_sketches import SketchRecipe
from augury.predictors.similar_pairs import known_pairs, similar_pairs, without_identical

IMPOSSIBLE = 10.0
"""The price of bands that need more cells than there are."""


class MinHashTuning(SearchSettings):
    """How the index is tuned."""

    trials: int = Field(default=25, ge=1, description="the first one has the parameters as they are")
    delta: float | None = Field(default=0.02, ge=0, description="see SearchSettings")
    folds: int = Field(default=3, ge=2, description="parts of the lineages, each judged by what the others choose")
    look_up_us: float = Field(
        default=0.05, ge=0, description="CPU microseconds of looking a key up, or of comparing 64 cells"
    )


class MinHashProblem:
    """What storing a fold's blocks takes, by the rules that the other folds choose.

    The price is the share of the bytes of zstd alone that is stored, CPU time counted in bytes
    (``model.bytes_per_us``), plus by how much recall and precision fall short of their targets.
    """

    direction: Direction = "minimize"
    metric: str = "price"

    def __init__(self, rows: Rows, sketch: SketchRecipe, model: MinHashModel, tuning: MinHashTuning, seed: int) -> None:
        """Divide the lineages.

        Args:
            rows: Blocks of training, with all cells of their sketches.
            sketch: How they were sketched.
            model: Parameters.
            tuning: How many folds, and what a look-up takes.
            seed: Of the folds.
        """
        self.predictor = PREDICTOR
        self._sketch, self._model, self._look_up_us = sketch, model, tuning.look_up_us
        fold = fold_of_lineage(rows.blocks[sb.LINEAGE], tuning.folds, seed)
        parts = [(part_of(rows, fold != number), part_of(rows, fold == number)) for number in range(tuning.folds)]
        self._folds = [(learned, judged) for learned, judged in parts if len(learned.blocks) and len(judged.blocks)]
        if not self._folds:
            raise UserError(f"{PREDICTOR}: there are too few lineages to tune on. Bring more of them.")
        self.rows = len(rows.blocks)
        self.fold_costs = [float(len(learned.blocks)) for learned, _ in self._folds]
        self.fingerprint: dict[str, str] = {
            "data": fingerprint(rows.blocks[[sb.BLOCK, sb.TS, sb.SKETCH, sb.PLAIN_BYTES]]),
            "folds": str([len(judged.blocks) for _, judged in self._folds]),
            "model": describe_model(model),
            "numpy": np.__version__,
        }

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model = with_values(self._model, parameters)
        hashes = model.hashes or self._sketch.cells
        if model.bands and model.rows and model.bands * model.rows > hashes:
            return IMPOSSIBLE * model.bands * model.rows / hashes
        learned, judged = (rows_of(part.blocks, part.pairs, self._sketch, model) for part in self._folds[fold])
        choice = choose(learned, self._sketch, model)
        stored = replay_batch(judged, choice.settings, choice.delta)
        found, candidates = similar_pairs(judged.cells, choice.settings.banding, SEARCHED_FROM)
        pairs = pair_retrieval.with_truth(
            without_identical(found, judged.blocks), known_pairs(judged.blocks, judged.pairs)
        )
        threshold = choice.settings.threshold
        short = [
            target - reached
            for target, reached in (
                (model.target_recall, pair_retrieval.recall(pairs, model.near_duplicate, threshold)),
                (model.target_precision, pair_retrieval.precision(pairs, model.near_duplicate, threshold)),
            )
            if reached < target
        ]
        compared = choice.settings.banding.bands + candidates * judged.cells.shape[1] / 64
        microseconds = float(stored.microseconds.sum()) + self._look_up_us * compared * len(judged.blocks)
        plain = max(float(judged.blocks[sb.PLAIN_BYTES].sum()), 1.0)
        return float((stored.bytes.sum() + model.bytes_per_us * microseconds) / plain + sum(short))


def tune_near_duplicates(
    features_train: Any,
    features_train_pairs: Any,
    sketch: SketchRecipe,
    model: MinHashModel,
    tuning: MinHashTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune ``deduplication``.

    Args:
        features_train: Blocks of training, any engine.
        features_train_pairs: Pairs of them, any engine.
        sketch: How the blocks were sketched.
        model: Parameters as they are; where they leave a choice to training, its choice is the first trial.
        tuning: How to search, and where.
        seed: Seed of folds and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or there are too few lineages.
    """
    blocks, pairs = engines.to_pandas(features_train), engines.to_pandas(features_train_pairs)
    whole = rows_of(blocks, pairs, sketch, MinHashModel())
    first = choose(rows_of(blocks, pairs, sketch, model), sketch, model)
    open_values = {
        "hashes": first.settings.sketch.cells,
        "bands": first.settings.banding.bands,
        "rows": first.settings.banding.rows,
        "threshold": first.settings.threshold,
    }
    model = with_values(model, {name: value for name, value in open_values.items() if name in tuning.space})
    tuned = SearchSpace(PREDICTOR, model, tuning.space, tuning.fixed)
    problem = MinHashProblem(whole, sketch, tuned.model, tuning, seed)
    return outcome(problem, tuned, tuning, seed, search(problem, tuned, tuning, seed, studies))
