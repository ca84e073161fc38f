"""Judging an index of near-duplicates: recall counted pair by pair, costs beside rules, on the committed sample."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.metrics import pair_retrieval
from augury.parameters import with_values
from augury.pipelines.data_engineering.sketched_blocks import BlockSource, BlockSplit, prepare_blocks
from augury.pipelines.evaluation.delta_costs import store_holdout
from augury.pipelines.evaluation.near_duplicates import (
    RetrievalEvaluation,
    judge_near_duplicates,
    plot_banding,
    plot_recall_precision,
)
from augury.pipelines.evaluation.policies import evaluate_policies
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.feature_engineering.sketched_blocks import build_block_features
from augury.pipelines.model_training.minhash_lsh import MinHashModel, train_near_duplicates
from augury.pipelines.tuning.minhash_search import IMPOSSIBLE, MinHashProblem, MinHashTuning, tune_near_duplicates
from augury.pipelines.tuning.racing import TransientStudies
from augury.predictors.shingle_sketches import SketchRecipe, decode, estimates

RAW = Path(__file__).parents[2] / "data" / "01_raw" / "deduplication"
SKETCH = SketchRecipe()
MODEL = MinHashModel(folds=2, least_similarities=(0.35,), least_savings=(0.5,), drift_limits=(1.0,))
EVALUATION = PolicyEvaluation(unit="bytes", bootstrap_replicates=200)
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}


@pytest.fixture(scope="module")
def stages():
    """The committed sample through all stages, with few choices to make."""
    raw = [pd.read_parquet(RAW / f"{name}.parquet") for name in ("sketches", "pairs")]
    primary, kept, data = prepare_blocks(*raw, BlockSource(share=0.5), BlockSplit(), 42)
    train, train_pairs, holdout, pairs, _ = build_block_features(primary, kept, SKETCH)
    predictor, account = train_near_duplicates(train, train_pairs, data, {}, SKETCH, MODEL, 42, PROVENANCE)
    predictions, facts = store_holdout(predictor, holdout, pairs)
    report = judge_near_duplicates(predictor, holdout, pairs, account, RetrievalEvaluation(), EVALUATION, 42)
    return SimpleNamespace(**locals())


def test_recall_and_precision_are_those_counted_pair_by_pair(stages):
    settings = stages.predictor.settings
    cells = decode(stages.holdout["sketch"].tolist(), SKETCH.cells)
    places = pd.Series(range(len(stages.holdout)), index=stages.holdout["block"])
    digests = stages.holdout["digest"].to_numpy()
    keys = stages.predictor.index.bands.keys(cells)
    truth = {}
    for pair in stages.pairs.itertuples():
        truth[places[pair.block], places[pair.reference]] = pair.jaccard
    found, near, high = 0, 0, 0
    hits, high_hits = 0, 0
    for row in range(len(cells)):
        others = np.arange(row)
        shared = (keys[:row] == keys[row]).any(axis=1) & (digests[:row] != digests[row])
        taken = shared & (estimates(cells, np.full(row, row), others) >= np.float32(settings.threshold))
        for other in others[digests[:row] != digests[row]].tolist():
            jaccard = truth.get((row, other), 0)
            found += taken[other]
            near += jaccard >= 0.5
            high += jaccard >= 0.8
            hits += taken[other] and jaccard >= 0.5
            high_hits += taken[other] and jaccard >= 0.8
    metrics = stages.report["metrics"]
    assert metrics["recall"] == pytest.approx(hits / near, abs=1e-3)
    assert metrics["recall_high"] == pytest.approx(high_hits / high, abs=1e-3)
    assert metrics["precision"] == pytest.approx(hits / found, abs=1e-3)
    assert stages.report["support"]["recall"] == near


def test_the_sample_reaches_the_bars(stages):
    metrics, intervals = stages.report["metrics"], stages.report["intervals"]
    assert metrics["recall_high"] >= 0.99
    assert metrics["recall"] >= 0.92
    assert metrics["precision"] >= 0.9
    assert intervals["recall"][0] <= metrics["recall"] <= intervals["recall"][1]
    assert metrics["estimate_rmse"] < 0.035


def test_blocks_take_fewer_bytes_than_by_any_rule_that_knows_no_files(stages):
    totals = stages.predictions.filter(like="cost").sum()
    assert totals["cost_oracle"] <= totals["cost"]
    for rule in ("zstd_alone", "exact_dedup", "previous_block", "random_block"):
        assert totals["cost"] < 0.7 * totals[f"cost_baseline_{rule}"]
    assert totals["cost"] < 1.05 * totals["cost_baseline_newest_of_file"]
    assert (stages.predictions["cost_oracle"] <= stages.predictions["cost"]).all()
    again = stages.predictions["choice"] == "identical"
    assert (stages.predictions.loc[again, "cost"] == 0).all()
    metrics = evaluate_policies(stages.predictions, stages.facts, EVALUATION, 42)
    assert metrics["saving_over_exact_dedup"] == pytest.approx(1 - totals["cost"] / totals["cost_baseline_exact_dedup"])
    assert stages.facts["bytes_saved_per_cpu_second"] > 0


def test_a_lower_threshold_finds_more_and_is_right_less_often(stages):
    curve = stages.report["tables"]["By threshold"]
    recalls = [row["recall"] for row in curve]
    assert recalls == sorted(recalls, reverse=True)
    assert curve[0]["precision"] < curve[-1]["precision"]
    buckets = stages.report["tables"]["By exact Jaccard similarity"]
    shares = [row["found"] for row in buckets]
    assert shares[0] < 0.05
    assert shares[-1] > 0.99


def test_the_plots_draw_the_tables(stages):
    assert len(plot_recall_precision(stages.report).data) == 3
    line, points = plot_banding(stages.report).data
    assert len(points.x) == len(stages.report["tables"]["By exact Jaccard similarity"])
    assert (line.y[0], line.y[-1]) == (0, 1)


def test_a_threshold_between_both_targets_is_chosen():
    truth = np.linspace(0.3, 0.7, 401)
    pairs = pd.DataFrame({"jaccard": truth, "similarity": truth + 0.03})  # overestimated
    threshold, reached = pair_retrieval.best_threshold(pairs, 0.5, 0.95, 0.95)
    assert threshold == pytest.approx(0.53, abs=0.011)
    assert min(reached.values()) >= 0.95


def test_what_was_not_found_and_what_is_not_known():
    found = pd.DataFrame({"row": [2, 3], "reference": [0, 1], "similarity": [0.9, 0.8]})
    truth = pd.DataFrame({"row": [2, 4], "reference": [0, 0], "jaccard": [0.85, 0.6]})
    pairs = pair_retrieval.with_truth(found, truth)
    assert pair_retrieval.recall(pairs, 0.5, 0.5) == 0.5
    assert pair_retrieval.precision(pairs, 0.5, 0.5) == 0.5
    assert np.isnan(pair_retrieval.recall(pairs, 0.99, 0.5))


def test_without_near_duplicates_no_threshold_can_be_chosen(stages):
    far = stages.train_pairs.assign(jaccard=0.2)
    with pytest.raises(UserError, match=r"none has a Jaccard similarity of 0.5.*model.threshold"):
        train_near_duplicates(stages.train, far, stages.data, {}, SKETCH, MODEL, 1, PROVENANCE)
    fixed = with_values(MODEL, {"threshold": 0.5})
    train_near_duplicates(stages.train, far, stages.data, {}, SKETCH, fixed, 1, PROVENANCE)


def test_a_model_without_blocks_holds_no_sketch(stages):
    model = with_values(MODEL, {"index_blocks": False, "bands": 32, "rows": 4, "threshold": 0.5})
    predictor, _ = train_near_duplicates(
        stages.train, stages.train_pairs, stages.data, {}, SKETCH, model, 1, PROVENANCE
    )
    assert (len(predictor.index), predictor.example) == (0, [])
    assert predictor.predict(stages.holdout.head(3))["reference"].isna().all()


# --- tuning ---


def test_tuning_finds_what_training_takes(stages):
    tuning = MinHashTuning(
        trials=3, folds=2, workers=1, space={"bands": ["int", 16, 64, 8], "threshold": ["float", 0.4, 0.6]}
    )
    best, trials, report = tune_near_duplicates(
        stages.train, stages.train_pairs, SKETCH, MODEL, tuning, 1, TransientStudies()
    )
    assert len(trials) == report["summary"]["trials"] == 3
    assert best["score"] <= best["default_score"]
    model = with_values(MODEL, {"use_tuned": True, "rows": 4})
    _, account = train_near_duplicates(
        stages.train, stages.train_pairs, stages.data, best, SKETCH, model, 1, PROVENANCE
    )
    assert account["chosen"]["threshold"] == best["parameters"]["threshold"]


def test_bands_that_need_too_many_cells_have_a_price_beyond_all_others(stages):
    from augury.pipelines.model_training.minhash_lsh import rows_of

    tuning = MinHashTuning(folds=2, space={"bands": ["int", 8, 64]})
    rows = rows_of(stages.train, stages.train_pairs, SKETCH, MinHashModel())
    problem = MinHashProblem(rows, SKETCH, with_values(MODEL, {"bands": 32, "rows": 4, "hashes": 256}), tuning, 1)
    good = problem.evaluate({"bands": 56, "threshold": 0.5}, 0)
    assert good < problem.evaluate({"bands": 56, "threshold": 0.75}, 0) < IMPOSSIBLE
    assert problem.evaluate({"bands": 64, "rows": 6}, 0) > IMPOSSIBLE
