"""Gates: which values pass, what a mistake in them says, and what a failed run says."""

import json
import logging
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from augury.errors import GateFailure, UserError
from augury.pipelines.evaluation.gates import Gate, Gates, enforce_gates, gate_table, judge

METRICS: dict[str, Any] = {
    "mape_pct": 14.7,
    "r2": 0.99,
    "n_test": 180,
    "under_rate_95": 0.04,
    "undefined": None,
    "unit": "MB",
    "intervals": {"mape_pct": [12.0, 17.5], "under_rate_95": [0.02, 0.07]},
}


def gates(**limits: Any) -> Gates:
    return Gates.model_validate(limits)


@pytest.mark.parametrize(
    ("name", "limits", "passed", "rule"),
    [
        ("mape_pct", {"max": 14.7}, True, "<= 14.7"),
        ("mape_pct", {"max": 14.6}, False, "<= 14.6"),
        ("r2", {"min": 0.99}, True, ">= 0.99"),
        ("r2", {"min": 0.991}, False, ">= 0.991"),
        ("n_test", {"min": 100}, True, ">= 100"),
        ("mape_pct", {"min": 1, "max": 20}, True, ">= 1 and <= 20"),
        ("under_rate_95", {"max": 0.05}, True, "<= 0.05"),
        ("under_rate_95", {"max": 0.05, "on": "upper"}, False, "<= 0.05 on upper bound"),
        ("under_rate_95", {"max": 0.03, "on": "lower"}, True, "<= 0.03 on lower bound"),
        ("undefined", {"max": 1e9}, False, "<= 1e+09"),
        ("undefined", {"max": 1, "on": "upper"}, False, "<= 1 on upper bound"),
    ],
)
def test_limits_are_inclusive_and_read_the_chosen_end(
    name: str, limits: dict[str, Any], passed: bool, rule: str
) -> None:
    (row,) = judge(METRICS, gates(**{name: limits}))
    assert (row["metric"], row["passed"], row["rule"]) == (name, passed, rule)


def test_a_row_holds_value_and_interval_and_survives_json() -> None:
    rows = judge(METRICS, gates(under_rate_95={"max": 1}, r2={"min": 0}, undefined={"min": 0}))
    assert rows[0] == {
        "metric": "under_rate_95",
        "value": 0.04,
        "lower": 0.02,
        "upper": 0.07,
        "rule": "<= 1",
        "passed": True,
        "verdict": "pass",
        "reason": "",
    }
    assert [row["metric"] for row in rows] == ["under_rate_95", "r2", "undefined"]
    assert rows[1]["lower"] is None
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float64("nan")])
def test_a_value_that_is_not_finite_never_passes(value: float) -> None:
    (row,) = judge({"loss": value}, gates(loss={"min": -1e300}))
    assert row["passed"] is False
    assert row["value"] is None


