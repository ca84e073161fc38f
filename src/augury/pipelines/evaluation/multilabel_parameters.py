"""How a classifier of texts into several codes is judged: the parameters of its evaluation."""

from pydantic import Field, field_validator

from augury.metrics.binary import Resampling
from augury.metrics.multilabel import Depth
from augury.parameters import Parameters

Value = bool | int | float | str
Selection = dict[str, Value | list[Value]]


class MultilabelEvaluation(Parameters):
    """How a classifier of texts into several codes is judged."""

    main: Selection = Field(
        default={"split": "test"}, description="Which held-out texts are judged: column -> value, or list of values."
    )
    group_column: str = Field(default="group", description="Texts that agree in this column are drawn together.")
    rivals: list[str] | None = Field(
        default=None,
        description="Baselines for which 'micro_f1_above_<baseline>' and 'macro_f1_above_<baseline>' are metrics, so "
        "that a gate can limit them; null: all.",
    )
    precision_at: list[int] = Field(default=[1, 3, 5], min_length=1, description="The k of precision@k.")
    ndcg_at: list[int] = Field(default=[5], description="The k of nDCG@k.")
    calibration_bins: int = Field(default=15, ge=2, description="Bins of the calibration error.")
    min_support: int = Field(
        default=10, ge=1, description="Codes with fewer held-out texts are not called weak, however bad they are."
    )
    length_edges: list[int] = Field(
        default=[8, 16, 32, 64, 128, 256], min_length=1, description="Words at which texts of another length begin."
    )
    min_slice_rows: int = Field(default=50, ge=1, description="Slices with fewer texts are merged into '(other)'.")
    weakest: int = Field(default=15, ge=1, description="How many of the weakest codes the report shows.")
    confusions: int = Field(default=40, ge=1, description="How many pairs of confused codes are listed.")
    export_texts: int | None = Field(
        default=500,
        ge=1,
        description="How many of the judged texts the ONNX exports are compared on, evenly chosen; null: all.",
    )
    export_tolerance: float = Field(
        default=1e-3, gt=0, description="Largest difference between a probability and that of the ONNX export."
    )
    bootstrap_replicates: int = Field(default=1000, ge=0, description="Resamples per interval; 0 leaves intervals out.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")

    @field_validator("precision_at", "ndcg_at", "length_edges")
    @classmethod
    def _ascending(cls, sizes: list[int]) -> list[int]:
        if any(size < 1 for size in sizes) or sizes != sorted(set(sizes)):
            raise ValueError("each number must be at least 1 and larger than the one before it")
        return sizes

    def resampling(self, seed: int) -> Resampling:
        """How intervals are made."""
        return Resampling(self.bootstrap_replicates, self.confidence, seed)

    def depth(self, *, over_labels: bool = True) -> Depth:
        """Which metrics are computed."""
        return Depth(tuple(self.precision_at), tuple(self.ndcg_at), self.calibration_bins, over_labels)
