"""What a report shows of each task's metrics, under which words and with how many digits.

A task without a layout of its own is shown in full under its metrics' own names.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from augury.metrics.metrics_mapping import is_number

Kind = Literal["number", "score", "share", "text"]
NOTHING = "n/a"


@dataclass(frozen=True)
class Label:
    """How the metrics, or columns, whose name matches a pattern are shown.

    Attributes:
        pattern: Regular expression that the whole name matches; named groups fill ``text`` and
            ``section``, and so does ``{unit}``.
        text: What stands in place of the name.
        kind: ``number`` (three significant digits), ``score`` (four decimals below 1), ``share``
            (a fraction, shown in percent) or ``text``.
        section: Heading of the table of metrics that it belongs to.
        headline: A shorter text, for a metric that is shown at the top of the page.
    """

    pattern: str
    text: str
    kind: Kind = "number"
    section: str = "Metrics"
    headline: str | None = None


@dataclass(frozen=True)
class Layout:
    """The labels of one task; columns appear in the order of their labels."""

    metrics: list[Label] = field(default_factory=list)
    baselines: list[Label] = field(default_factory=list)
    slices: list[Label] = field(default_factory=list)


_POINT = "Point prediction"
_BOUND = "Upper bound, {level} %"
_LEVEL = r"(?P<level>\d+(?:\.\d+)?)"

REGRESSION = Layout(
    metrics=[
        Label("mae", "Mean absolute error ({unit})", section=_POINT, headline="MAE ({unit})"),
        Label("rmse", "Root mean squared error ({unit})", section=_POINT),
        Label("r2", "R², explained variance", "score", section=_POINT, headline="R²"),
        Label("mape_pct", "Mean absolute error (% of actual)", section=_POINT, headline="MAPE (%)"),
        Label("median_ape_pct", "Median absolute error (% of actual)", section=_POINT),
        Label("bias", "Bias, predicted - actual ({unit})", section=_POINT),
        Label("n_zero_actual", "Rows with actual = 0, left out of %", section=_POINT),
        Label(
            f"under_rate_{_LEVEL}",
            "Rows above the bound (under-prediction)",
            "share",
            section=_BOUND,
            headline="above the {level} % bound",
        ),
        Label(f"coverage_{_LEVEL}", "Rows within the bound (coverage)", "share", section=_BOUND),
        Label(f"allocation_ratio_{_LEVEL}", "Allocated / used", section=_BOUND),
        Label(f"wastage_{_LEVEL}", "Wasted incl. retries / used", section=_BOUND),
        Label(f"worst_shortfall_{_LEVEL}", "Worst shortfall ({unit})", section=_BOUND),
        Label(f"mean_over_allocation_{_LEVEL}", "Mean over-allocation ({unit})", section=_BOUND),
    ],
    baselines=[
        Label("model", "model", "text"),
        Label("mae", "MAE ({unit})"),
        Label("mae_ratio", "MAE / model's"),
        Label("mape_pct", "MAPE (%)"),
        Label("median_ape_pct", "median APE (%)"),
        Label("rmse", "RMSE ({unit})"),
        Label("r2", "R²", "score"),
        Label("under_rate", "rows above", "share"),
        Label("allocation_ratio", "allocated / used"),
    ],
    slices=[
        Label("slice", "slice", "text"),
        Label("n", "rows"),
        Label("groups", "groups"),
        Label("mae", "MAE ({unit})"),
        Label("mape_pct", "MAPE (%)"),
        Label(f"under_rate_{_LEVEL}", "above {level} %", "share"),
        Label(f"allocation_ratio_{_LEVEL}", "allocated / used, {level} %"),
    ],
)

_SCORES = "Ranking and probabilities"
_DECISION = "Operating point {point}"
_NAME = r"(?P<point>(?!at_\d)\w+)"
_FIT = "Do outcomes fit the probabilities?"
_RIVALS = "Beside other models"
_TOP = "Largest probabilities"
_FOLDS = "Cross-validation"
_DAYS = "Days until the event"
_FAIR = "Fairness"
_TRUTH = "Beside the known truth"
_SLICE = "Worst slice"
_SHIFT = "Held-out beside training rows"

BINARY = Layout(
    metrics=[
        Label("positives", "Rows that are {unit}", section=_SCORES),
        Label("prevalence", "Share that is {unit}", "share", section=_SCORES),
        Label("mean_probability", "Mean probability", "share", section=_SCORES),
        Label("roc_auc", "ROC-AUC", "score", section=_SCORES, headline="ROC-AUC"),
        Label("pr_auc", "PR-AUC (average precision)", "score", section=_SCORES, headline="PR-AUC"),
        Label(r"roc_auc_above_(?P<rival>(?!oracle_z$)\w+)", "ROC-AUC less that of {rival}", "score", section=_RIVALS),
        Label("brier", "Brier score", "score", section=_SCORES),
        Label("log_loss", "Log loss", "score", section=_SCORES),
        Label("ece", "Calibration error (equal-mass bins)", "score", section=_SCORES, headline="calibration error"),
        Label("ece_width", "Calibration error (equal-width bins)", "score", section=_SCORES),
        Label("ece_l2_debiased", "Calibration error (L2, debiased)", "score", section=_SCORES),
        Label("calibration_slope", "Calibration slope (ideal: 1)", "score", section=_SCORES),
        Label("calibration_in_the_large", "Calibration in the large (ideal: 0)", "score", section=_SCORES),
        Label("log_loss_skill", "Log-loss skill, share of uncertainty removed", "share", section=_SCORES),
        Label(r"log_loss_below_(?P<rival>\w+)", "Log loss of {rival} less this", "score", section=_RIVALS),
        Label("hosmer_lemeshow", "Hosmer-Lemeshow, 10 groups", section=_FIT),
        Label("hosmer_lemeshow_p", "Hosmer-Lemeshow p", "score", section=_FIT),
        Label("spiegelhalter_z", "Spiegelhalter z", section=_FIT),
        Label("spiegelhalter_p", "Spiegelhalter p", "score", section=_FIT),
        Label("anderson_darling", "Anderson-Darling (5 %: 2.492)", section=_FIT),
        Label(r"precision_at_(?P<size>\d+)", "Precision at {size}", "share", section=_TOP),
        Label(r"recall_at_(?P<size>\d+)", "Recall at {size}", "share", section=_TOP),
        Label(f"threshold_{_NAME}", "Threshold", section=_DECISION),
        Label(f"recall_{_NAME}", "Recall", "share", section=_DECISION, headline="recall, {point}"),
        Label(f"fnr_{_NAME}", "Missed (false negative rate)", "share", section=_DECISION),
        Label(f"precision_{_NAME}", "Precision", "share", section=_DECISION),
        Label(f"f1_{_NAME}", "F1", "score", section=_DECISION),
        Label(f"fpr_{_NAME}", "False positive rate", "share", section=_DECISION),
        Label(
            f"positive_share_{_NAME}", "Called {unit}", "share", section=_DECISION, headline="called {unit}, {point}"
        ),
        Label(f"false_omission_rate_{_NAME}", "{unit} among the others", "share", section=_DECISION),
        Label(f"weighted_recall_{_NAME}", "Recall weighted by size", "share", section=_DECISION),
        Label(
            f"nec_{_NAME}",
            "Cost / cost without a model",
            "score",
            section=_DECISION,
            headline="cost / none, {point}",
        ),
        Label("days_n", "Rows with a day", section=_DAYS),
        Label("days_mae", "Mean absolute error", section=_DAYS, headline="MAE, days"),
        Label("days_rmse", "Root mean squared error", section=_DAYS),
        Label("days_median_ae", "Median absolute error", section=_DAYS),
        Label("days_coverage", "Within the bounds", "share", section=_DAYS),
        Label("days_width", "Median width of the bounds", section=_DAYS),
        Label(r"days_mae_ratio_to_(?P<rival>\w+)", "Mean absolute error / {rival}", section=_DAYS),
        Label("cv_folds", "Folds", section=_FOLDS),
        Label(r"cv_(?P<metric>\w+)_mean", "{metric}, mean", "score", section=_FOLDS),
        Label(r"cv_(?P<metric>\w+)_std", "{metric}, standard deviation", "score", section=_FOLDS),
        Label(r"cv_(?P<metric>\w+)_range", "{metric}, range", "score", section=_FOLDS),
        Label(r"cv_(?P<metric>\w+)_last_loss", "{metric}, last fold worse by", "score", section=_FOLDS),
        Label(r"cv_(?P<metric>\w+)_trend", "{metric}, trend (Spearman)", "score", section=_FOLDS),
        Label(r"demographic_parity_(?P<kind>\w+)", "Demographic parity, {kind}", "score", section=_FAIR),
        Label(r"equalized_odds_(?P<kind>\w+)", "Equalised odds, {kind}", "score", section=_FAIR),
        Label(r"calibration_gap_(?P<kind>\w+)", "Calibration gap, {kind}", "score", section=_FAIR),
        Label("truth_rows", "Rows of known truth", section=_TRUTH),
        Label(
            "log_loss_skill_of_oracle",
            "Skill / best possible skill",
            "share",
            section=_TRUTH,
            headline="of the best possible",
        ),
        Label("roc_auc_below_oracle", "ROC-AUC below the best possible", "score", section=_TRUTH),
        Label("roc_auc_above_oracle_z", "ROC-AUC above all knowledge (standard errors)", section=_TRUTH),
        Label("probability_error", "Mean distance from the best probability", "score", section=_TRUTH),
        Label("worst_slice", "Slice", "text", section=_SLICE),
        Label("worst_slice_n", "Rows", section=_SLICE),
        Label("worst_slice_roc_auc", "ROC-AUC", "score", section=_SLICE),
        Label("weak_slices", "Slices below the whole (Holm, 5 %)", section=_SLICE),
        Label("score_psi", "Stability index of the probability", section=_SHIFT),
        Label("moved_features", "Features that moved", "share", section=_SHIFT),
        Label(r"onnx_(?P<fact>\w+)", "{fact}", section="ONNX export"),
    ],
    baselines=[
        Label("model", "model", "text"),
        Label("roc_auc", "ROC-AUC", "score"),
        Label("roc_auc_above", "model's lead", "score"),
        Label("pr_auc", "PR-AUC", "score"),
        Label("log_loss", "log loss", "score"),
        Label("log_loss_below", "model's lead, log loss", "score"),
        Label("brier", "Brier", "score"),
        Label("nec", "cost / none", "score"),
        Label("recall", "recall", "share"),
        Label("precision", "precision", "share"),
        Label("f1", "F1", "score"),
        Label("positive_share", "called {unit}", "share"),
    ],
    slices=[
        Label("slice", "slice", "text"),
        Label("n", "rows"),
        Label("positives", "{unit}"),
        Label("prevalence", "share {unit}", "share"),
        Label("roc_auc", "ROC-AUC", "score"),
        Label("nec", "cost / none", "score"),
        Label("recall", "recall", "share"),
        Label("positive_share", "called {unit}", "share"),
        Label("precision", "precision", "share"),
        Label("pr_auc", "PR-AUC", "score"),
        Label("ece", "calibration error", "score"),
        Label("days_n", "rows with a day"),
        Label("days_mae", "MAE, days"),
        Label("groups", "groups"),
    ],
)


@dataclass(frozen=True)
class Shown:
    """A name with its label filled in."""

    name: str
    text: str
    kind: Kind
    section: str = "Metrics"
    headline: str | None = None


def shown(names: Iterable[str], labels: list[Label], unit: str) -> list[Shown]:
    """Choose and order what is shown.

    Args:
        names: The names that there are.
        labels: The task's labels; without any, all names are shown as they are.
        unit: Fills ``{unit}``.

    Returns:
        The shown names: by label, then in the order given.
    """
    names = list(names)
    if not labels:
        return [Shown(name, name.replace("_", " "), "number") for name in names]
    found: list[Shown] = []
    for label in labels:
        for name in names:
            match = re.fullmatch(label.pattern, name)
            if match:
                fill = {"unit": unit, **match.groupdict()}
                if "name" in fill:  # a metric that has no words of its own
                    fill["name"] = fill["name"].replace("_", " ")
                headline = label.headline.format(**fill) if label.headline else None
                text, section = label.text.format(**fill), label.section.format(**fill)
                found.append(Shown(name, text, label.kind, section, headline))
    return found


def format_value(value: Any, kind: Kind = "number", like: float | None = None) -> str:
    """Write a value for a reader.

    Args:
        value: A number, text or None.
        kind: See :class:`Label`.
        like: A number whose decimals to use, so that the ends of an interval match their metric.

    Returns:
        The text, such as ``1,234``, ``12.3``, ``0.0123`` or ``3.9 %``.

    Examples:
        >>> [format_value(value) for value in (1234.5, 12.345, 0.012345, None)]
        ['1,234', '12.3', '0.0123', 'n/a']
        >>> format_value(0.0391, "share")
        '3.9 %'
    """
    if isinstance(value, str):
        return value
    if not is_number(value) or not math.isfinite(value):
        return NOTHING if value is None or is_number(value) else str(value)
    scale = abs(value if like is None else like)
    if kind == "share":
        decimals = 2 if 0 < scale < 0.01 else 1
        return f"{round(100 * value, decimals) + 0.0:.{decimals}f} %"  # no "-0.00"
    if kind == "score" and scale < 1:
        return f"{round(value, 4) + 0.0:.4f}"
    return _significant(value, scale)


def _significant(number: float, scale: float) -> str:
    """Three significant digits of ``scale``; whole numbers below a million million in full."""
    if isinstance(number, int) or number == 0:
        return f"{int(number):,}"
    if not 1e-4 <= scale < 1e12:
        return f"{number:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(scale)))
    return f"{round(number, decimals) + 0.0:,.{decimals}f}"


def format_interval(interval: list[float] | tuple[float | None, float | None] | None, kind: Kind, value: Any) -> str:
    """Write an interval with the decimals of the value that it belongs to (zero: its own); empty if there is none.

    Examples:
        >>> format_interval([0.026, 0.058], "share", 0.039)
        '2.6 to 5.8 %'
    """
    lower, upper = interval or (None, None)
    if lower is None or upper is None:
        return ""
    like = float(value) if is_number(value) and value else max(abs(lower), abs(upper)) or None
    first = format_value(lower, kind, like).removesuffix(" %")
    return f"{first} to {format_value(upper, kind, like)}"


def flat(tree: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Write nested parameters as dotted names with their values as text."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            found |= flat(value, name)
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(str(item) for item in value) or "(none)"
        else:
            found[name] = "(none)" if value is None else str(value)
    return found
