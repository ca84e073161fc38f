"""What a column of an event may hold: which values are accepted, how coarsely they are kept, and in how many bits.

Every column is kept as a whole number from a finite list, or as a keyed pseudonym. There is no column for text, bytes
or floats, so nothing else can be written. A refusal never repeats the value: it could be content, and messages end up
in log files.
"""

import abc
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from augury.errors import UserError

Role: TypeAlias = Literal["identifier", "context", "feature", "outcome"]
"""``identifier``: whom or what a row is about, as a pseudonym. ``context``: when, and what was chosen under which rule.
``feature``: known before the choice. ``outcome``: known only afterwards, hence never the input of a model."""

Code: TypeAlias = int | bytes | None
"""What a column holds on disk."""

ID_DIGITS = 24
MAX_ID_CHARS = 256
MISSING = type(None)

_HEX = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


class RefusedEventError(UserError):
    """An event has a field that the schema does not allow; the message does not repeat the value."""


@dataclass(frozen=True, kw_only=True)
class Column(abc.ABC):
    """What one field of an event may be.

    Attributes:
        role: What the field is to a model.
        optional: Whether the field may be missing.
    """

    role: Role
    optional: bool = False
    sql_type: ClassVar[str] = "INTEGER"
    accepted: ClassVar[frozenset[type]]
    """The exact types that are accepted. A subclass of them could hold or do anything, so it is refused."""

    @property
    @abc.abstractmethod
    def states(self) -> int:
        """How many different values the column can hold."""

    @property
    def bits(self) -> float:
        """The most that one value of the column can say, in bits."""
        return math.log2(self.states)

    @property
    @abc.abstractmethod
    def rule(self) -> str:
        """What the column accepts, in words."""

    @property
    @abc.abstractmethod
    def dtype(self) -> str:
        """Type of the decoded column in a pandas frame."""

    @abc.abstractmethod
    def sql(self, name: str) -> str:
        """SQL that decodes the stored column ``name``."""

    def accepts(self, value: Any) -> bool:
        """Say whether a decoded value is one that the column can hold."""
        raise NotImplementedError

    def _present(self, name: str, values: Sequence[Any]) -> bool:
        """Check the types.

        Returns:
            Whether no value is missing.
        """
        kinds = set(map(type, values))
        if kinds <= self.accepted:
            return True
        if self.optional and kinds <= self.accepted | {MISSING}:
            return False
        raise self.refusal(name)

    def refusal(self, name: str) -> RefusedEventError:
        """The error for a value that breaks the rule."""
        return RefusedEventError(f"Field '{name}' must be {self.rule}{' or missing' if self.optional else ''}.")


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

    def encode(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Make the stored numbers of a column.

        Args:
            name: Name of the column, for messages.
            values: What the application said.

        Returns:
            As many whole numbers, None for missing ones.

        Raises:
            RefusedEventError: A value breaks the rule.
        """
        if not self._present(name, values):
            numbers = iter(self._encode(name, [value for value in values if value is not None]))
            return [None if value is None else next(numbers) for value in values]
        return self._encode(name, values)

    def _encode(self, name: str, values: Sequence[Any]) -> list[int]:
        if not values:
            return []
        try:
            # The comparison comes first, so that a number of a million digits is never multiplied; NaN fails in int()
            if min(values) < 0 or max(values) > self.most:
                raise self.refusal(name)
            per = self.per
            codes = list(values) if self.whole and per == 1 else [int(value * per + 0.5) for value in values]
        except (ValueError, OverflowError) as error:
            if isinstance(error, RefusedEventError):
                raise
            raise self.refusal(name) from None
        if max(codes) > self.limit or min(codes) < 0:  # NaN compares with nothing, so it may have hidden another number
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
        if type(value) not in self.accepted:
            return False
        try:
            code = self.encode("value", [value])[0]
        except RefusedEventError:
            return False
        return bool(code / self.per == value)


_WHOLE = frozenset({int})
_NUMBERS = frozenset({int, float})


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

    def encode(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Make zeros and ones.

        Args:
            name: Name of the column, for messages.
            values: What the application said.

        Returns:
            As many 0, 1 and None.

        Raises:
            RefusedEventError: A value is something else.
        """
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
class Word(Column):
    """One of a fixed list of words.

    Attributes:
        words: The list; new ones are put at its end, because the stored number is the position.
        declared: How many further words an application can declare when it opens a collector.
    """

    words: tuple[str, ...]
    declared: int = 0
    accepted = frozenset({str})

    @property
    def states(self) -> int:
        """The length of the list."""
        return len(self.words) + self.declared + self.optional

    @property
    def rule(self) -> str:
        """The list, or its beginning."""
        shown = ", ".join(self.words[:12]) + (", ..." if len(self.words) > 12 else "")
        return f"one of the words {shown}" + (", or one declared by policies=" if self.declared else "")

    @property
    def dtype(self) -> str:
        """Text."""
        return "object"

    def encode(self, name: str, values: Sequence[Any], codes: dict[str, int] | None = None) -> list[Any]:
        """Make the numbers of words.

        Args:
            name: Name of the column, for messages.
            values: What the application said.
            codes: Word -> number, where the application declared some; by default the fixed list.

        Returns:
            As many whole numbers, None for missing ones.

        Raises:
            RefusedEventError: A value is none of the words.
        """
        self._present(name, values)
        known: dict[Any, Any] = codes if codes is not None else {word: code for code, word in enumerate(self.words)}
        found = list(map({**known, None: None}.get, values))
        if None in found and not (self.optional and found.count(None) == list(values).count(None)):
            raise self.refusal(name)
        return found

    def sql(self, name: str) -> str:
        """The word, looked up in the file's own list."""
        return f"(SELECT text FROM word WHERE field = '{name}' AND code = {name})"

    def accepts(self, value: Any) -> bool:
        """Whether it is a word of the list; a declared one is any short name."""
        if value is None:
            return self.optional
        return type(value) is str and (value in self.words or bool(self.declared and DECLARED_WORD.fullmatch(value)))


DECLARED_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,23}")
"""What a word that an application declares looks like."""


