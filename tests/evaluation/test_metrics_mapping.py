"""Facts in a metrics mapping: flattened, plain, and never at odds with what was computed."""

from typing import Any

import numpy as np
import pytest

from augury.errors import UserError
from augury.metrics.metrics_mapping import json_number, with_facts


def test_facts_come_first_and_are_plain() -> None:
    facts = {"n_train": np.int64(5), "origin": {"measured": 3}, "note": "x", "gap": float("nan")}
    found = with_facts(facts, {"mae": 1.5, "r2": None}, {"mae": [1, 2], "r2": [0, 1]})
    assert found == {
        "n_train": 5,
        "origin_measured": 3,
        "note": "x",
        "gap": None,
        "mae": 1.5,
        "r2": None,
        "intervals": {"mae": [1, 2]},
    }
    assert type(found["n_train"]) is int


def test_a_fact_may_repeat_but_not_contradict() -> None:
    assert with_facts({"n_train": 5, "seed": 7}, {"seed": 7}, {})["seed"] == 7
    with pytest.raises(UserError, match="'seed' is 8, but the evaluation found 7"):
        with_facts({"n_train": 5, "seed": 8}, {"seed": 7}, {})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"rows": 5}, "'n_train'.*is missing; there are: rows"),
        ({}, "there are: none"),
        ({"n_train": 5, "levels": [95, 99]}, "'levels' must be a number or text"),
        ({"n_train": 5, "intervals": "none"}, "'intervals' must be"),
    ],
)
def test_bad_facts_are_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_facts(facts, {}, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.float32(0.5), 0.5), (np.int8(3), 3), (None, None), (np.nan, None), (-np.inf, None)],
)
def test_numbers_become_plain_or_none(value: Any, expected: float | None) -> None:
    found = json_number(value)
    assert found == expected
    assert type(found) is type(expected)
