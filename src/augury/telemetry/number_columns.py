"""Columns of numbers: measures in steps, flags and times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augury.telemetry.columns import Column, Naming, RefusedEventError, Role

_WHOLE = frozenset({int})
_NUMBERS = frozenset({int, float})


@dataclass(frozen=True, kw_only=True)
class Measure(Column):
    """A number: in steps of ``1 / per``, of which the first ``digits`` binary digits are kept.

    Attributes:
        most: The largest number.
        per: Steps to one.
        digits: Leading binary digits that are kept; None: all of them.
        whole: Whether fractions are refused.
        floor: Smallest stored number of steps; smaller ones are rounded up to it.
    """

    most: float
    per: int = 1
    digits: int | None = None
    whole: bool = False
    floor: int = 0

    def __post_init__(self) -> None:
        """Check that the limit itself can be stored."""
        if self._leading([self.limit]) != [self.limit]:
            raise ValueError(f"The limit {self.most} has more than {self.digits} binary digits.")

    @property
    def limit(self) -> int:
        """The largest stored number."""
        return round(self.most * self.per)

    @property
    def accepted(self) -> frozenset[type]:  # type: ignore[override]
        """Whole numbers, or all of them."""
        return _WHOLE if self.whole else _NUMBERS

    @property
    def states(self) -> int:
        """Numbers up to the limit with so many digits."""
        limit, digits = self.limit, self.digits
        if digits is None or limit < 1 << digits:
            count = limit + 1
        else:
            # All short numbers, then half as many for each further binary place, up to the limit
            places = limit.bit_length() - digits
            count = (1 << digits) + (places - 1) * (1 << (digits - 1)) + (limit >> places) - (1 << (digits - 1)) + 1
        return count - self.floor + self.optional

    @property
    def rule(self) -> str:
        """Kind and range."""
        return f"a plain {'int' if self.whole else 'int or float'} from 0 to {self.most:g}"

    @property
    def dtype(self) -> str:
        """Whole numbers stay whole unless some may be missing."""
        return "int64" if self.whole and not self.optional else "float64"

    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Make steps, rounded to the leading digits."""
        if not self._present(name, values):
            numbers = iter(self._encode(name, [value for value in values if value is not None]))
            return [None if value is None else next(numbers) for value in values]
        return self._encode(name, values)

    def _encode(self, name: str, values: Sequence[Any]) -> list[int]:
        if not values:
            return []
        # Half a step beyond the range is rounding, such as a share of 1.0000000000000002
        per, limit = self.per, self.limit
        try:
            if min(values) < -0.5 / per:
                raise self.refusal(name)
            codes = list(values) if self.whole and per == 1 else [int(value * per + 0.5) for value in values]
        except (ValueError, OverflowError) as error:  # NaN, infinity, or a number that no float can hold
            if isinstance(error, RefusedEventError):
                raise
            raise self.refusal(name) from None
        # NaN, which could hide another number from a comparison, is none of these any more
        if max(codes) > limit:
            raise self.refusal(name)
        if self.floor:
            codes = [max(code, self.floor) for code in codes]
        return self._leading(codes)

    def _leading(self, codes: list[int]) -> list[int]:
        """Round to the leading binary digits."""
        if self.digits is None:
            return codes
        digits, short = self.digits, 1 << self.digits
        return [
            code
            if code < short
            else (code + (1 << (drop := code.bit_length() - digits) >> 1)) >> drop << drop
            for code in codes
        ]  # fmt: skip

    def sql(self, name: str) -> str:
        """The number in its unit; the division is exact or correctly rounded, a multiplication would not be."""
        if self.dtype == "int64":
            return name if self.per == 1 else f"{name} / {self.per}"
        return f"{name} / {float(self.per)}"

    def accepts(self, value: Any) -> bool:
        """Whether a number lies on the grid."""
        if value is None:
            return self.optional
        if type(value) is float and self.whole and self.dtype == "float64" and value.is_integer():
            value = int(value)
        if type(value) not in self.accepted:
            return False
        try:
            code = self._encode("value", [value])[0]
        except RefusedEventError:
            return False
        return bool(code / self.per == value)


@dataclass(frozen=True, kw_only=True)
class Flag(Column):
    """Yes or no, read as 1 or 0."""

    accepted = frozenset({bool, int})

    @property
    def states(self) -> int:
        """Two, or three."""
        return 2 + self.optional

    @property
    def rule(self) -> str:
        """What is accepted."""
        return "True, False, 1 or 0"

    @property
    def dtype(self) -> str:
        """Zero and one; a missing one needs a float."""
        return "float64" if self.optional else "int64"

    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Make zeros and ones."""
        self._present(name, values)
        if not set(values) <= {0, 1, None}:
            raise self.refusal(name)
        return [None if value is None else int(value) for value in values]

    def sql(self, name: str) -> str:
        """The number itself."""
        return f"{name} / 1.0" if self.optional else name

    def accepts(self, value: Any) -> bool:
        """Whether it is 0 or 1."""
        return self.optional if value is None else type(value) in (int, float) and value in (0, 1)


@dataclass(frozen=True, kw_only=True)
class Time(Column):
    """When it happened, by the collector's clock: milliseconds since 1970, rounded down to a step.

    Attributes:
        step_ms: Length of the step in milliseconds.
    """

    step_ms: int
    role: Role = "context"
    accepted = frozenset({int})

    @property
    def states(self) -> int:
        """Steps of a week: the clock is the collector's, so that an application chooses only the moment."""
        return 7 * 86_400_000 // self.step_ms

    @property
    def rule(self) -> str:
        """What it is."""
        return f"milliseconds since 1970 in steps of {self.step_ms}"

    @property
    def dtype(self) -> str:
        """Milliseconds."""
        return "int64"

    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Round times down."""
        step = self.step_ms
        return [value - value % step for value in values]

    def sql(self, name: str) -> str:
        """The number itself."""
        return name

    def accepts(self, value: Any) -> bool:
        """Whether it is a step."""
        return type(value) is int and value >= 0 and value % self.step_ms == 0
