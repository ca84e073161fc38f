"""How a recommender is judged: the parameters of its evaluation."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from augury.parameters import Parameters


class RankingEvaluation(Parameters):
    """How a recommender is judged."""

    sizes: list[int] = Field(
        default=[5, 10, 20], min_length=1, description="Lengths of lists: 'hr_at_<k>', 'ndcg_at_<k>', 'recall_at_<k>'."
    )
    k: int = Field(default=10, ge=1, description="The size that tables, plots and comparisons show; one of the sizes.")
    bootstrap_replicates: int = Field(
        default=1000, ge=0, description="Resamples of users per interval; 0 leaves all intervals out."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
    slices: list[str] = Field(
        default=["activity", "popularity", "item_age", "cold_user", "cold_item"],
        description="Columns by whose values the metrics are broken down.",
    )
    min_slice_rows: int = Field(default=20, ge=1, description="Slices with fewer rows are merged into '(other)'.")
    activity_edges: list[int] = Field(
        default=[1, 10, 20, 50, 100], description="Training interactions of a user at which a new slice begins."
    )
    item_age_days: list[float] = Field(
        default=[30, 180, 365], description="Days since an item was first seen at which a new slice begins."
    )
    export_pairs: int = Field(default=1000, ge=1, description="Held-out pairs that the ONNX export is compared on.")
    export_tolerance: float = Field(
        default=1e-3,
        gt=0,
        description="Largest difference of the ONNX export's scores, as a share of the largest score.",
    )

    @field_validator("sizes", "activity_edges", "item_age_days")
    @classmethod
    def _ascending(cls, values: list[float]) -> list[float]:
        if any(value <= 0 for value in values) or values != sorted(set(values)):
            raise ValueError("the numbers must be above 0 and ascend")
        return values

    @model_validator(mode="after")
    def _shows_a_size(self) -> Self:
        if self.k not in self.sizes:
            raise ValueError(f"k ({self.k}) must be one of the sizes: {', '.join(map(str, self.sizes))}")
        return self
