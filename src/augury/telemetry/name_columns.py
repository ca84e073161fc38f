"""Columns of names: words of a fixed list, and pseudonyms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augury.telemetry.columns import Code, Column, Naming, Role

ID_DIGITS = 24
MAX_ID_CHARS = 256

_HEX = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
DECLARED_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,23}")
"""What a word that an application declares looks like."""


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

    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Make the numbers of words."""
        self._present(name, values)
        known: dict[Any, Any] = dict(naming.words.get(name) or {word: code for code, word in enumerate(self.words)})
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

    def encode(self, name: str, values: Sequence[Any], naming: Naming) -> list[Any]:
        """Make keyed hashes of 12 bytes; an optional identifier may also be empty."""
        self._present(name, values)
        found: list[Code] = []
        keyed = naming.hasher(self.kind).copy
        for value in values:
            if not value and self.optional:
                found.append(None)
                continue
            if not 0 < len(value) <= MAX_ID_CHARS:
                raise self.refusal(name)
            hasher = keyed()
            # surrogatepass: any text that Python can hold has a hash
            hasher.update(value if type(value) is bytes else value.encode("utf-8", "surrogatepass"))
            found.append(hasher.digest())
        return found

    def sql(self, name: str) -> str:
        """24 hexadecimal digits; nothing for a missing one."""
        return f"coalesce(lower(hex({name})), '')"

    def accepts(self, value: Any) -> bool:
        """Whether it looks like a pseudonym."""
        return type(value) is str and (bool(_HEX.fullmatch(value)) or (self.optional and value == ""))
