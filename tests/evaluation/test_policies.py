"""Judging a policy: costs beside plain rules and the oracle, choices, plots and the report."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from augury.errors import UserError
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.gathered_metrics import gather_metrics
from augury.pipelines.evaluation.policies import compare_baselines, evaluate_policies, evaluate_slices
from augury.pipelines.evaluation.policy_choices import judge_choices
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.evaluation.policy_plots import plot_choices, plot_costs, plot_slices
from augury.pipelines.evaluation.policy_report import policy_report
from augury.pipelines.evaluation.wiring.policies import policy_nodes
from augury.predictors.contract import DataFacts, Metadata

FACTS = {"n_train": 70, "decision_us_p50": 2.5, "onnx": {"rows": 5}}
EVALUATION = PolicyEvaluation(unit="ms", bootstrap_replicates=200, min_slice_rows=5)
NAMES = np.array(["none", "lz4", "zstd-3"])


def replay(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Three choices; the model knows their costs but for some noise, two rules always take the same one."""
    random = np.random.default_rng(seed)
    costs = random.gamma(2, 1, (rows, 3)) * random.gamma(5, 0.2, 30)[random.integers(0, 30, rows)][:, None]
    chosen = {
        "": np.argmin(costs + random.normal(0, 0.5, costs.shape), axis=1),
        "_baseline_none": np.zeros(rows, dtype=int),
        "_baseline_lz4": np.ones(rows, dtype=int),
        "_oracle": costs.argmin(axis=1),
    }
    columns: dict[str, Any] = {
        "case": [f"c{number:05d}" for number in range(rows)],
        "group": [f"g{number}" for number in random.integers(0, 30, rows)],
        "slice_link_mbps": random.choice([10.0, 80.0, 400.0], rows),
        "slice_all": "same",
    }
    for suffix, choice in chosen.items():
        columns |= {f"cost{suffix}": costs[np.arange(rows), choice], f"choice{suffix}": NAMES[choice]}
    return pd.DataFrame(columns)


FRAME = replay()


def evaluate(frame: pd.DataFrame = FRAME, evaluation: PolicyEvaluation = EVALUATION) -> dict[str, Any]:
    return evaluate_policies(frame, FACTS, evaluation, 3)


def test_metrics_are_ratios_of_sums() -> None:
    found = evaluate()
    model, none, lz4, oracle = (FRAME[f"cost{end}"].sum() for end in ("", "_baseline_none", "_baseline_lz4", "_oracle"))
    best = min(none, lz4)
    assert found["best_baseline"] == ("none" if none < lz4 else "lz4")
    assert found["cost"] == pytest.approx(model / 300)
    assert found["saving_over_none"] == pytest.approx((none - model) / none)
    assert found["saving_over_best_baseline"] == pytest.approx((best - model) / best)
    assert found["cost_over_best_baseline"] == pytest.approx(model / best)
    assert found["cost_over_oracle"] == pytest.approx(model / oracle)
    assert found["regret"] == pytest.approx((model - oracle) / oracle)
    assert found["regret_over_lz4"] == pytest.approx((model - oracle) / (lz4 - oracle))
    assert found["accuracy"] == pytest.approx(accuracy_score(FRAME["choice_oracle"], FRAME["choice"]))
    assert (found["n_test"], found["n_test_groups"], found["unit"], found["onnx_rows"]) == (300, 30, "ms", 5)
    json.dumps(found, allow_nan=False)


def test_intervals_are_those_of_a_bootstrap_of_groups() -> None:
    """Against a loop over resampled groups with its own generator; the ends agree up to the noise of both."""
    many = PolicyEvaluation(bootstrap_replicates=4000)
    lower, upper = evaluate(evaluation=many)["intervals"]["saving_over_lz4"]
    sums = FRAME.groupby("group")[["cost", "cost_baseline_lz4"]].sum().to_numpy()
    drawn = np.random.default_rng(1).integers(0, len(sums), (4000, len(sums)))
    totals = sums[drawn].sum(axis=1)
    expected = np.quantile(1 - totals[:, 0] / totals[:, 1], [0.025, 0.975])
    assert [lower, upper] == pytest.approx(expected, abs=0.15 * (upper - lower))


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_cases_changes_nothing(seed: int) -> None:
    shuffled = FRAME.sample(frac=1, random_state=seed)
    assert evaluate(shuffled) == evaluate()
    assert compare_baselines(shuffled, EVALUATION, 3) == compare_baselines(FRAME, EVALUATION, 3)
    assert evaluate_slices(shuffled, EVALUATION, 3) == evaluate_slices(FRAME, EVALUATION, 3)
    assert judge_choices(shuffled, EVALUATION) == judge_choices(FRAME, EVALUATION)


@given(exponent=st.integers(-20, 20))
@settings(max_examples=15, deadline=None)
def test_ratios_do_not_depend_on_the_unit_of_the_cost(exponent: int) -> None:
    scale = 2.0**exponent
    scaled = FRAME.assign(**{name: FRAME[name] * scale for name in FRAME if str(name).startswith("cost")})
    before, after = evaluate(), evaluate(scaled)
    assert after["cost"] == before["cost"] * scale
    for name in before:
        if name.startswith(("saving", "regret", "cost_over")):
            assert after[name] == before[name]
            assert after["intervals"][name] == before["intervals"][name]


