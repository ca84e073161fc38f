"""Training of ``deduplication``: bands, threshold and rules of deltas chosen on measured pairs, over all lineages."""

import itertools
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics import pair_retrieval
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.predictors import DataFacts, Metadata
from augury.predictors import sketched_block_columns as sb
from augury.predictors.band_index import Banding, check_banding
from augury.predictors.block_index import BlockIndex, IndexSettings
from augury.predictors.deduplication import INPUTS, OUTPUTS, NearDuplicateIndex
from augury.predictors.delta_replay import DeltaRules, Outcomes, Stored, outcomes_of, replay_deltas, twins_of
from augury.predictors.shingle_sketches import Cells, SketchRecipe, decode, thinned
from augury.predictors.similar_pairs import known_pairs, similar_pairs, without_identical

PREDICTOR = "deduplication"
TASK = "policy: against which stored block a new one is kept as a difference"
BAND_STEP = 8
BAND_ROWS = (3, 4, 5, 6, 8)
SEARCHED_FROM = 0.3
"""Estimates below are of no near-duplicate for any threshold that is looked at."""
EXAMPLES = 3

logger = logging.getLogger(__name__)


class MinHashModel(Parameters):
    """What is chosen, and by what."""

    use_tuned: bool = Field(default=False, description="whether what tuning found takes the place of these")
    hashes: int | None = Field(default=None, ge=16, description="cells of a sketch that are used; null: all")
    least_sampling: int = Field(default=1, ge=1, le=4096, description="one of so many shingles at most; power of two")
    bands: int | None = Field(default=None, ge=1, le=1024, description="null: the fewest that find enough")
    rows: int | None = Field(default=None, ge=1, le=16, description="cells of a band; null: chosen with the bands")
    threshold: float | None = Field(default=None, ge=0, le=1, description="estimate of a near-duplicate; null: chosen")
    near_duplicate: float = Field(default=0.5, gt=0, lt=1, description="Jaccard similarity of near-duplicates")
    band_recall: float = Field(
        default=0.97, gt=0, lt=1, description="probability with which the bands must find a pair that is just similar"
    )
    expected_blocks: int = Field(default=20_000, ge=1, description="size of an index for which bands are chosen")
    target_recall: float = Field(default=0.94, gt=0, lt=1, description="of near-duplicates, for the threshold")
    target_precision: float = Field(default=0.95, gt=0, lt=1, description="of near-duplicates, for the threshold")
    least_similarities: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.35, 0.5), min_length=1, description="estimates from which a delta is tried"
    )
    least_savings: tuple[float, ...] = Field(
        default=(0.05, 0.2, 0.35, 0.5, 0.65, 0.8),
        min_length=1,
        description="shares that a delta has to save to be kept",
    )
    drift_limits: tuple[float | None, ...] = Field(
        default=(None, 0.5, 1.0, 2.0), min_length=1, description="how far deltas to one block may grow; see DeltaRules"
    )
    chain_limit: int = Field(default=1, ge=1, le=16, description="references to read before a block can be read")
    tries: int = Field(default=1, ge=1, le=16, description="references that are tried for a block")
    bytes_per_us: float = Field(default=0.2, ge=0, description="bytes that a CPU microsecond has to save")
    index_blocks: bool = Field(
        default=True, description="whether the blocks of training are in the model; false: no sketch leaves with it"
    )
    folds: int = Field(default=5, ge=2, description="parts of the lineages, each judged by what the others choose")


class Rows(NamedTuple):
    """Blocks in the order of time, and what is known of their pairs."""

    blocks: pd.DataFrame
    pairs: pd.DataFrame
    cells: Cells


class Choice(NamedTuple):
    """What training chooses."""

    settings: IndexSettings
    delta: DeltaRules


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


