"""From what an application says to the rows that are stored: checked, made coarse and pseudonymised by columns."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from augury.telemetry.columns import Code, Naming, RefusedEventError
from augury.telemetry.events import EVENTS, columns, event_model
from augury.telemetry.pseudonyms import NodeSecret, epoch_of

SET_BY_COLLECTOR = "ts"

Recorded: TypeAlias = tuple[int, Any, dict[str, Any]]
"""Nanoseconds since 1970, event type, fields: what was recorded, unchecked."""

Words: TypeAlias = Mapping[str, Mapping[str, int]]
"""Column -> word -> number, for columns whose words an application can declare."""


class RowEncoder:
    """Makes the stored rows of one event type; the only way by which anything reaches the file."""

    def __init__(self, event_type: str, secret: NodeSecret) -> None:
        """Take an event type and the node's secret.

        Args:
            event_type: Such as ``block_stored``.
            secret: Makes the pseudonyms.
        """
        self.event_type = event_type
        self._secret = secret
        self._columns = columns(event_type)
        # The first column is the time, which the collector says
        self._said = {name: column for name, column in self._columns.items() if name != SET_BY_COLLECTOR}
        self._required = {name for name, column in self._said.items() if not column.optional}
        self._take = operator.itemgetter(*self._said)

    def encode(
        self,
        times_ms: Sequence[int],
        events: Sequence[Mapping[str, Any]],
        words: Words,
    ) -> list[tuple[Code, ...]]:
        """Make rows.

        Args:
            times_ms: When each event was recorded.
            events: What the application said, one mapping per event.
            words: The numbers of declared words.

        Returns:
            A row per event, its columns in the order of the schema.

        Raises:
            RefusedEventError: One of the events breaks a rule; which one can be found by encoding them one by one.
        """
        self._secret.rotate(epoch_of(times_ms[0]))
        naming = Naming(self._secret.hasher, words)
        said = self._complete(events) or self._with_gaps(events)
        stored: list[Sequence[Code]] = []
        for (name, column), values in zip(self._columns.items(), (times_ms, *said), strict=True):
            stored.append(column.encode(name, values, naming))
        return list(zip(*stored, strict=True))

    def _complete(self, events: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]] | None:
        """The columns of events that all have every field and no other; None if some have not."""
        # As many fields as there are, and each of them found: so there is no other
        if set(map(len, events)) != {len(self._said)}:
            return None
        try:
            return list(zip(*map(self._take, events), strict=True))
        except KeyError:
            return None

    def _with_gaps(self, events: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
        """The columns of events of which some lack optional fields, with None for them."""
        for fields in events:
            if not fields.keys() <= self._said.keys():
                known = ", ".join(self._said)
                raise RefusedEventError(
                    f"{self.event_type} has a field that the schema does not know. It knows {known}."
                )
            if not self._required <= fields.keys():
                missing = ", ".join(name for name in self._said if name in self._required and name not in fields)
                raise RefusedEventError(f"{self.event_type} lacks {missing}.")
        return [[fields.get(name) for fields in events] for name in self._said]


class BatchEncoder:
    """Makes the stored rows of a batch of any events, and finds those that break a rule."""

    def __init__(self, secret: NodeSecret) -> None:
        """Take the node's secret."""
        self._encoders = {event_type: RowEncoder(event_type, secret) for event_type in EVENTS}

    def check(self, ts_ns: int, event_type: Any, fields: dict[str, Any], words: Words) -> None:
        """Raise what is wrong with an event.

        Args:
            ts_ns: Nanoseconds since 1970.
            event_type: What the application said.
            fields: What the application said.
            words: The numbers of declared words.

        Raises:
            UserError: There is no such event type, or a field breaks its rule.
        """
        encoder = self._encoders[event_model(event_type).event_type]
        encoder.encode([ts_ns // 1_000_000], [fields], words)

    def encode(
        self, batch: Sequence[Recorded], words: Words
    ) -> tuple[dict[str, list[tuple[Code, ...]]], list[tuple[str, str]]]:
        """Check and encode a batch.

        Args:
            batch: What was recorded.
            words: The numbers of declared words.

        Returns:
            The rows of each event type, and for each event that breaks a rule its type and the rule.
        """
        refusals: list[tuple[str, str]] = []
        groups: dict[str, list[Recorded]] = {}
        for recorded in batch:
            event_type = recorded[1]
            if type(event_type) is str and event_type in self._encoders:
                groups.setdefault(event_type, []).append(recorded)
            else:
                refusals.append(("", "There is no such event type."))
        rows = {
            event_type: _rows(self._encoders[event_type], events, words, refusals)
            for event_type, events in groups.items()
        }
        return {event_type: found for event_type, found in rows.items() if found}, refusals


def _rows(
    encoder: RowEncoder, events: Sequence[Recorded], words: Words, refusals: list[tuple[str, str]]
) -> list[tuple[Code, ...]]:
    """Encode events of one type; halves that fail are halved again until the bad ones are found."""
    try:
        times = [ts_ns // 1_000_000 for ts_ns, _, _ in events]
        return encoder.encode(times, [fields for _, _, fields in events], words)
    except Exception as error:
        if len(events) == 1:
            said = str(error) if isinstance(error, RefusedEventError) else type(error).__name__
            refusals.append((encoder.event_type, said))
            return []
        middle = len(events) // 2
        return _rows(encoder, events[:middle], words, refusals) + _rows(encoder, events[middle:], words, refusals)