@given(rows=st.integers(2, 60), seed=st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_bounds_of_the_metrics(rows: int, seed: int) -> None:
    frame = replay(rows, seed)
    found = evaluate(frame)
    assert found["cost_oracle"] <= found["cost"] + 1e-12
    assert found["cost_oracle"] <= found["cost_best_baseline"] + 1e-12
    assert found["saving_over_best_baseline"] <= min(found["saving_over_none"], found["saving_over_lz4"]) + 1e-12
    assert found["cost_over_best_baseline"] == pytest.approx(1 - found["saving_over_best_baseline"])
    for name, (lower, upper) in found["intervals"].items():
        assert lower <= upper, name


def test_the_oracle_has_no_regret() -> None:
    found = evaluate(FRAME.assign(cost=FRAME["cost_oracle"], choice=FRAME["choice_oracle"]))
    assert (found["regret"], found["regret_over_best_baseline"], found["accuracy"]) == (0, 0, 1)
    assert found["intervals"]["regret"] == [0, 0]


def test_a_policy_that_is_the_best_baseline_saves_nothing() -> None:
    best = evaluate()["best_baseline"]
    found = evaluate(FRAME.assign(cost=FRAME[f"cost_baseline_{best}"]))
    assert found["saving_over_best_baseline"] == 0
    assert found["intervals"]["saving_over_best_baseline"] == [0, 0]
    assert found["regret_over_best_baseline"] == 1


def test_the_interval_of_chance_holds_nothing_saved() -> None:
    """Costs drawn alike for both: no saving, and the interval says so; a model that is a tenth cheaper has none."""
    random = np.random.default_rng(4)
    noise = random.gamma(2, 1, (300, 2))
    alike = FRAME.assign(cost=noise[:, 0], cost_baseline_none=noise[:, 1], cost_baseline_lz4=9.0).drop(
        columns="cost_oracle"
    )
    lower, upper = evaluate(alike)["intervals"]["saving_over_best_baseline"]
    assert lower < 0 < upper
    cheaper = evaluate(alike.assign(cost=0.9 * noise[:, 1]))["intervals"]["saving_over_best_baseline"]
    assert cheaper == pytest.approx([0.1, 0.1])


def test_without_oracle_and_choices_only_rules_are_compared() -> None:
    bare = FRAME[["case", "group", "cost", "cost_baseline_lz4"]]
    found = evaluate(bare)
    assert not [name for name in found if "regret" in name or "oracle" in name or name == "accuracy"]
    rows = compare_baselines(bare, EVALUATION, 3)
    assert [row["kind"] for row in rows] == ["model", "baseline"]
    assert rows[1]["cost_over_oracle"] is None
    assert evaluate_slices(bare, EVALUATION, 3) == []
    assert judge_choices(bare, EVALUATION) == {"metrics": {}, "intervals": {}, "tables": {}}
    drawn = plot_choices(judge_choices(bare, EVALUATION))
    assert not drawn.data and drawn.layout.xaxis.visible is drawn.layout.yaxis.visible is False


def test_no_share_is_told_of_the_regret_of_a_baseline_that_beats_the_oracle() -> None:
    found = evaluate(FRAME.assign(cost_baseline_lz4=FRAME["cost_oracle"] * 0.999))
    assert found["regret_over_lz4"] is None and "regret_over_lz4" not in found["intervals"]
    assert found["regret_over_none"] is not None


def test_costs_of_nothing_leave_ratios_undefined() -> None:
    found = evaluate(FRAME.assign(cost=0.0, cost_oracle=0.0, cost_baseline_none=0.0))
    assert found["best_baseline"] == "none"
    assert found["saving_over_best_baseline"] is None
    assert found["cost_over_oracle"] is None
    assert found["saving_over_lz4"] == 1


def test_the_table_sets_all_beside_the_model() -> None:
    rows = compare_baselines(FRAME, EVALUATION, 3)
    assert [row["kind"] for row in rows] == ["model", "baseline", "baseline", "oracle"]
    assert rows[1]["cost"] <= rows[2]["cost"]
    metrics = evaluate()
    for row in rows[1:3]:
        assert row["saving"] == metrics[f"saving_over_{row['model']}"]
        assert [row["saving_lower"], row["saving_upper"]] == metrics["intervals"][f"saving_over_{row['model']}"]
        beaten = FRAME["cost"] < FRAME[f"cost_baseline_{row['model']}"]
        assert row["cheaper"] == pytest.approx(beaten.mean())
        same = FRAME["cost"] == FRAME[f"cost_baseline_{row['model']}"]
        assert row["cheaper"] + row["dearer"] == pytest.approx(1 - same.mean())
        assert row["accuracy"] == pytest.approx((FRAME["choice_oracle"] == row["model"]).mean())
    assert rows[0]["saving"] is None
    assert (rows[3]["cost_over_oracle"], rows[3]["cheaper"], rows[3]["accuracy"]) == (1, 0, 1)


def test_slices_name_their_own_best_baseline() -> None:
    rows = evaluate_slices(FRAME, EVALUATION, 3)
    assert [row["value"] for row in rows] == ["10", "80", "400"]
    assert sum(row["n"] for row in rows) == 300
    for row in rows:
        inside = FRAME[FRAME["slice_link_mbps"] == float(row["value"])]
        best = min(("none", "lz4"), key=lambda name: inside[f"cost_baseline_{name}"].sum())
        assert row["best_baseline"] == best
        assert row["saving_over_best_baseline"] == pytest.approx(
            1 - inside["cost"].sum() / inside[f"cost_baseline_{best}"].sum()
        )


def test_choices_as_scikit_learn_counts_them() -> None:
    found = judge_choices(FRAME, EVALUATION)
    labels = [row["choice"] for row in found["tables"]["choices"]]
    precision, recall, f1, support = precision_recall_fscore_support(
        FRAME["choice_oracle"], FRAME["choice"], labels=labels
    )
    for name, expected in {"precision": precision, "recall": recall, "f1": f1, "best": support}.items():
        assert [row[name] for row in found["tables"]["choices"]] == pytest.approx(expected)
    assert found["metrics"]["macro_f1"] == pytest.approx(f1.mean())
    matrix = confusion_matrix(FRAME["choice_oracle"], FRAME["choice"], labels=labels)
    assert [row["cases"] for row in found["tables"]["confusion"]] == matrix.ravel().tolist()


def test_rare_choices_are_merged_but_stay_wrong() -> None:
    frame = FRAME.assign(choice=[f"k{number % 20:02d}" for number in range(300)])
    frame["choice_oracle"] = np.roll(frame["choice"], 1)
    found = judge_choices(frame, PolicyEvaluation(most_choices=4))
    assert [row["choice"] for row in found["tables"]["choices"]] == ["k00", "k01", "k02", "(other)"]
    assert found["tables"]["choices"][-1]["recall"] == 0
    assert found["metrics"]["macro_f1"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"case": "one"}, "'case' must be unique", id="case"),
        pytest.param({"cost": -1.0}, "column 'cost' must be >= 0", id="negative"),
        pytest.param({"cost_baseline_lz4": np.nan}, "'cost_baseline_lz4' must be finite", id="missing"),
        pytest.param({"group": None}, "'group' must not be missing", id="group"),
        pytest.param({"cost_baseline_oracle": 1.0}, "must not be called 'oracle'", id="reserved"),
    ],
)
def test_frames_that_break_a_rule_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(FRAME.assign(**change))