def rows_of(blocks: Any, pairs: Any, sketch: SketchRecipe, model: MinHashModel) -> Rows:
    """Collect and decode.

    Raises:
        UserError: There are no blocks, or the model uses more cells than the sketches have.
    """
    table = engines.to_pandas(blocks)
    if table.empty:
        raise UserError(f"{PREDICTOR}.features_train: there are no blocks to learn from.")
    if model.hashes is not None and model.hashes > sketch.cells:
        raise UserError(
            f"Parameter '{PREDICTOR}.model.hashes' is {model.hashes}, but sketches have {sketch.cells} cells."
        )
    cells = decode(table[sb.SKETCH].tolist(), sketch.cells)
    return Rows(table, engines.to_pandas(pairs), thinned(cells, model.hashes or sketch.cells, model.least_sampling))


def choose(rows: Rows, sketch: SketchRecipe, model: MinHashModel) -> Choice:
    """Choose bands, threshold and rules of deltas."""
    recipe = sketch.model_copy(update={"keep": model.hashes or sketch.keep, "least_sampling": model.least_sampling})
    recipe = SketchRecipe.model_validate(recipe.model_dump())
    banding = _choose_banding(rows, model)
    threshold = model.threshold
    if threshold is None:
        threshold = _choose_threshold(rows, banding, model)
    settings = IndexSettings(sketch=recipe, banding=banding, threshold=threshold)
    return Choice(settings, _choose_rules(rows, settings, model))


def judged(rows: Rows, choice: Choice, model: MinHashModel) -> dict[str, Any]:
    """Recall, precision and saving of a choice on some blocks."""
    found, candidates = similar_pairs(rows.cells, choice.settings.banding, SEARCHED_FROM)
    pairs = pair_retrieval.with_truth(without_identical(found, rows.blocks), known_pairs(rows.blocks, rows.pairs))
    stored = replay_batch(rows, choice.settings, choice.delta)
    plain = float(rows.blocks[sb.PLAIN_BYTES].sum())
    threshold = choice.settings.threshold
    return {
        "recall": _number(pair_retrieval.recall(pairs, model.near_duplicate, threshold)),
        "recall_at_0.8": _number(pair_retrieval.recall(pairs, 0.8, threshold)),
        "precision": _number(pair_retrieval.precision(pairs, model.near_duplicate, threshold)),
        "saving_over_zstd": 1 - float(stored.bytes.sum()) / plain if plain else None,
        "candidates": candidates,
    }


def replay_batch(rows: Rows, settings: IndexSettings, rules: DeltaRules) -> Stored:
    """Store blocks one after another, with all similarities looked up beforehand: the same, but faster."""
    return _replay(rows, _neighbours(rows, settings.banding, rules.least_similarity), rules)


# --- choices ---


