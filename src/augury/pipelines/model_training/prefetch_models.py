"""Parameters of the training of `prefetch`."""

from typing import Any, Literal

from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings


class GruSettings(Parameters):
    """A GRU as one of the experts; torch is needed for it."""

    use: Literal["off", "auto", "on"] = Field(
        default="off", description="auto: train it, and keep it if it earns its weight on the blocks of training"
    )
    least_gain: float = Field(
        default=0.002, ge=0, description="hit@1 that the mixture must gain by it to keep it, with 'auto'"
    )
    vocabulary: int = Field(default=32_768, ge=2, description="most frequent blocks, which alone it can propose")
    shared: int = Field(default=1_024, ge=1, description="places of the embedding that all other blocks share by hash")
    embedding: int = Field(default=64, ge=1)
    hidden: int = Field(default=128, ge=1)
    sampled: int = Field(
        default=1_024, ge=0, description="wrong answers per batch of the sampled softmax; 0: all of the vocabulary"
    )
    sequence: int = Field(default=64, ge=2, description="accesses through which gradients flow back")
    batch_size: int = Field(default=32, ge=1, description="sequences side by side")
    learning_rate: float = Field(default=2e-3, gt=0)
    epochs: int = Field(default=10, ge=1)
    patience: int = Field(default=2, ge=1, description="epochs without a better validation loss before it stops")
    validation_share: float = Field(default=0.2, gt=0, lt=1, description="of the training part, its end")
    resume: bool = Field(default=True, description="go on from a checkpoint of a training that was interrupted")


class PrefetchModel(Parameters):
    """The mixture, its gate, and what training may choose among."""

    mixture: MixtureSettings = MixtureSettings()
    gate: GateSettings = GateSettings()
    gru: GruSettings = GruSettings()
    candidates: list[dict[str, Any]] = Field(
        default=[],
        description="changes (dotted path -> value) that are tried on the training part; the best is taken if it is "
        "better than the parameters as they are by more than a standard error of the blocks in time",
    )
    delay: int = Field(default=4, ge=1, le=64, description="accesses until a prefetch arrives, while choosing")
    use_tuned: bool = Field(default=False, description="take the parameters that tuning found")