def test_a_policy_is_never_judged_alone() -> None:
    with pytest.raises(UserError, match="beside at least one plain rule"):
        evaluate(FRAME[["case", "group", "cost"]])


def test_the_page_holds_all_parts_and_gates() -> None:
    choices = judge_choices(FRAME, EVALUATION)
    own = {"metrics": {"hit_at_1": 0.31}, "intervals": {"hit_at_1": [0.2, 0.4]}, "tables": {"folds": [{"fold": 77}]}}
    metrics = gather_metrics(evaluate(), choices, own)
    gates = judge(metrics, Gates.model_validate({"saving_over_best_baseline": {"min": 0, "on": "lower"}}))
    assert gates[0]["verdict"] == "pass"
    baselines, slices = compare_baselines(FRAME, EVALUATION, 3), evaluate_slices(FRAME, EVALUATION, 3)
    metadata = Metadata(
        predictor="compression",
        family="codec_choice",
        task="policy: codec by predicted cost",
        inputs=(),
        outputs=(),
        features=(),
        parameters={},
        data=DataFacts(fingerprint="f" * 64, rows=70, groups=7, origin={"measured": 70}),
        versions={},
        seed=3,
        git_commit=None,
        created_at="2026-02-01T00:00:00+00:00",
    )
    page = policy_report(
        SimpleNamespace(metadata=metadata),  # type: ignore[arg-type]
        metrics,
        gates,
        baselines,
        slices,
        EVALUATION,
        report_choices=choices,
        report_ranking=own,
        report_data={"rows_read": 4_321},
        plot_costs=plot_costs(baselines, EVALUATION),
        plot_slices=plot_slices(slices, EVALUATION),
        plot_choices=plot_choices(choices),
    )
    for text in (
        "saved of the best rule",
        "hit at 1",
        ">77<",
        "4,321",
        "zstd-3",
        "which favours it",
        "link_mbps = 400",
    ):
        assert text in page, text


def test_the_template_gathers_what_a_predictor_adds() -> None:
    nodes = {node.name: node for node in policy_nodes([], ("ranking",), ("data",), ("curves",))}
    assert nodes["gather_metrics"].inputs == ["report_policies", "report_choices", "report_ranking"]
    assert {"report_ranking", "report_choices", "report_data", "plot_curves", "plot_costs"} <= set(
        nodes["report"].inputs
    )
    assert nodes["enforce_gates"].inputs == ["report_gates", "params:gates", "report"]