def _choose_banding(rows: Rows, model: MinHashModel) -> Banding:
    hashes = rows.cells.shape[1]
    if model.bands is not None and model.rows is not None:
        banding = Banding(bands=model.bands, rows=model.rows)
        check_banding(banding, hashes)
        return banding
    possible = [
        Banding(bands=bands, rows=count)
        for count in ([model.rows] if model.rows else BAND_ROWS)
        for bands in ([model.bands] if model.bands else range(BAND_STEP, hashes // count + 1, BAND_STEP))
        if bands * count <= hashes
    ]
    if not possible:
        check_banding(Banding(bands=model.bands or BAND_STEP, rows=model.rows or min(BAND_ROWS)), hashes)
    enough = [found for found in possible if found.probability(model.near_duplicate) >= model.band_recall]
    if not enough:
        return max(possible, key=lambda found: float(found.probability(model.near_duplicate)))
    # For each number of rows the fewest bands; of these, the ones that cost least on these blocks
    fewest = {found.rows: found for found in reversed(enough)}
    return min(fewest.values(), key=lambda found: _look_up_cost(rows, found, model.expected_blocks))


def _look_up_cost(rows: Rows, banding: Banding, expected_blocks: int) -> float:
    """What finding a block costs: a key looked up counts about as much as 64 cells compared."""
    _, candidates = similar_pairs(rows.cells, banding, 1.0)
    grown = max(expected_blocks / len(rows.cells), 1)
    return banding.bands + grown * candidates * rows.cells.shape[1] / 64


def _choose_threshold(rows: Rows, banding: Banding, model: MinHashModel) -> float:
    known = known_pairs(rows.blocks, rows.pairs)
    if not (known["jaccard"] >= model.near_duplicate).any():
        raise UserError(
            f"{PREDICTOR}: of {len(known)} measured pairs none has a Jaccard similarity of {model.near_duplicate:g}, "
            f"so no threshold can be chosen. Bring such pairs, or set {PREDICTOR}.model.threshold."
        )
    found, _ = similar_pairs(rows.cells, banding, SEARCHED_FROM)
    pairs = pair_retrieval.with_truth(without_identical(found, rows.blocks), known)
    return pair_retrieval.best_threshold(pairs, model.near_duplicate, model.target_recall, model.target_precision)[0]


def _choose_rules(rows: Rows, settings: IndexSettings, model: MinHashModel) -> DeltaRules:
    neighbours = _neighbours(rows, settings.banding, min(model.least_similarities))
    outcomes = outcomes_of(rows.blocks, rows.pairs)
    prices: dict[DeltaRules, float] = {}
    for least in sorted(model.least_similarities, reverse=True):
        near = {place: [pair for pair in found if pair[1] >= least] for place, found in neighbours.items()}
        for saving, drift in itertools.product(sorted(model.least_savings, reverse=True), model.drift_limits):
            rules = DeltaRules(
                least_similarity=least,
                least_saving=saving,
                drift_limit=drift,
                chain_limit=model.chain_limit,
                tries=model.tries,
            )
            stored = _replay(rows, near, rules, outcomes)
            prices[rules] = float(stored.bytes.sum() + model.bytes_per_us * stored.microseconds.sum())
    return min(prices, key=lambda rules: prices[rules])


Neighbours = Mapping[int, list[tuple[int, float]]]
"""Row -> earlier rows with their similarities, the most similar first, of equally similar ones the newest."""


def _neighbours(rows: Rows, banding: Banding, least: float) -> Neighbours:
    found, _ = similar_pairs(rows.cells, banding, least)
    found = found.sort_values(["row", "similarity", "reference"], ascending=[True, False, False])
    lists: dict[int, list[tuple[int, float]]] = {}
    for row, reference, similarity in zip(found["row"], found["reference"], found["similarity"], strict=True):
        lists.setdefault(int(row), []).append((int(reference), float(similarity)))
    return lists


def _replay(rows: Rows, neighbours: Neighbours, rules: DeltaRules, outcomes: Outcomes | None = None) -> Stored:
    def candidates(place: int) -> Iterator[int]:
        return (reference for reference, _ in neighbours.get(place, []))

    return replay_deltas(
        rows.blocks[sb.PLAIN_BYTES].tolist(),
        twins_of(rows.blocks[sb.DIGEST].tolist()),
        candidates,
        outcomes_of(rows.blocks, rows.pairs) if outcomes is None else outcomes,
        rules,
    )


# --- folds ---


def fold_of_lineage(lineages: pd.Series, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """A fold for every block: that of its lineage, drawn by a seed."""
    codes, names = pd.factorize(lineages, sort=True)
    drawn = np.random.default_rng(seed).permutation(len(names)) % folds
    found: npt.NDArray[np.int64] = drawn[codes].astype(np.int64)
    return found


def part_of(rows: Rows, inside: npt.NDArray[np.bool_]) -> Rows:
    """Some of the blocks, and the pairs among them."""
    blocks = rows.blocks[inside].reset_index(drop=True)
    names = set(blocks[sb.BLOCK])
    pairs = rows.pairs[rows.pairs[sb.BLOCK].isin(names) & rows.pairs[sb.REFERENCE].isin(names)]
    return Rows(blocks, pairs, np.ascontiguousarray(rows.cells[inside]))


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


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
