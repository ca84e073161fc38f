"""Promotion of regressions, with `pdf_memory`."""

import numpy as np
import pytest

from augury.errors import UserError
from augury.pipelines.promotion.regression import decide_regression
from augury.pipelines.promotion.rules import RegressionPromotion

PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00"}
RULES = RegressionPromotion(replicates=200, min_groups=5)


@pytest.fixture
def decide(pdf_features, version, pdf_predictors):
    def run(champion, challenger, rows=None, **rules):
        return decide_regression(
            version(1, pdf_predictors.get(champion, champion)),
            version(2, pdf_predictors.get(challenger, challenger)),
            pdf_features.holdout if rows is None else rows,
            pdf_features.specification,
            PROVENANCE,
            RULES.model_copy(update=rules),
            3,
        )

    return run


@pytest.mark.parametrize("loss", ["log_error", "absolute_error"])
def test_the_better_recipe_is_promoted(decide, pdf_features, pdf_predictors, loss):
    found = decide("original", "physics_trees", loss=loss)
    rows = pdf_features.holdout
    actual = rows["peak_mem_mb"].to_numpy()
    errors = {}
    for name in ("original", "physics_trees"):
        predicted = pdf_predictors[name].predict(rows)["predicted"].to_numpy()
        errors[name] = np.abs(np.log(predicted) - np.log(actual)) if loss == "log_error" else np.abs(predicted - actual)
    assert found["main"]["metric"] == loss
    assert found["main"]["improvement"] == pytest.approx(errors["original"].mean() - errors["physics_trees"].mean())
    assert found["holdout"] == {"rows": len(rows), "groups": rows["file_id"].nunique()}
    assert found["verdict"] == "promoted"


def test_the_worse_and_the_same_are_kept_out(decide):
    assert decide("physics_trees", "original")["verdict"] == "kept"
    assert decide("original", "original")["verdict"] == "kept"


def test_a_champion_that_asks_for_other_columns_is_incompatible(decide, pdf_features):
    found = decide("original", "physics_trees", rows=pdf_features.holdout.drop(columns="pages"))
    assert found["verdict"] == "incompatible"
    assert (
        "the champion cannot predict the held-out rows: pdf_memory: required column missing: 'pages'"
        in (found["reason"])
    )


def test_logarithms_need_positive_values(decide, pdf_features):
    rows = pdf_features.holdout.copy()
    rows.loc[rows.index[0], "peak_mem_mb"] = 0.0
    with pytest.raises(UserError, match=r"'promotion\.loss': 'log_error' needs positive values"):
        decide("original", "physics_trees", rows=rows)
    assert decide("original", "physics_trees", rows=rows, loss="absolute_error")["verdict"] == "promoted"


def test_no_rows_are_refused(decide, pdf_features):
    with pytest.raises(UserError, match="'features_holdout' has no rows"):
        decide("original", "physics_trees", rows=pdf_features.holdout.iloc[:0])