def test_numpy_values_become_plain_numbers() -> None:
    (row,) = judge({"loss": np.float32(0.5), "intervals": {}}, gates(loss={"max": 0.5}))
    assert type(row["value"]) is float
    assert row["passed"] is True


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"mape_pc": {"max": 1}}, "Gate 'mape_pc'.*Did you mean 'mape_pct'"),
        ({"intervals": {"max": 1}}, "no such metric"),
        ({"unit": {"max": 1}}, "not a number but 'MB'"),
        ({"r2": {"min": 0.9, "on": "lower"}}, "'r2' has no interval.*mape_pct, under_rate_95"),
    ],
)
def test_a_gate_that_cannot_be_judged_is_a_mistake(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        judge(METRICS, gates(**limits))


@pytest.mark.parametrize(
    "limits",
    [
        {"r2": {}},
        {"r2": {"min": 2, "max": 1}},
        {"r2": {"minimum": 1}},
        {"r2": {"min": float("nan")}},
        {"r2": {"min": 0, "on": "median"}},
        {"r2": 0.9},
        {"enforce": "perhaps"},
    ],
)
def test_ill_formed_gates_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate(limits)


def test_gates_are_frozen_and_default_to_not_enforced() -> None:
    found = gates(r2={"min": 0.9})
    assert found.enforce is False
    assert found.by_metric == {"r2": Gate(min=0.9)}
    with pytest.raises(ValidationError):
        found.enforce = True


def test_no_gates_pass_nothing_and_fail_nothing() -> None:
    assert judge(METRICS, Gates()) == []
    assert gate_table([]) == "No gates were set."
    enforce_gates([], Gates(enforce=True), "report")


def test_table_is_aligned_and_names_what_failed() -> None:
    table = gate_table(judge(METRICS, gates(mape_pct={"max": 20}, under_rate_95={"max": 0.01})))
    header, first, second = table.splitlines()
    assert header.index("rule") == first.index("<= 20") == second.index("<= 0.01")
    assert first.endswith("pass")
    assert second.endswith("FAIL")
    assert "0.02 to 0.07" in second


def test_enforced_gates_fail_the_run_with_the_table() -> None:
    limits = gates(enforce=True, mape_pct={"max": 20}, r2={"min": 0.999})
    rows = judge(METRICS, limits)
    with pytest.raises(GateFailure) as failure:
        enforce_gates(rows, limits, "report")
    assert str(failure.value).startswith("1 of 2 gates failed: r2.\n")
    assert gate_table(rows) in str(failure.value)
    assert failure.value.exit_code == 99


def test_gates_that_are_not_enforced_or_all_met_let_the_run_pass() -> None:
    enforce_gates(judge(METRICS, gates(r2={"min": 1})), gates(r2={"min": 1}), "report")
    met = gates(enforce=True, r2={"min": 0.5})
    enforce_gates(judge(METRICS, met), met, "report")


@pytest.mark.parametrize(
    ("name", "limits", "verdict"),
    [
        # mape_pct: 14.7 within 12.0 to 17.5
        ("mape_pct", {"max": 18, "on": "upper"}, "pass"),
        ("mape_pct", {"max": 17.5, "on": "upper"}, "pass"),
        ("mape_pct", {"max": 16, "on": "upper"}, "inconclusive"),
        ("mape_pct", {"max": 14, "on": "upper"}, "fail"),
        ("mape_pct", {"min": 11, "on": "lower"}, "pass"),
        ("mape_pct", {"min": 13, "on": "lower"}, "inconclusive"),
        ("mape_pct", {"min": 15, "on": "lower"}, "fail"),
        ("mape_pct", {"max": 14.6}, "fail"),
        ("undefined", {"max": 1, "on": "upper"}, "fail"),
        ("undefined", {"max": 1}, "fail"),
    ],
)
def test_a_limit_that_only_the_value_meets_is_inconclusive(name: str, limits: dict[str, Any], verdict: str) -> None:
    (row,) = judge(METRICS, gates(**{name: limits}))
    assert row["verdict"] == verdict
    assert row["passed"] is (verdict == "pass")


SUPPORTED = {**METRICS, "precision": 0.9, "intervals": {"precision": [0.85, 0.94]}, "support": {"precision": 40}}


def test_too_little_support_is_inconclusive_whatever_the_value() -> None:
    for limit in (0.8, 0.95):
        (row,) = judge(SUPPORTED, gates(precision={"min": limit, "on": "lower", "min_support": 41}))
        assert (row["verdict"], row["passed"], row["reason"]) == ("inconclusive", False, "rests on 40 rows")
        assert row["rule"] == f">= {limit:g} on lower bound from 41 rows on"
    (row,) = judge(SUPPORTED, gates(precision={"min": 0.8, "on": "lower", "min_support": 40}))
    assert row["verdict"] == "pass"
    (row,) = judge(SUPPORTED, gates(r2={"min": 0.8, "min_support": 181}))
    assert row["reason"] == "rests on 180 rows"
    with pytest.raises(UserError, match=r"'evaluation\.support'"):
        judge(METRICS, gates(r2={"min": 0.8, "min_support": 100}))


def test_an_optional_gate_on_what_could_not_be_computed_is_left_out() -> None:
    assert judge(METRICS, gates(undefined={"max": 1, "on": "upper", "optional": True})) == []
    (row,) = judge(METRICS, gates(r2={"min": 1, "optional": True}))
    assert row["verdict"] == "fail"
    with pytest.raises(UserError, match="no such metric"):
        judge(METRICS, gates(nonsense={"max": 1, "optional": True}))


def test_the_table_names_all_three_verdicts() -> None:
    limits = gates(mape_pct={"max": 16, "on": "upper"}, r2={"min": 0.9}, under_rate_95={"max": 0.01})
    _, unsure, passed, failed = gate_table(judge(METRICS, limits)).splitlines()
    assert "INCONCLUSIVE: the value is within the limit, its upper bound is not" in unsure
    assert passed.endswith("pass")
    assert failed.endswith("FAIL")


def test_an_inconclusive_gate_fails_an_enforced_run_and_says_why() -> None:
    limits = gates(enforce=True, mape_pct={"max": 16, "on": "upper"}, r2={"min": 0.999}, n_test={"min": 1})
    with pytest.raises(GateFailure) as failure:
        enforce_gates(judge(METRICS, limits), limits, "page", "text")
    message = str(failure.value)
    assert message.startswith("1 of 3 gates failed: r2.\n1 of 3 gates inconclusive (too few rows): mape_pct.\nmetric")
    assert failure.value.exit_code == 99
    only = gates(enforce=True, mape_pct={"max": 16, "on": "upper"})
    with pytest.raises(GateFailure, match=r"^1 of 1 gates inconclusive \(too few rows\): mape_pct\."):
        enforce_gates(judge(METRICS, only), only, "report")


def test_an_inconclusive_gate_can_be_a_warning_alone(caplog: pytest.LogCaptureFixture) -> None:
    limits = gates(enforce=True, inconclusive="warn", mape_pct={"max": 16, "on": "upper"})
    with caplog.at_level(logging.WARNING):
        enforce_gates(judge(METRICS, limits), limits, "report")
    assert "1 of 1 gates inconclusive (too few rows): mape_pct." in caplog.text
    failing = gates(enforce=True, inconclusive="warn", mape_pct={"max": 16, "on": "upper"}, r2={"min": 1})
    with pytest.raises(GateFailure):
        enforce_gates(judge(METRICS, failing), failing, "report")
    with pytest.raises(ValidationError):
        gates(inconclusive="perhaps")


def test_a_bare_on_in_yaml_is_understood():
    import yaml

    assert Gate.model_validate(yaml.safe_load("{min: 0.85, on: lower}")) == Gate(min=0.85, on="lower")
