"""Flat names of nested parameters and reports."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from augury.tracking.flattening import flat_metrics, flat_parameters

names = st.text("abc_", min_size=1, max_size=4)
scalars = st.integers() | st.booleans() | st.none() | st.sampled_from(["", "MB"])
branches = st.recursive(scalars, lambda inner: st.dictionaries(names, inner), max_leaves=8)
trees = st.dictionaries(names, branches, max_size=4)


@given(trees)
def test_every_leaf_is_found_by_its_path(tree: dict[str, Any]) -> None:
    flat = flat_parameters(tree)
    for path, text in flat.items():
        value: Any = tree
        for part in path.split("."):
            value = value[part]
        assert text == (str(value) if not isinstance(value, dict) else "{}")
    assert len(flat) == sum(1 for _ in _leaves(tree))


def _leaves(tree: Any) -> Any:
    for value in tree.values():
        if isinstance(value, dict) and value:
            yield from _leaves(value)
        else:
            yield value


def test_typed_parameters_are_flattened_with_their_defaults() -> None:
    class Trees(BaseModel):
        rounds: int = 5
        levels: tuple[float, ...] = (0.9, 0.95)

    @dataclass
    class Split:
        share: float = 0.2

    assert flat_parameters({"model": Trees(), "split": Split(), "stages": [Trees()]}) == {
        "model.rounds": "5",
        "model.levels": "[0.9, 0.95]",
        "split.share": "0.2",
        "stages": '[{"rounds": 5, "levels": [0.9, 0.95]}]',
    }


def test_only_finite_numbers_are_metrics() -> None:
    report = {
        "mae": np.float64(1.5),
        "rows": np.int64(3),
        "passed": True,
        "unit": "MB",
        "r2": None,
        "worst": math.inf,
        "bias": math.nan,
        "curve": [1, 2, 3],
        "by_kind": {"scan": {"mae": 2, "intervals": {"mae": [1, 3]}}},
        "intervals": {"mae": [1.0, 2.0], "r2": None},
    }
    assert flat_metrics(report) == {
        "mae": 1.5,
        "rows": 3.0,
        "by_kind.scan.mae": 2.0,
        "by_kind.scan.mae.lower": 1.0,
        "by_kind.scan.mae.upper": 3.0,
        "mae.lower": 1.0,
        "mae.upper": 2.0,
    }


def test_a_report_that_is_no_mapping_has_no_metrics() -> None:
    assert flat_metrics([1, 2]) == {}
    assert flat_metrics(None) == {}
