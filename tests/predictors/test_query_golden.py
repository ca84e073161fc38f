"""Golden vectors: they cover every history feature, survive JSON, and find one other bit."""

import copy
import json

import numpy as np
import pytest

from augury.errors import UserError
from augury.predictors import query_golden
from augury.predictors.query_features import QueryFeatures, feature_names
from augury.predictors.query_golden import check_golden, golden_vectors
from augury.predictors.query_history import HISTORY, HISTORY_EXT

FEATURES = QueryFeatures()


@pytest.fixture(scope="module")
def golden():
    return json.loads(json.dumps(golden_vectors(FEATURES), allow_nan=False))


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """What was checked in another test is checked again."""
    monkeypatch.setattr(query_golden, "_CHECKED", set())


def test_what_was_recorded_here_is_found_here(golden):
    assert len(golden["vectors"]) == 50
    check_golden(golden, FEATURES, "the test")


def test_every_history_feature_and_most_others_vary_among_the_vectors(golden):
    matrix = np.array([np.frombuffer(bytes.fromhex(vector["numbers"]), dtype="<f4") for vector in golden["vectors"]])
    varied = {
        name for name, column in zip(feature_names(FEATURES), matrix.T, strict=True) if len(np.unique(column)) > 1
    }
    assert set(HISTORY) | set(HISTORY_EXT) <= varied
    assert len(varied) >= 0.9 * len(feature_names(FEATURES))


@pytest.mark.parametrize("place", [0, 60, len(feature_names(FEATURES)) - 1])
def test_one_other_bit_is_named(golden, place):
    other = copy.deepcopy(golden)
    numbers = bytearray(bytes.fromhex(other["vectors"][7]["numbers"]))
    numbers[4 * place] ^= 1
    other["vectors"][7]["numbers"] = numbers.hex()
    name = feature_names(FEATURES)[place]
    with pytest.raises(UserError, match=f"worker 3 computes other features .* '{name}' of .*numpy"):
        check_golden(other, FEATURES, "worker 3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": "0"}, "digest of the terms"),
        ({"template": "0"}, "the template"),
        ({"numbers": "00"}, "the number of"),
    ],
)
def test_all_else_that_differs_is_named(golden, change, message):
    other = copy.deepcopy(golden)
    other["vectors"][7] |= change
    if "numbers" in change:
        other["vectors"][7]["numbers"] = golden["vectors"][7]["numbers"] + "00000000"
    with pytest.raises(UserError, match=message):
        check_golden(other, FEATURES, "the test")


def test_another_past_is_another_vector(golden):
    other = copy.deepcopy(golden)
    other["snapshot"][0]["heavy"] += 1.0
    with pytest.raises(UserError, match="heavy_rate"):
        check_golden(other, FEATURES, "the test")


def test_other_parameters_are_noticed(golden):
    with pytest.raises(UserError, match="heavy_rate"):
        check_golden(golden, FEATURES.model_copy(update={"prior_weight": 21.0}), "the test")
    with pytest.raises(UserError, match="number of features"):
        check_golden(golden, FEATURES.model_copy(update={"extra": False}), "the test")


def test_a_set_of_vectors_is_computed_once_in_a_process(golden, monkeypatch):
    check_golden(golden, FEATURES, "the test")

    def fail(*arguments):
        raise AssertionError("computed again")

    monkeypatch.setattr(query_golden, "featurise_rows", fail)
    check_golden(golden, FEATURES, "the test")
    with pytest.raises(AssertionError):
        check_golden(golden | {"more": 1}, FEATURES, "the test")
