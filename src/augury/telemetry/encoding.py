"""From what an application says to the rows that are stored: checked, made coarse and pseudonymised by columns."""

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
        said = {name: column for name, column in self._columns.items() if name != SET_BY_COLLECTOR}
        self._allowed = said.keys()
        self._required = {name for name, column in said.items() if not column.optional}

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
        allowed, required = self._allowed, self._required
        complete = True
        for fields in events:
            keys = fields.keys()
            if keys != allowed:
                if not keys <= allowed:
                    raise RefusedEventError(
                        f"{self.event_type} has a field that the schema does not know. It knows {', '.join(allowed)}."
                    )
                if not required <= keys:
                    missing = ", ".join(name for name in allowed if name in required and name not in keys)
                    raise RefusedEventError(f"{self.event_type} lacks {missing}.")
                complete = False
        self._secret.rotate(epoch_of(times_ms[0]))
        naming = Naming(self._secret.hasher, words)
        stored: list[Sequence[Code]] = []
        for name, column in self._columns.items():
            if name == SET_BY_COLLECTOR:
                values: Sequence[Any] = times_ms
            else:
                values = [fields[name] for fields in events] if complete else [fields.get(name) for fields in events]
            stored.append(column.encode(name, values, naming))
        return list(zip(*stored, strict=True))


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
