"""Training on Spark: the same rows, vocabulary and scores as in one process, and trees as good."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from augury.pipelines.model_training.boosted_classifier import train_query_cost, training_rows
from augury.pipelines.model_training.distributed_boosting import DistributedRows
from augury.pipelines.model_training.training_rows import CollectedRows, CostUnit, RowSettings, Selection, TreeSettings
from augury.predictors import load_predictor
from augury.predictors.query_cost_trees import open_booster
from augury.predictors.query_vocabulary import VocabularyBounds

pytestmark = [pytest.mark.spark, pytest.mark.slow]

UNIT = CostUnit(cpu_threshold_s=2.0, memory_threshold_gb=0.5, smallest=1e-3)
TRAIN, VALIDATION = Selection("train"), Selection("validation")
SETTINGS = TreeSettings(rounds=60, learning_rate=0.2, max_depth=4, early_stopping_rounds=10)
TOLERANCE = 0.03
"""Of the ROC-AUC: one more or less of twenty heavy rows above a tenth of the light ones is 0.005."""


@pytest.fixture(scope="module")
def spark_matrix(spark, query_matrix):
    import pyarrow

    return spark.createDataFrame(pyarrow.Table.from_pandas(query_matrix, preserve_index=False)).repartition(3).cache()


def row_settings(query_reports, new_template_share=0.0):
    return RowSettings(tuple(query_reports.features["features"]), UNIT, 1.0, new_template_share, 0.5)


@pytest.fixture(scope="module")
def both(query_matrix, spark_matrix, query_reports):
    settings = row_settings(query_reports, 0.3)
    return CollectedRows(query_matrix, settings, 1), DistributedRows(spark_matrix, settings, 2)


def test_rows_vocabulary_and_facts_are_the_same(both):
    collected, distributed = both
    assert collected.dates() == distributed.dates()
    for bounds in (VocabularyBounds(max_terms=60), VocabularyBounds(min_share=0.3, merge_equal=False)):
        assert collected.fit_vocabulary(bounds) == distributed.fit_vocabulary(bounds)
    expected, found = collected.facts(), distributed.facts()
    assert found["weight_sums"] == pytest.approx(expected["weight_sums"])
    for name in ("rows", "groups", "origin", "heavy", "heavy_groups"):
        assert found[name] == expected[name]


@pytest.mark.parametrize("target", ["classifier", "regressor"])
def test_trees_are_as_good_and_scores_are_the_same(target, both):
    for rows in both:
        rows.fit_vocabulary(VocabularyBounds(max_terms=60))
    boosters = [rows.fit(target, SETTINGS, TRAIN, VALIDATION, 3) for rows in both]
    scored, again = (rows.score({target: boosters[0]}, VALIDATION) for rows in both)
    assert scored.equals(again)
    other = both[0].score({target: boosters[1]}, VALIDATION)
    areas = [roc_auc_score(rows["is_heavy"], rows[target]) for rows in (scored, other)]
    assert min(areas) > 0.85
    assert areas[0] == pytest.approx(areas[1], abs=TOLERANCE)
    # Stopped early on the same rows: what is left ends at the best round
    assert all(open_booster(booster).num_boosted_rounds() <= 60 for booster in boosters)
    inside = Selection("train", part=1, parts=3)
    as_new = [rows.score({target: boosters[0]}, inside, as_new_templates=True) for rows in both]
    assert len(as_new[0]) and as_new[0].equals(as_new[1])
    few = [rows.fit(target, SETTINGS.model_copy(update={"rounds": 2}), TRAIN, None, 3) for rows in both]
    assert [open_booster(booster).num_boosted_rounds() for booster in few] == [2, 2]


def test_a_spark_frame_above_the_row_limit_gives_the_same_kind_of_predictor(
    query_matrix, spark_matrix, query_reports, query_model, spark, tmp_path
):
    import pyarrow

    settings = row_settings(query_reports, 0.3)
    train = int((query_matrix["split"] == "train").sum())
    assert isinstance(training_rows(spark_matrix, settings, query_model(row_limit=train)), CollectedRows)
    assert isinstance(training_rows(spark_matrix, settings, query_model(row_limit=train - 1)), DistributedRows)
    # A pandas frame is in one process already
    assert isinstance(training_rows(query_matrix, settings, query_model(row_limit=0)), CollectedRows)
    provenance = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}

    def run(matrix, history, **changes):
        reports = query_reports
        model = query_model(folds=0, template_parts=2, **changes)
        return train_query_cost(
            matrix, history, reports.features, reports.zero_cost, reports.data, {}, model, 3, provenance
        )[0]

    kinds = {"date": pyarrow.string(), "kind": pyarrow.string(), "key": pyarrow.string()}
    history = query_reports.history
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in history])
    spark_history = spark.createDataFrame(pyarrow.Table.from_pandas(history, schema=schema, preserve_index=False))
    in_process = run(query_matrix, history)
    collected, distributed = (run(spark_matrix, spark_history, row_limit=limit) for limit in (10**6, 0))
    assert collected.onnx == in_process.onnx
    distributed.save(tmp_path / "model")
    loaded = load_predictor(tmp_path / "model")
    # All held-out rows, or too few are heavy for a comparison; and known and new templates apart, whose calibrations
    # to each other hang on a few rows
    rows = query_matrix[query_matrix["split"] != "train"]
    heavy, new = rows["is_heavy"].to_numpy(), (rows["template_seen"] == 0).to_numpy()
    found, expected = (item.predict_matrix(rows)["probability"].to_numpy() for item in (loaded, in_process))
    for mask in (new, ~new):
        areas = [roc_auc_score(heavy[mask], values[mask]) for values in (found, expected)]
        assert areas[0] == pytest.approx(areas[1], abs=TOLERANCE)
    assert loaded.compare_onnx(rows)["max_difference"] < 1e-12
    assert np.isfinite(found).all()
