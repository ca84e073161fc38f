"""A whole validation: folds, weak slices, one mapping of all metrics, plots, and the report as page and as text."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from augury.errors import UserError
from augury.pipelines.evaluation import validation_plots
from augury.pipelines.evaluation.binary import compare_baselines, evaluate_binary, evaluate_slices
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.binary_plots import plot_baselines, plot_cost, plot_periods
from augury.pipelines.evaluation.binary_predictions import predict_holdout
from augury.pipelines.evaluation.binary_report import binary_report, binary_text_report
from augury.pipelines.evaluation.event_days import judge_days
from augury.pipelines.evaluation.fairness import judge_fairness
from augury.pipelines.evaluation.fold_stability import judge_folds
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.gathered_metrics import gather_metrics
from augury.pipelines.evaluation.known_truth import compare_with_truth
from augury.pipelines.evaluation.training_shift import measure_shift
from augury.pipelines.evaluation.weak_slices import find_weak_slices, holm
from augury.predictors.contract import ColumnSpec, DataFacts, Metadata

AUCS, LOSSES = [0.855, 0.866, 0.867, 0.873, 0.868], [0.37, 0.368, 0.366, 0.361, 0.364]
TRAINING = {
    "importances": {f"item_{number}": float(number) for number in range(30)},
    "cross_validation": {
        "folds": [{"rows": 900, "roc_auc": auc, "log_loss": loss} for auc, loss in zip(AUCS, LOSSES, strict=True)]
    },
}
GATES = {
    "roc_auc": {"min": 0.78, "on": "lower"},
    "precision_confident": {"min": 0.76, "on": "lower", "min_support": 100},
    "ece": {"max": 0.001},
    "cv_roc_auc_std": {"max": 0.05},
    "days_mae_ratio_to_constant": {"max": 0.9, "on": "upper"},
    "demographic_parity_difference": {"max": 0.5},
    "roc_auc_above_oracle_z": {"max": 3, "optional": True},
}


def test_the_folds_are_summarised_in_the_order_of_time() -> None:
    metrics = judge_folds(TRAINING)["metrics"]
    assert metrics["cv_folds"] == 5
    assert metrics["cv_roc_auc_mean"] == pytest.approx(np.mean(AUCS))
    assert metrics["cv_roc_auc_std"] == pytest.approx(np.std(AUCS))
    assert metrics["cv_roc_auc_range"] == pytest.approx(0.018)
    assert metrics["cv_roc_auc_last_loss"] == pytest.approx(np.mean(AUCS[:4]) - 0.868)
    assert metrics["cv_log_loss_last_loss"] == pytest.approx(0.364 - np.mean(LOSSES[:4]))
    assert metrics["cv_roc_auc_trend"] == pytest.approx(spearmanr(range(5), AUCS).statistic)


@pytest.mark.parametrize(
    "report", [{}, {"cross_validation": None}, {"cross_validation": {"folds": [{"roc_auc": 0.8, "log_loss": 0.4}]}}]
)
def test_without_two_folds_there_is_no_spread(report: dict[str, Any]) -> None:
    metrics = judge_folds(report)["metrics"]
    assert metrics["cv_roc_auc_std"] is metrics["cv_log_loss_mean"] is None
    assert metrics["cv_folds"] <= 1


def test_a_fold_that_lacks_a_class_is_left_out_and_one_without_log_loss_has_none() -> None:
    folds = [{"roc_auc": None, "log_loss": 0.1}, {"roc_auc": 0.8}, {"roc_auc": 0.9}]
    metrics = judge_folds({"cross_validation": {"folds": folds}})["metrics"]
    assert (metrics["cv_folds"], metrics["cv_roc_auc_mean"]) == (2, pytest.approx(0.85))
    assert metrics["cv_log_loss_mean"] is metrics["cv_roc_auc_trend"] is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_helps(chances: list[float]) -> None:
    corrected = holm(chances)
    smallest = min(chances)
    assert min(corrected) == pytest.approx(min(1.0, smallest * len(chances)))
    for one, other in zip(chances, corrected, strict=True):
        assert one <= other <= 1
    order = sorted(range(len(chances)), key=chances.__getitem__)
    assert [corrected[index] for index in order] == sorted(corrected)


def slice_row(value: str, auc: float | None, width: float, column: str = "kind") -> dict[str, Any]:
    ends = {"roc_auc_lower": None, "roc_auc_upper": None}
    if auc is not None:
        ends = {"roc_auc_lower": auc - width, "roc_auc_upper": auc + width}
    return {"slice": column, "value": value, "n": 500, "positives": 100, "roc_auc": auc, **ends}


def test_a_slice_is_weak_where_chance_does_not_explain_it() -> None:
    rows = [
        slice_row("narrow", 0.80, 0.02),
        slice_row("wide", 0.70, 0.25),
        slice_row("better", 0.95, 0.02),
        slice_row("unknown", None, 0),
        slice_row("(other)", 0.1, 0.01),
        slice_row("everything", 0.2, 0.01, column="origin"),
    ]
    found = find_weak_slices(rows, {"roc_auc": 0.87}, BinaryEvaluation())
    assert [row["value"] for row in found["slices"]] == ["wide", "narrow", "better"]
    assert [row["weak"] for row in found["slices"]] == [False, True, False]
    # The worst by its value is not the one that is worse by more than chance
    assert found["metrics"] == {
        "worst_slice": "kind = wide",
        "worst_slice_roc_auc": 0.70,
        "worst_slice_n": 500,
        "weak_slices": 1,
    }
    assert found["intervals"]["worst_slice_roc_auc"] == pytest.approx([0.45, 0.95])
    # (0.87 - 0.80) / (0.02 / 1.96) standard errors
    assert found["slices"][1]["p"] == pytest.approx(3.4e-12, rel=0.1)
    nothing = find_weak_slices([], {"roc_auc": 0.87}, BinaryEvaluation())
    assert nothing["metrics"]["worst_slice"] is None


def test_parts_are_put_together_and_must_not_contradict_one_another() -> None:
    whole = {"roc_auc": 0.9, "intervals": {"roc_auc": [0.8, 0.95]}, "support": {"roc_auc": 5}}
    part = {"metrics": {"days_mae": 3.0}, "intervals": {"days_mae": [2, 4]}, "support": {"days_mae": 7}, "rows": []}
    assert gather_metrics(whole, part, {"metrics": {}}) == {
        "roc_auc": 0.9,
        "days_mae": 3.0,
        "intervals": {"roc_auc": [0.8, 0.95], "days_mae": [2, 4]},
        "support": {"roc_auc": 5, "days_mae": 7},
    }
    assert "support" not in gather_metrics({"roc_auc": 0.9, "intervals": {}}, part)
    with pytest.raises(ValueError, match=r"same name in two parts.*: days_mae"):
        gather_metrics(whole, part, part)


def matrix(predictions: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(0)
    held_out = pd.DataFrame({"split": "test", "item_price": random.normal(0.4, 1, len(predictions))})
    training = pd.DataFrame({"split": "train", "item_price": random.normal(0, 1, 3000)})
    table = pd.concat([training, held_out], ignore_index=True)
    return table.assign(history_item_count=np.arange(len(table), dtype=float))


@pytest.fixture(scope="module")
def parts(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    judged = (waste_predictions, waste_facts, waste_evaluation)
    classification = evaluate_binary(*judged, 0)
    slices = evaluate_slices(*judged, 0)
    reports = {
        "truth": compare_with_truth(*judged, 0),
        "days": judge_days(waste_predictions, waste_evaluation, 0),
        "weak_slices": find_weak_slices(slices, classification, waste_evaluation),
        "folds": judge_folds(TRAINING),
        "fairness": judge_fairness(*judged, 0),
        "shift": measure_shift(
            matrix(waste_predictions),
            {"features": ["item_price", "history_item_count"]},
            waste_predictions[["probability"]].sample(2000, random_state=1),
            waste_predictions,
            waste_evaluation,
        ),
    }
    metrics = gather_metrics(classification, *reports.values())
    return {
        "metrics": metrics,
        "gates": judge(metrics, Gates.model_validate(GATES)),
        "baselines": compare_baselines(*judged, 0),
        "slices": slices,
        "evaluation": waste_evaluation,
        **{f"report_{name}": report for name, report in reports.items()},
        "report_data": {"rows_read": 20_000},
    }


@pytest.fixture(scope="module")
def predictor() -> Any:
    metadata = Metadata(
        predictor="food_waste",
        family="waste_pair",
        task="binary classification with days until the event",
        inputs=(ColumnSpec(name="category", dtype="string"),),
        outputs=(ColumnSpec(name="probability", dtype="number"),),
        features=("item_price",),
        parameters={"trees": 10},
        data=DataFacts(fingerprint="0", rows=15_000, groups=150, origin={"simulated": 15_000}),
        versions={"lightgbm": "4.6"},
        seed=7,
        git_commit=None,
        created_at="2026-01-01T00:00:00+00:00",
    )
    return SimpleNamespace(metadata=metadata)


def test_all_metrics_are_in_one_mapping_that_gates_can_limit(parts: dict[str, Any]) -> None:
    metrics = parts["metrics"]
    for name in (
        "roc_auc", "hosmer_lemeshow", "hosmer_lemeshow_p", "anderson_darling", "spiegelhalter_z", "log_loss_skill",
        "precision_at_100", "recall_at_500", "precision_half", "recall_confident", "f1_f1_optimal",
        "cv_roc_auc_mean", "cv_roc_auc_std", "cv_log_loss_mean", "days_mae", "days_rmse", "days_median_ae",
        "days_coverage", "demographic_parity_difference", "equalized_odds_difference", "log_loss_skill_of_oracle",
        "roc_auc_above_oracle_z", "score_psi", "moved_features", "worst_slice_roc_auc", "calibration_slope",
    ):  # fmt: skip
        assert metrics[name] is not None, name
    assert not [name for name in metrics if "nec" in name.split("_")]
    for name in ("calibration_slope", "ece_l2_debiased", "log_loss_skill", "precision_confident", "days_mae"):
        lower, upper = metrics["intervals"][name]
        assert lower <= metrics[name] <= upper
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    verdicts = {row["metric"]: row["verdict"] for row in parts["gates"]}
    assert verdicts["ece"] == "fail"
    assert verdicts["precision_confident"] == "inconclusive"
    assert verdicts["roc_auc"] == verdicts["days_mae_ratio_to_constant"] == "pass"


def test_the_support_of_a_precision_is_the_rows_called(parts: dict[str, Any], waste_predictions: pd.DataFrame) -> None:
    support = parts["metrics"]["support"]
    assert support["precision_confident"] == (waste_predictions["probability"] >= 0.7).sum()
    assert support["days_mae"] == waste_predictions["actual"].sum()
    assert "roc_auc" not in support


def test_the_text_holds_every_part_aligned(parts: dict[str, Any], predictor: Any) -> None:
    text = binary_text_report(predictor, **parts)
    metrics = parts["metrics"]
    lines = text.splitlines()
    for heading in (
        "food_waste", "Gates", "What was measured", "Metrics", "Beside the baselines", "By slice", "Fairness",
        "Beside the best possible forecast", "Days until the event", "Weak slices", "Cross-validation",
        "Held-out beside training rows", "What was kept and what was left out", "Library versions",
    ):  # fmt: skip
        place = lines.index(heading)
        assert set(lines[place + 1]) <= {"-", "="}
        assert len(lines[place + 1]) == len(heading)
    lower, upper = metrics["intervals"]["roc_auc"]
    for expected in (
        "1 of 7 gates failed: ece; 1 of 7 gates inconclusive, too few rows: precision_confident.",
        "✗ ece [FAIL]",
        "? precision_confident [INCONCLUSIVE]",
        "✓ roc_auc [pass]",
        f"{metrics['roc_auc']:.4f} [{lower:.4f} to {upper:.4f}]",
        "Hosmer-Lemeshow p",
        "Precision at 500",
        "Operating point f1_optimal",
        "observable oracle, expected",
        "household_size = 3",
        "category = canned",
        "month = 2025-08",
        "rows read",
        "lightgbm",
    ):
        assert expected in text, expected
    assert "nan" not in text.lower().split()
    assert "None" not in text
    start = lines.index("Fairness") + 2
    table = [
        line for line in lines[start : start + 12] if line.startswith("household_size") or line.startswith("group")
    ]
    header, first = table[0], table[1]
    # Numbers end where their heading ends
    assert first[: header.index("rows") + 4].rstrip().endswith(f"{parts['report_fairness']['groups'][0]['n']:,}")


def test_the_page_holds_the_same_parts(parts: dict[str, Any], predictor: Any) -> None:
    page = binary_report(predictor, **parts, plot_folds=validation_plots.plot_folds(parts["report_folds"]))
    for heading in (
        "Beside the best possible forecast", "Days until the event", "Weak slices", "Cross-validation", "Fairness",
        "Held-out beside training rows", "What was kept and what was left out",
    ):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    assert "false alarms" not in page
    assert "ROC-AUC less that of oracle_z" not in page


def test_data_cannot_inject_markup_into_the_parts(parts: dict[str, Any], predictor: Any) -> None:
    evil = "<img src=x onerror='alert(2)'>"
    broken = dict(parts)
    for part, table in (("truth", "contenders"), ("days", "contenders"), ("fairness", "groups"), ("shift", "features")):
        rows = [
            {name: evil if isinstance(value, str) else value for name, value in row.items()}
            for row in parts[f"report_{part}"][table]
        ]
        broken[f"report_{part}"] = {**parts[f"report_{part}"], table: rows}
    assert "<img" not in binary_report(predictor, **broken)
    figure = validation_plots.plot_fairness(broken["report_fairness"])
    assert "<img" not in json.dumps(json.loads(figure.to_json())["data"])


def test_every_plot_survives_json(
    parts: dict[str, Any],
    waste_predictions: pd.DataFrame,
    waste_facts: dict[str, Any],
    waste_evaluation: BinaryEvaluation,
) -> None:
    judged = (waste_predictions, waste_facts, waste_evaluation)
    figures = {
        "confusion": validation_plots.plot_confusion(*judged),
        "days": validation_plots.plot_days(waste_predictions, waste_evaluation),
        "fairness": validation_plots.plot_fairness(parts["report_fairness"]),
        "shift": validation_plots.plot_shift(parts["report_shift"]),
        "folds": validation_plots.plot_folds(parts["report_folds"]),
        "importances": validation_plots.plot_top_importances(TRAINING),
        "periods": plot_periods(*judged),
        "baselines": plot_baselines(parts["baselines"], waste_evaluation),
        "nothing": validation_plots.plot_fairness({"groups": []}),
        "no shift": validation_plots.plot_shift({"score": None, "features": []}),
        "no folds": validation_plots.plot_folds({"folds": []}),
        "no days": validation_plots.plot_days(waste_predictions, waste_evaluation.model_copy(update={"days": None})),
    }
    for name, figure in figures.items():
        tree = figure.to_json()
        assert "NaN" not in tree and "Infinity" not in tree, name
        assert len(figure.layout.title.text) <= 40
    assert len(figures["importances"].data[0].y) == 20
    names = {trace.name for trace in figures["periods"].data}
    assert {"share of positives", "mean probability"} <= names
    assert "normalised cost" not in names


def test_the_confusion_matrices_hold_all_rows_once_per_operating_point(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    figure = validation_plots.plot_confusion(waste_predictions, waste_facts, waste_evaluation)
    counts = [[int(cell.split("<br>")[0].replace(",", "")) for cell in row] for row in figure.data[0].text]
    assert sum(map(sum, counts)) == 3 * len(waste_predictions)
    decided, actual = waste_predictions["probability"] >= 0.7, waste_predictions["actual"] == 1
    assert figure.data[0].y[4].startswith("confident")
    assert counts[4] == [(decided & actual).sum(), (~decided & actual).sum()]


def test_a_cost_that_is_no_parameter_cannot_be_drawn(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    with pytest.raises(UserError, match=r"'evaluation\.cost_ratio' is null"):
        plot_cost(waste_predictions, waste_facts, waste_evaluation)


class Waste:
    """Half the price is the probability, twice the shelf life the days."""

    def __init__(self, *, days: bool = True) -> None:
        self.days = days

    def predict_matrix(self, frame: pd.DataFrame) -> pd.DataFrame:
        found = pd.DataFrame({"probability": frame["item_price"] / 2}, index=frame.index)
        if self.days:
            found = found.assign(days_to_waste=frame["shelf_life_days"] * 2.0, days_lower=1.0, days_upper=50.0)
        return found


def held_out() -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = pd.DataFrame(
        {
            "purchase_id": ["c", "a", "b"],
            "household_id": ["h", "g", "h"],
            "date": ["2025-03-16", "2025-03-10", "2025-04-01"],
            "split": ["test", "test", "train"],
            "is_wasted": [1.0, 0.0, 1.0],
            "days_to_waste": [4.0, np.nan, 2.0],
            "item_price": [1.0, 0.4, 1.2],
            "shelf_life_days": [3.0, 5.0, 7.0],
            "true_probability": [0.6, 0.1, 0.3],
        }
    )
    baselines = pd.DataFrame({"purchase_id": ["a", "c"], "baseline_rate": [0.2, 0.3], "days_shelf": [5.0, 3.0]})
    return frame, baselines


def test_days_truth_and_months_are_carried_into_the_predictions() -> None:
    evaluation = BinaryEvaluation.model_validate(
        {"row_id": "purchase_id", "target": "is_wasted", "group_columns": ["household_id"], "days": {}, "truth": {}}
        | {"slices": ["month"], "period_column": "week"}
    )
    found = predict_holdout(Waste(), *held_out(), evaluation)  # type: ignore[arg-type]
    assert found["row_id"].tolist() == ["a", "c"]
    assert found["month"].tolist() == ["2025-03", "2025-03"]
    assert found["predicted_days"].tolist() == [10, 6]
    assert found["actual_days"].isna().tolist() == [True, False]
    assert found["predicted_days_upper"].tolist() == [50, 50]
    assert found["true_probability"].tolist() == [0.1, 0.6]
    assert found["days_shelf"].tolist() == [5, 3]
    assert "observable_probability" not in found
    with pytest.raises(UserError, match="answer has no column 'days_to_waste'"):
        predict_holdout(Waste(days=False), *held_out(), evaluation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": [0]},
        {"top_k": [5, 5]},
        {"fairness": {"columns": []}},
        {"shift": {"bins": 1}},
        {"days": {"colum": "x"}},
    ],
)
def test_ill_formed_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BinaryEvaluation.model_validate(wrong)


def test_a_probability_that_is_none_is_refused(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    broken = waste_predictions.assign(baseline_category_rate=1.5)
    with pytest.raises(UserError, match="'baseline_category_rate' must be <= 1"):
        evaluate_binary(broken, waste_facts, waste_evaluation, 0)
    unknown = waste_evaluation.model_copy(update={"probabilities": ["category_rat"]})
    with pytest.raises(UserError, match=r"'evaluation.probabilities'.*Did you mean 'category_rate'"):
        evaluate_binary(waste_predictions, waste_facts, unknown, 0)


def test_top_rows_do_not_depend_on_the_order_of_the_frame(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    evaluation = waste_evaluation.model_copy(update={"bootstrap_replicates": 0})
    coarse = waste_predictions.assign(probability=waste_predictions["probability"].round(1))
    first = evaluate_binary(coarse, waste_facts, evaluation, 0)
    second = evaluate_binary(coarse.sample(frac=1, random_state=2), waste_facts, evaluation, 0)
    expected = coarse.sort_values(["probability", "row_id"], ascending=[False, True]).head(100)["actual"].mean()
    assert first["precision_at_100"] == second["precision_at_100"] == pytest.approx(expected)
