"""How a policy is judged: the parameters of its evaluation."""

from pydantic import Field

from augury.parameters import Parameters


class PolicyEvaluation(Parameters):
    """How a policy is judged; predictors with more to say have a subclass."""

    unit: str = Field(default="cost", description="Unit of the costs, such as 'ms' or 'misses'.")
    bootstrap_replicates: int = Field(
        default=1000, ge=0, description="Resamples of groups per interval; 0 leaves all intervals out."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
    slices: list[str] | None = Field(
        default=None,
        description="Columns by whose values the metrics are broken down; null: all columns 'slice_<name>'.",
    )
    min_slice_rows: int = Field(default=20, ge=1, description="Slices with fewer cases are merged into '(other)'.")
    most_choices: int = Field(
        default=12, ge=2, description="Choices that the confusion matrix shows; rarer ones are merged into '(other)'."
    )
