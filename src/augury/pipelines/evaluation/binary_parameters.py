"""How a binary predictor is judged: the parameters of its evaluation."""

import re

import numpy as np
from pydantic import Field, field_validator

from augury.metrics.binary import FurtherMetrics, Resampling, metric_names
from augury.parameters import Parameters

SUBSET_NAME = re.compile(r"[a-z][a-z0-9_]*")
MAIN = "main"

Value = bool | int | float | str
Selection = dict[str, Value | list[Value]]


class DaysCheck(Parameters):
    """How the days until the event are judged, on the positive rows."""

    column: str = Field(
        default="days_to_waste", description="Days, in the feature table (actual) and in the predictor's answer."
    )
    lower: str = Field(default="days_lower", description="The answer's lower bound.")
    upper: str = Field(default="days_upper", description="The answer's upper bound.")


class TruthCheck(Parameters):
    """Columns of a simulated feature table that say what is true; rows without them are left out of this comparison."""

    probability: str = Field(default="true_probability", description="Given everything, latent traits included.")
    observable_probability: str = Field(
        default="observable_probability", description="Given what a predictor could know: the best possible forecast."
    )
    median_days: str = Field(default="true_median_days", description="Median days until the event, if it happens.")

    def columns(self) -> list[str]:
        """The columns by name."""
        return [self.probability, self.observable_probability, self.median_days]


class FairnessCheck(Parameters):
    """Between whose groups decisions are compared."""

    columns: list[str] = Field(min_length=1, description="Each is judged on its own.")
    operating_point: str = Field(description="Which decisions are compared.")
    min_rows: int = Field(default=200, ge=1, description="Groups with fewer rows are merged into '(other)'.")


class ShiftCheck(Parameters):
    """How the held-out rows are compared with the training rows."""

    bins: int = Field(default=10, ge=2, description="Bins of the PSI: quantiles of the training rows.")
    excluded: list[str] = Field(
        default_factory=list,
        description="Features that move with time by their nature (clocks, counters); * and ? as in file names.",
    )
    psi_watch: float = Field(default=0.1, gt=0, description="PSI from which on a feature is worth a look.")
    psi_drift: float = Field(default=0.25, gt=0, description="PSI from which on a feature has moved.")
    missing_watch: float = Field(
        default=0.1, gt=0, le=1, description="Change of the missing share from which on a feature is worth a look."
    )
    missing_drift: float = Field(
        default=0.25, gt=0, le=1, description="Change of the missing share from which on a feature has moved."
    )


class BinaryEvaluation(Parameters):
    """How a binary predictor is judged."""

    row_id: str = Field(default="row_id", description="Column of the feature table that identifies a row.")
    target: str = Field(default="target", description="Column of the feature table that holds the outcome.")
    positive_class: str = Field(default="positive", description="What a positive row is called, in one word.")
    main: Selection = Field(
        default={"split": "test"},
        description="Which rows the metrics without a prefix are about: column -> value, or list of values.",
    )
    subsets: dict[str, Selection] = Field(
        default_factory=dict,
        description="Further rows, chosen like 'main'; their metrics are called <subset>_<metric>.",
    )
    group_columns: list[str] = Field(
        default=["group"], min_length=1, description="Rows that agree in these columns are drawn together."
    )
    cost_ratio: float | None = Field(
        default=100.0,
        gt=0,
        allow_inf_nan=False,
        description="Cost of a missed positive in units of a false alarm; null: decisions are not judged by a cost.",
    )
    operating_point: str = Field(
        default="cost_optimal", description="The predictor's operating point that tables and plots show first."
    )
    rivals: list[str] = Field(
        default_factory=list,
        description="Baselines for which 'roc_auc_above_<baseline>' is a metric, so that a gate can limit it.",
    )
    probabilities: list[str] = Field(
        default_factory=list,
        description="Baselines whose score is a probability: 'log_loss_below_<baseline>' is a metric, too.",
    )
    oracles: list[str] = Field(
        default_factory=list,
        description="Baselines that know what a predictor cannot know; they are shown apart, where there are any.",
    )
    weight_column: str | None = Field(
        default=None, description="Size of a row, for the weighted recall; a missing or negative size counts as 0."
    )
    calibration_bins: int = Field(default=15, ge=2, description="Bins of the calibration errors.")
    slices: list[str] = Field(default_factory=list, description="Columns by whose values the metrics are broken down.")
    sliced: Selection | None = Field(
        default=None, description="Which rows are broken down and drawn over time; null: those of 'main'."
    )
    min_slice_rows: int = Field(default=200, ge=1, description="Slices with fewer rows are merged into '(other)'.")
    period_column: str | None = Field(default="date", description="Column of days, for the plot over time.")
    bootstrap_replicates: int = Field(
        default=1000, ge=0, description="Resamples per interval; 0 leaves all bootstrap intervals out."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
    goodness_of_fit: bool = Field(
        default=False, description="Tests of the probabilities, and intervals of the calibration line."
    )
    top_k: list[int] = Field(
        default_factory=list,
        description="How many rows with the largest probabilities are taken for 'precision_at_<k>', 'recall_at_<k>'.",
    )
    support: bool = Field(
        default=False, description="Whether the metrics say how many rows each rests on, for gates with 'min_support'."
    )
    days: DaysCheck | None = Field(default=None, description="How days until the event are judged.")
    truth: TruthCheck | None = Field(default=None, description="Columns of simulated rows that say what is true.")
    fairness: FairnessCheck | None = Field(default=None, description="Between whose groups decisions are compared.")
    shift: ShiftCheck | None = Field(default=None, description="How held-out and training rows are compared.")
    explained_rows: int = Field(default=2000, ge=1, description="Held-out rows whose probability is explained.")

    @field_validator("top_k")
    @classmethod
    def _sizes(cls, top_k: list[int]) -> list[int]:
        if any(size < 1 for size in top_k) or len(set(top_k)) < len(top_k):
            raise ValueError("each size must be at least 1, and appear once")
        return top_k

    @field_validator("subsets")
    @classmethod
    def _named_apart(cls, subsets: dict[str, Selection]) -> dict[str, Selection]:
        nothing = {"": np.zeros(0)}
        further = FurtherMetrics(goodness_of_fit=True, top_k=(1,), probabilities=nothing)
        metrics = [*metric_names({"": 0.0}, nothing, weighted=True, further=further), "n_test", "threshold_"]
        for name in subsets:
            if not SUBSET_NAME.fullmatch(name):
                raise ValueError(f"subset '{name}': a name has lower-case letters, digits and underscores")
            if name == MAIN or any(metric == name or metric.startswith(f"{name}_") for metric in metrics):
                raise ValueError(f"subset '{name}': the metrics of the main rows are called so; choose another name")
        return subsets

    def resampling(self, seed: int) -> Resampling:
        """How intervals are made."""
        return Resampling(self.bootstrap_replicates, self.confidence, seed)

    def columns(self) -> list[str]:
        """The columns of the feature table that the parameters name, each once, without row id and target."""
        chosen = [self.main, *self.subsets.values(), self.sliced or {}]
        names = [*self.group_columns, *(column for selection in chosen for column in selection), *self.slices]
        names += [name for name in (self.weight_column, self.period_column) if name is not None]
        names += [] if self.fairness is None else self.fairness.columns
        return list(dict.fromkeys(names))
