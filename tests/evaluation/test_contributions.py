"""Contributions: which rows are explained, that they add up to the score, and what the plot shows."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.contributions import (
    MOST_FEATURES,
    MOST_POINTS,
    explain_holdout,
    mean_contributions,
    plot_contributions,
)

FEATURES = [f"feature_{number:02}" for number in range(30)]
EVALUATION = BinaryEvaluation(row_id="purchase_id", explained_rows=400)


class Linear:
    """What each feature adds is its value times its number."""

    def contributions(self, matrix: pd.DataFrame) -> pd.DataFrame:
        found = matrix[FEATURES].fillna(0) * np.arange(len(FEATURES), dtype=np.float32)
        return found.assign(bias=-1.5)


def matrix(rows: int = 1000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(0, 1, (rows, len(FEATURES))).astype(np.float32), columns=FEATURES)
    frame.loc[:9, "feature_29"] = np.nan
    frame["purchase_id"] = [f"purchase-{number:04}" for number in range(rows)]
    return frame.assign(split=np.where(np.arange(rows) < 300, "train", "test"))


@pytest.fixture(scope="module")
def explained() -> pd.DataFrame:
    return explain_holdout(Linear(), matrix(), EVALUATION)


def test_held_out_rows_are_drawn_and_their_values_stand_beside_their_contributions(explained: pd.DataFrame) -> None:
    frame = matrix().set_index("purchase_id")
    assert len(explained) == 400
    assert explained["row_id"].is_monotonic_increasing
    rows = frame.loc[explained["row_id"]]
    assert set(rows["split"]) == {"test"}
    assert explained["value_feature_07"].to_numpy() == pytest.approx(rows["feature_07"].to_numpy())
    assert explained["shap_feature_07"].to_numpy() == pytest.approx(7 * rows["feature_07"].to_numpy(), rel=1e-5)
    assert (explained["bias"] == -1.5).all()


def test_the_draw_depends_on_ids_alone(frame_engine: Any, explained: pd.DataFrame) -> None:
    shuffled = matrix().sample(frac=1, random_state=1)
    assert explain_holdout(Linear(), frame_engine.make(shuffled), EVALUATION).equals(explained)
    every = explain_holdout(Linear(), matrix(), EVALUATION.model_copy(update={"explained_rows": 5000}))
    assert len(every) == 700


def test_the_plot_draws_the_features_that_move_most(explained: pd.DataFrame) -> None:
    sizes = mean_contributions(explained)
    assert sizes.index[0] == "feature_29"
    assert sizes.is_monotonic_decreasing
    figure = plot_contributions(explained)
    missing, known = figure.data
    assert len(missing.x) + len(known.x) == MOST_FEATURES * MOST_POINTS
    assert set(np.round(known.y).astype(int)) == set(range(MOST_FEATURES))
    assert figure.layout.yaxis.ticktext[0] == "feature_29"
    # The colour is the rank of the value, which is that of the contribution here
    first = np.abs(np.array(known.y)) < 0.5
    x, colour = np.array(known.x)[first], np.array(known.marker.color)[first]
    assert np.corrcoef(np.argsort(np.argsort(x)), colour)[0, 1] > 0.99
    assert "NaN" not in figure.to_json()
    assert json.loads(figure.to_json())


def test_unknown_values_are_grey_and_named_so() -> None:
    frame = matrix().assign(split="test")
    figure = plot_contributions(explain_holdout(Linear(), frame.head(50), EVALUATION))
    assert list(figure.data[0].text) == ["feature_29: unknown"] * 10


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(UserError, match=r"no column 'purchase_ids'. Did you mean 'purchase_id'"):
        explain_holdout(Linear(), matrix(), EVALUATION.model_copy(update={"row_id": "purchase_ids"}))


class Computing(Linear):
    """One more feature, which the table does not have."""

    def contributions(self, matrix: pd.DataFrame) -> pd.DataFrame:
        return super().contributions(matrix).assign(effect=0.5)


class Telling(Computing):
    def feature_values(self, matrix: pd.DataFrame) -> pd.DataFrame:
        return matrix[FEATURES].assign(effect=np.arange(len(matrix)))


def test_values_that_the_predictor_computes_are_those_it_tells() -> None:
    silent, telling = (explain_holdout(predictor, matrix(), EVALUATION) for predictor in (Computing(), Telling()))
    assert silent["value_effect"].isna().all()
    assert telling["value_effect"].tolist() == list(range(400))
    assert (telling["shap_effect"] == 0.5).all()
    assert telling["value_feature_07"].equals(silent["value_feature_07"])
    assert plot_contributions(telling).to_json()


def test_names_cannot_inject_markup() -> None:
    evil = "<a href='x'>y</a>"
    frame = pd.DataFrame({"row_id": ["a", "b"], "bias": 0.0, f"shap_{evil}": [1.0, 2.0], f"value_{evil}": [1.0, 2.0]})
    figure = plot_contributions(frame)
    assert "<a" not in json.dumps(json.loads(figure.to_json())["data"])
    assert "<a" not in json.dumps(figure.layout.yaxis.to_plotly_json())
