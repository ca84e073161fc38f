"""Regressors are tuned by what choices cost on other lineages; one space serves both kinds."""

from pathlib import Path

import pytest
import yaml

from augury.errors import UserError
from augury.pipelines.tuning.codec_choice_search import CompressionTuning, tune_codec_choice
from augury.pipelines.tuning.racing import TransientStudies

from .conftest import CONTEXTS, SEED, small_model

PARAMETERS = Path(__file__).parents[2] / "conf/base/parameters/compression.yml"


def tuned(tables, model=None, **changes):
    settings = {"trials": 2, "folds": 2, "space": {"trees.rounds": ["int", 5, 20]}}
    tuning = CompressionTuning.model_validate(settings | changes)
    return tune_codec_choice(
        tables.train, tables.layout, CONTEXTS, model or small_model(), tuning, SEED, TransientStudies()
    )


def test_of_the_projects_space_only_the_kind_in_force_is_tuned(tables):
    space = yaml.safe_load(PARAMETERS.read_text(encoding="utf-8"))["compression"]["tuning"]["space"]
    best, trials, _ = tuned(tables, space=space | {"trees.rounds": ["int", 5, 20]})
    assert set(best["parameters"]) == {path for path in space if path.startswith("trees.")}
    assert len(trials) == 2 and best["score"] <= best["default_score"]


@pytest.mark.parametrize("metric", ["regret", "share_error"])
def test_the_default_is_scored_with_and_without_a_second_opinion(tables, metric):
    scores = [
        tuned(tables, small_model(landmarks=landmarks), metric=metric, trials=1)[0]["default_score"]
        for landmarks in (None, {"landmarks": 40})
    ]
    assert all(0 <= score < 0.2 for score in scores) and scores[0] != scores[1]


def test_what_does_not_belong_to_regressors_is_not_tuned(tables):
    with pytest.raises(UserError, match="only parameters under 'trees'"):
        tuned(tables, space={"gates.keep": ["float", 0.5, 0.9]})
