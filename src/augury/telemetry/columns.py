"""What a column of an event may hold: which values are accepted, how coarsely they are kept, and in how many bits.

Every column is kept as a whole number from a finite list, or as a keyed pseudonym. There is no column for text, bytes
or floats, so nothing else can be written. A refusal never repeats the value: it could be content, and messages end up
in log files.
"""

import abc
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from augury.errors import UserError

Role: TypeAlias = Literal["identifier", "context", "feature", "outcome"]
"""``identifier``: whom or what a row is about, as a pseudonym. ``context``: when, and what was chosen under which rule.
``feature``: known before the choice. ``outcome``: known only afterwards, hence never the input of a model."""

Code: TypeAlias = int | bytes | None
"""What a column holds on disk."""

MISSING = type(None)


class RefusedEventError(UserError):
    """An event has a field that the schema does not allow; the message does not repeat the value."""


@dataclass(frozen=True)
class Naming:
    """What a column needs to know of the node and of the file.

    Attributes:
        hasher: Kind of identifier -> a hash that has the key and nothing else yet, to be copied.
        words: Column -> word -> number, for columns whose list of words the file holds.
    """

    hasher: "Callable[[str], hashlib.blake2b]"
    words: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


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
    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Make what is stored of a column.

        Args:
            name: Name of the column, for messages.
            values: What the application said, one value per event.
            naming: How names become hashes and numbers.

        Returns:
            As many whole numbers or hashes, None for missing values.

        Raises:
            RefusedEventError: A value breaks the rule.
        """

    @abc.abstractmethod
    def sql(self, name: str) -> str:
        """SQL that decodes the stored column ``name``."""

    @abc.abstractmethod
    def accepts(self, value: Any) -> bool:
        """Say whether a decoded value is one that the column can hold."""

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
