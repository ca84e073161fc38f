"""Parameters of the text classifier: which model, and how its scores become probabilities and codes."""

from typing import Annotated, Literal, Self, TypeAlias, TypeVar

from pydantic import ConfigDict, Field, RootModel, model_validator

from augury.parameters import Parameters
from augury.pipelines.model_training.linear_text import FrozenSettings, TfidfSettings
from augury.pipelines.model_training.text_augmentation import Augmentation
from augury.pipelines.model_training.transformer_settings import TransformerSettings
from augury.predictors.label_thresholds import ThresholdSettings
from augury.predictors.taxonomy import MemberName
from augury.predictors.torch_device import DeviceName

CalibrationKind: TypeAlias = Literal["auto", "none", "common", "per_label"]
_Settings = TypeVar("_Settings", bound=Parameters)
Source: TypeAlias = Literal["validation", "out_of_fold", "fixed"]


class TextModelBase(Parameters):
    """What all kinds have in common."""

    thresholds: ThresholdSettings = ThresholdSettings()
    threshold_source: Literal["auto", "validation", "out_of_fold", "fixed"] = Field(
        default="auto",
        description="texts that thresholds, calibration and weights are learned from. auto: the folds of the training "
        "texts where all members are cheap, else the validation texts where they are enough, else none",
    )
    fewest_validation: int = Field(default=50, ge=1, description="validation texts that are enough for auto")
    folds: int = Field(default=5, ge=2, description="of a transformer whose threshold_source is out_of_fold")
    calibration: CalibrationKind = Field(
        default="auto",
        description="lines from scores to log odds: none, one for all codes, one per code shrunk to it; auto: what has "
        "the least log loss on texts that it was not fitted to",
    )
    augment: Literal["off", "auto", "on"] = Field(
        default="off",
        description="whether members learn from altered copies of the texts too. auto: if that gives texts of other "
        "folds a better F1, which for a transformer costs two trainings per fold",
    )
    augmentation: Augmentation = Augmentation(copies=1)
    device: DeviceName = Field(default="auto", description="where a frozen encoder computes its vectors")
    uri: str = Field(default="urn:taxonomy:{code}", description="of a code in suggestions, with its place in braces")
    export_onnx: bool = Field(default=True, description="whether encoders are exported to ONNX, in float32 and 8 bits")
    export_bin: bool = Field(default=False, description="whether pytorch_model.bin, a pickle, is written too")
    resume: bool = Field(default=True, description="whether a training that was killed goes on where it was")
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")

    @property
    def transformer_settings(self) -> TransformerSettings:
        """Those of the fine-tuned encoder.

        Raises:
            TypeError: The model has none.
        """
        return _settings(self, "transformer", TransformerSettings)

    @property
    def frozen_settings(self) -> FrozenSettings:
        """Those of the linear head over a frozen encoder.

        Raises:
            TypeError: The model has none.
        """
        return _settings(self, "frozen", FrozenSettings)

    @property
    def tfidf_settings(self) -> TfidfSettings:
        """Those of the weighted words.

        Raises:
            TypeError: The model has none.
        """
        return _settings(self, "tfidf_linear", TfidfSettings)


def _settings(model: TextModelBase, name: str, kind: type[_Settings]) -> _Settings:
    found = getattr(model, name, None)
    if not isinstance(found, kind):
        raise TypeError(f"{type(model).__name__} has no member '{name}'")
    return found


class TransformerModel(TextModelBase):
    """A fine-tuned encoder."""

    kind: Literal["transformer"] = "transformer"
    transformer: TransformerSettings = TransformerSettings()


class FrozenModel(TextModelBase):
    """A linear head over an encoder that is left as it is."""

    kind: Literal["frozen"] = "frozen"
    frozen: FrozenSettings = FrozenSettings()


class TfidfModel(TextModelBase):
    """Weighted words and one linear function per code."""

    kind: Literal["tfidf_linear"] = "tfidf_linear"
    tfidf_linear: TfidfSettings = TfidfSettings()


class BlendModel(TextModelBase):
    """Several of them, their log odds averaged."""

    kind: Literal["blend"] = "blend"
    transformer: TransformerSettings | None = TransformerSettings()
    frozen: FrozenSettings | None = None
    tfidf_linear: TfidfSettings | None = TfidfSettings()
    weights: dict[MemberName, Annotated[float, Field(ge=0)]] = Field(
        default={"transformer": 0.5, "frozen": 0.25, "tfidf_linear": 0.5},
        description="shares where there are no texts to learn them from",
    )
    steps: int = Field(default=10, ge=1, description="the learned weights are multiples of 1 / steps")

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        members = [name for name in MEMBERS if getattr(self, name) is not None]
        if not members or sum(self.weights.get(name, 0.0) for name in members) <= 0:
            raise ValueError("a blend needs a member that is not null, with a weight above 0")
        return self


MEMBERS: tuple[MemberName, ...] = ("transformer", "frozen", "tfidf_linear")
AnyTextModel: TypeAlias = TransformerModel | FrozenModel | TfidfModel | BlendModel


class TextModel(RootModel[Annotated[AnyTextModel, Field(discriminator="kind")]]):
    """How the text classifier is trained: the choice among the kinds.

    A model of its own around the choice, since Kedro turns parameters into models, but not into members of a union.
    """

    model_config = ConfigDict(frozen=True)


def members_of(model: AnyTextModel) -> tuple[MemberName, ...]:
    """The members that a model asks for, in the order in which they are fitted and stored."""
    return tuple(name for name in MEMBERS if getattr(model, name, None) is not None)