@dataclass(frozen=True, kw_only=True)
class Pseudonym(Column):
    """Whom or what a row is about: the application says its own identifier, the row holds a keyed hash of it.

    Attributes:
        kind: Identifiers of one kind get the same pseudonym in every column of that kind, and of no other.
    """

    kind: str
    role: Role = "identifier"
    sql_type = "BLOB"
    accepted = frozenset({bytes, str})

    @property
    def states(self) -> int:
        """All hashes. To who does not have the key, they say only which rows are about the same."""
        return 1 << (4 * ID_DIGITS)

    @property
    def rule(self) -> str:
        """What is accepted."""
        return f"the application's own identifier: bytes or text of 1 to {MAX_ID_CHARS} characters"

    @property
    def dtype(self) -> str:
        """Text."""
        return "object"

    def encode(self, name: str, values: Sequence[Any], pseudonym: Callable[[str, bytes], bytes]) -> list[Code]:
        """Make the pseudonyms of a column.

        Args:
            name: Name of the column, for messages.
            values: What the application said.
            pseudonym: Kind and identifier -> keyed hash.

        Returns:
            As many hashes of 12 bytes, None for missing identifiers and, where they are optional, empty ones.

        Raises:
            RefusedEventError: A value is no identifier.
        """
        self._present(name, values)
        found: list[Code] = []
        for value in values:
            if self.optional and (value is None or not value):
                found.append(None)
                continue
            if not 0 < len(value) <= MAX_ID_CHARS:
                raise self.refusal(name)
            # surrogatepass: any text that Python can hold has a hash
            raw = value if type(value) is bytes else value.encode("utf-8", "surrogatepass")
            found.append(pseudonym(self.kind, raw))
        return found

    def sql(self, name: str) -> str:
        """24 hexadecimal digits; nothing for a missing one."""
        return f"coalesce(lower(hex({name})), '')"

    def accepts(self, value: Any) -> bool:
        """Whether it looks like a pseudonym."""
        return type(value) is str and (bool(_HEX.fullmatch(value)) or (self.optional and value == ""))


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

    def encode(self, name: str, values: Sequence[int]) -> list[int]:
        """Round times down.

        Args:
            name: Name of the column, for messages.
            values: Milliseconds since 1970.

        Returns:
            As many multiples of the step.
        """
        step = self.step_ms
        return [value - value % step for value in values]

    def sql(self, name: str) -> str:
        """The number itself."""
        return name

    def accepts(self, value: Any) -> bool:
        """Whether it is a step."""
        return type(value) is int and value >= 0 and value % self.step_ms == 0
