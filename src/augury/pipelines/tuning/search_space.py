"""The space that a search looks through: which parameters, between which values."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from augury.errors import UserError
from augury.parameters import Parameters, value_at, with_values

Scalar = bool | int | float | str | None

_SHORT_FORMS = "['float', low, high], ['int', low, high] (both may end with 'log' or a step) or ['categorical', [...]]"


class FloatRange(Parameters):
    """Real numbers between two ends."""

    type: Literal["float"] = Field(description="real numbers from low to high, both included")
    low: float
    high: float
    log: bool = Field(default=False, description="evenly on a logarithmic scale")
    step: float | None = Field(default=None, gt=0, description="only low, low + step, low + 2 step ...")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high, self.log, self.step)
        return self

    def distribution(self) -> Any:
        """The same as an Optuna distribution."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def nearest(self, value: Any) -> float:
        """The point of the range that is nearest to a value."""
        inside = min(max(float(value), self.low), self.high)
        return inside if self.step is None else self.low + round((inside - self.low) / self.step) * self.step


class IntRange(Parameters):
    """Whole numbers between two ends."""

    type: Literal["int"] = Field(description="whole numbers from low to high, both included")
    low: int
    high: int
    log: bool = Field(default=False, description="evenly on a logarithmic scale")
    step: int = Field(default=1, ge=1, description="only low, low + step, low + 2 step ...")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high, self.log, None if self.step == 1 else self.step)
        return self

    def distribution(self) -> Any:
        """The same as an Optuna distribution."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def nearest(self, value: Any) -> int:
        """The point of the range that is nearest to a value."""
        inside = min(max(value, self.low), self.high)
        return self.low + round((inside - self.low) / self.step) * self.step


class Choice(Parameters):
    """A few values without order."""

    type: Literal["categorical"] = Field(description="one of the choices")
    choices: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_choice(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("the same choice is given twice")
        return self

    def distribution(self) -> Any:
        """The same as an Optuna distribution."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    def nearest(self, value: Any) -> Scalar:
        """The choice that equals a value."""
        if value not in self.choices:
            raise ValueError(f"the default {value!r} is not among the choices")
        return self.choices[self.choices.index(value)]


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, not at {low:g}")
    if log and step is not None:
        raise ValueError("a range has steps or is logarithmic, not both")
    if step is not None and step > high - low:
        raise ValueError(f"the step ({step:g}) is longer than the range")


def _from_short_form(value: Any) -> Any:
    """``['float', 1e-4, 1e-2, 'log']`` and the like, as scripts write them."""
    if not isinstance(value, list | tuple):
        return value
    match list(value):
        case ["float" | "int" as kind, low, high]:
            return {"type": kind, "low": low, "high": high}
        case ["float" | "int" as kind, low, high, "log"]:
            return {"type": kind, "low": low, "high": high, "log": True}
        case ["float" | "int" as kind, low, high, int() | float() as step] if not isinstance(step, bool):
            return {"type": kind, "low": low, "high": high, "step": step}
        case ["categorical", [*choices]]:
            return {"type": "categorical", "choices": choices}
    raise ValueError(f"a dimension in short form is {_SHORT_FORMS}")


Dimension = Annotated[
    Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")], BeforeValidator(_from_short_form)
]

Space = dict[str, Dimension | None]
"""Dotted path of a parameter of the model -> its values; None takes out a dimension that another environment has."""


_Model = TypeVar("_Model", bound=Parameters)


class SearchSpace(Generic[_Model]):
    """The dimensions of a search, checked against the model whose parameters they are."""

    def __init__(
        self,
        predictor: str,
        model: _Model,
        space: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tunable: str = "",
    ) -> None:
        """Check the space.

        Args:
            predictor: Name of the predictor, for messages.
            model: Parameters of the model: the defaults.
            space: Dotted path -> dimension, as in :data:`Space`.
            fixed: Dotted path -> value during the search only.
            tunable: What every path must begin with.

        Raises:
            UserError: A path leads nowhere, is fixed as well, or one of its values would be refused by the model.
        """
        self.dimensions = {path: dimension for path, dimension in space.items() if dimension is not None}
        self._where = f"{predictor}.tuning"
        if not self.dimensions:
            raise UserError(f"Parameter '{self._where}.space' is empty: there is nothing to tune.")
        for path in self.dimensions:
            if path in fixed:
                raise UserError(
                    f"Parameter '{self._where}.space.{path}' is in '{self._where}.fixed' as well: tune it or fix it."
                )
            if not path.startswith(tunable):
                raise UserError(
                    f"Parameter '{self._where}.space.{path}': only parameters under '{tunable.rstrip('.')}' are tuned."
                )
        with self._named("fixed"):
            self.model = with_values(model, fixed)
        self.defaults: dict[str, Any] = {}
        for path, dimension in self.dimensions.items():
            with self._named(f"space.{path}"):
                self.defaults[path] = value_at(self.model, path)
                try:
                    dimension.nearest(self.defaults[path])
                except (TypeError, ValueError) as error:
                    raise UserError(f"{error}.") from None
                ends = dimension.choices if isinstance(dimension, Choice) else (dimension.low, dimension.high)
                for end in ends:
                    with_values(self.model, {path: end})

    def distributions(self) -> dict[str, Any]:
        """Path -> Optuna distribution, in the order of the space."""
        return {path: dimension.distribution() for path, dimension in self.dimensions.items()}

    def nearest(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The point of the space that is nearest to some parameters; the defaults may lie outside of their ranges."""
        return {path: dimension.nearest(parameters[path]) for path, dimension in self.dimensions.items()}

    def refuse(self, path: str, reason: str) -> None:
        """Refuse a dimension that this kind of search cannot have.

        Args:
            path: Its path.
            reason: Why; completes "cannot be tuned: ...".

        Raises:
            UserError: The space has it.
        """
        if path in self.dimensions:
            raise UserError(
                f"Parameter '{self._where}.space.{path}' cannot be tuned: {reason}. Set it in '{self._where}.fixed'."
            )

    def describe(self) -> dict[str, Any]:
        """The dimensions, JSON-ready."""
        return {path: dimension.model_dump(mode="json") for path, dimension in self.dimensions.items()}

    def _named(self, part: str) -> "_Named":
        return _Named(f"{self._where}.{part}")


class _Named:
    """Says which parameter of the search a mistake is in."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UserError):
            raise UserError(f"Parameter '{self._where}': {error}") from None
