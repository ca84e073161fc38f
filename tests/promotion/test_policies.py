"""Promotion of policies: replayed on the same cases, judged by what they cost."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.promotion.pipeline import _policy_promotion
from augury.pipelines.promotion.policies import PolicyPromotion, decide_policies
from augury.predictors.policy import replayed
from augury.predictors.predictor_version import PredictorVersion

ROWS = 400
PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00"}
RULES = PolicyPromotion(replicates=200, min_groups=5)
RANDOM = np.random.default_rng(3)
CASES = pd.DataFrame(
    {
        "group": RANDOM.integers(0, 40, ROWS).astype(str),
        "link": RANDOM.choice(["slow", "fast"], ROWS),
        "cheap": RANDOM.gamma(2, 1, ROWS),
        "noise": RANDOM.gamma(2, 1, ROWS),
    },
    index=np.arange(ROWS) + 7,
)


class Policy:
    """Costs what a function of the cases says."""

    def __init__(self, cost: Any) -> None:
        self.cost = cost
        self.metadata = SimpleNamespace(
            family="toy",
            created_at="2026-01-01T00:00:00+00:00",
            data=SimpleNamespace(fingerprint="f" * 64),
            git_commit=None,
        )

    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"cost": np.asarray(self.cost(cases, **tables), dtype=float)})


def version(number: int, policy: Any) -> PredictorVersion:
    return PredictorVersion("augury.toy", str(number), policy, {"augury.gates": "passed"})


def decide(champion: Any, challenger: Any, cases: pd.DataFrame = CASES, tables: Any = None, **rules: Any) -> Any:
    return decide_policies(
        version(1, Policy(champion)),
        version(2, Policy(challenger)),
        cases,
        PROVENANCE,
        RULES.model_copy(update=rules),
        3,
        **(tables or {}),
    )


def test_the_cheaper_policy_is_promoted() -> None:
    found = decide(lambda cases: cases["cheap"] * 1.2, lambda cases: cases["cheap"])
    assert found["verdict"] == "promoted"
    assert found["main"]["improvement"] == pytest.approx(1 - 1 / 1.2)
    assert found["main"]["champion"] == pytest.approx(1)
    assert found["metrics"]["cost"]["challenger"] == pytest.approx(CASES["cheap"].mean())
    assert found["holdout"] == {"rows": ROWS, "groups": 40}


@pytest.mark.parametrize("better", [0.0, 0.05], ids=["same", "below the least"])
def test_the_same_policy_is_kept(better: float) -> None:
    found = decide(lambda cases: cases["cheap"], lambda cases: cases["cheap"] * (1 - better), min_improvement=0.05001)
    assert found["verdict"] == "kept"


def test_what_the_cases_cannot_tell_is_inconclusive() -> None:
    shift = float(CASES["cheap"].mean() - CASES["noise"].mean())
    found = decide(lambda cases: cases["cheap"], lambda cases: cases["noise"] + shift - 0.01)
    assert found["verdict"] == "inconclusive"


def test_no_slice_may_pay_for_the_others() -> None:
    def dearer_on_slow(cases: pd.DataFrame) -> Any:
        return cases["cheap"] * np.where(cases["link"] == "slow", 1.1, 0.5)

    found = decide(lambda cases: cases["cheap"], dearer_on_slow, slices=["link"])
    assert found["verdict"] == "kept"
    assert "where link is slow" in found["reason"]
    assert decide(lambda cases: cases["cheap"], dearer_on_slow)["verdict"] == "promoted"
    assert decide(lambda cases: cases["cheap"], dearer_on_slow, slices=["link"], epsilon_slice=0.11)["verdict"] == (
        "promoted"
    )


@given(exponent=st.integers(-20, 20), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_unit_and_order_change_nothing(exponent: int, seed: int) -> None:
    scale = 2.0**exponent
    expected = decide(lambda cases: cases["cheap"] * 1.1, lambda cases: cases["noise"])["main"]
    found = decide(
        lambda cases: cases["cheap"] * (1.1 * scale),
        lambda cases: cases["noise"] * scale,
        CASES.sample(frac=1, random_state=seed),
    )["main"]
    assert found["metric"] == "relative_cost"
    for name in ("improvement", "lower", "champion", "challenger"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9)


def test_further_tables_reach_the_replay() -> None:
    prices = pd.DataFrame({"price": [2.0]})

    def priced(cases: pd.DataFrame, prices: pd.DataFrame) -> Any:
        return cases["cheap"] * prices["price"].iloc[0]

    found = decide(priced, lambda cases, prices: cases["cheap"], tables={"prices": prices})
    assert found["main"]["improvement"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        pytest.param(lambda cases: cases["absent"], "cannot be replayed", id="column"),
        pytest.param(lambda cases: cases["cheap"] - 100, "finite number >= 0", id="negative"),
        pytest.param(lambda cases: cases["cheap"].head(3), "400 cases with 3 rows", id="rows"),
        pytest.param(lambda cases: cases["cheap"] * 0, "costs nothing", id="nothing"),
    ],
)
def test_a_champion_that_cannot_be_compared_is_incompatible(cost: Any, reason: str) -> None:
    found = decide(cost, lambda cases: cases["cheap"])
    assert found["verdict"] == "incompatible"
    assert reason in found["reason"]


def test_predictors_without_choices_are_incompatible() -> None:
    plain = SimpleNamespace(metadata=Policy(None).metadata)
    found = decide_policies(
        version(1, plain), version(2, Policy(lambda cases: cases["cheap"])), CASES, PROVENANCE, RULES, 3
    )
    assert "makes no choices" in found["reason"]


@pytest.mark.parametrize(
    ("cases", "rules", "message"),
    [
        pytest.param(CASES.head(0), {}, "has no rows", id="empty"),
        pytest.param(CASES, {"group_column": "groop"}, "no column 'groop'.*'group'", id="group"),
        pytest.param(CASES, {"slices": ["limk"]}, "no column 'limk'", id="slice"),
    ],
)
def test_data_that_cannot_decide_is_refused(cases: pd.DataFrame, rules: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decide(lambda found: found["cheap"], lambda found: found["noise"], cases, **rules)


def test_a_replay_keeps_the_rows_names() -> None:
    found = replayed(Policy(lambda cases: cases["cheap"]), CASES)
    assert found.index.equals(CASES.index)
    silent = SimpleNamespace(metadata=Policy(None).metadata, replay=lambda cases: pd.DataFrame(index=cases.index))
    with pytest.raises(UserError, match="says no 'cost'"):
        replayed(silent, CASES)


def test_the_template_takes_further_tables() -> None:
    nodes = {node.name: node for node in _policy_promotion("compression", ("features_prices",)).nodes}
    assert "compression.features_prices" in nodes["compression.decide_promotion"].inputs
