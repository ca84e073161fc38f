"""Parameters of fine-tuning an encoder of texts."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from augury.parameters import Parameters
from augury.predictors.torch_device import DeviceName, Precision


class TransformerSettings(Parameters):
    """How an encoder and its head are trained."""

    epochs: int = Field(default=8, ge=1, description="passes over the training texts")
    min_steps: int = Field(
        default=100, ge=0, description="small data: so many epochs more that there are at least so many steps"
    )
    enough_steps: int = Field(
        default=1200, ge=1, description="large data: no further epochs after so many steps, but at least two"
    )
    batch_size: int = Field(default=16, ge=1, description="texts of one step")
    gradient_accumulation: int = Field(
        default=1, ge=1, description="parts into which a step is divided, one after another in memory"
    )
    body_learning_rate: float = Field(default=2e-4, gt=0, description="of the encoder")
    head_learning_rate: float = Field(default=5e-3, gt=0, description="of the head, which starts from nothing")
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the rates rise from 0")
    weight_decay: float = Field(default=0.01, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    frozen_layers: int = Field(
        default=3,
        ge=0,
        description="lower layers that stay as they are, with the embeddings; not of a scratch encoder",
    )
    cache_megabytes: int = Field(
        default=512,
        ge=0,
        description="memory for what the frozen layers say about each text; 0: computed every epoch",
    )
    positive_weight_cap: float = Field(
        default=1.0, ge=1, description="a rare label's positives count up to so many times; 1: all count alike"
    )
    parent_loss_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="share of the loss on codes that are parents of others; null: every code counts alike"
    )
    confidence: Literal["weight", "soft_target"] = Field(
        default="weight",
        description="a text's confidence c is its weight, or its targets become c x target + (1 - c) x the code's "
        "share",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="epochs without a better micro-F1 on the validation texts before training ends; null: never. The "
        "best epoch's weights are kept in either case, if there are validation texts",
    )
    precision: Precision = Field(default="auto", description="of matrix products in training; auto: bfloat16 if faster")
    device: DeviceName = Field(default="auto")
    threads: int | Literal["auto"] = Field(default="auto", description="of one operation on the CPU")
    checkpoint_steps: int = Field(
        default=0, ge=0, description="checkpoint every so many steps too; 0: at the end of every epoch only"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> "TransformerSettings":
        if self.gradient_accumulation > self.batch_size:
            raise ValueError("gradient_accumulation must not be above batch_size: a part holds at least one text")
        return self
