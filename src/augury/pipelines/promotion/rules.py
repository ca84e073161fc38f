"""When a challenger takes the champion's place: the parameters of promotion."""

from typing import Literal

from pydantic import Field

from augury.parameters import Parameters

Otherwise = Literal["promote_if_gates_pass", "keep"]


class PromotionRules(Parameters):
    """Rules that hold for every task."""

    min_improvement: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="What the lower bound of the improvement has to exceed, in units of the main metric.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence of the (one-sided) lower bounds.")
    replicates: int = Field(default=1000, ge=100, description="Resamples of groups; both models see the same ones.")
    min_groups: int = Field(
        default=20, ge=2, description="With fewer groups than this among the rows nothing is concluded."
    )
    on_no_champion: Otherwise = Field(
        default="promote_if_gates_pass", description="What happens to the first challenger, which has nobody to beat."
    )
    on_incompatible: Otherwise = Field(
        default="keep",
        description="What happens where the champion cannot predict the rows of the present feature table, because it "
        "was trained with other features.",
    )
    enforce: bool = Field(
        default=False, description="Whether a challenger that misses a gate makes the run fail (exit code 99)."
    )


class BinaryPromotion(PromotionRules):
    """Rules for a binary predictor; the main metric is the log loss."""

    row_id: str = Field(default="row_id", description="Column of the feature table that identifies a row.")
    target: str = Field(default="target", description="Column of the feature table that holds the outcome.")
    rows: dict[str, bool | int | float | str | list[str]] = Field(
        default={"split": "test"}, description="Which rows both predict: column -> value, or list of values."
    )
    group_columns: list[str] = Field(
        default=["group"], min_length=1, description="Rows that agree in these columns are drawn together."
    )
    epsilon_roc_auc: float = Field(
        default=0.002,
        ge=0,
        allow_inf_nan=False,
        description="By how much the lower bound of the ROC-AUC's improvement may lie below 0.",
    )
    execution_parameters: list[str] = Field(
        default_factory=list,
        description="Parameters of the features that do not change what a held-out row looks like: a champion that was "
        "trained with other values of them can still be compared.",
    )


class RegressionPromotion(PromotionRules):
    """Rules for a regression; the main metric is the mean absolute or the mean log error."""

    loss: Literal["absolute_error", "log_error"] = Field(
        default="log_error",
        description="absolute_error: |predicted - actual|; log_error: |log(predicted / actual)|, for positive values.",
    )
