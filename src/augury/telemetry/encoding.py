"""From what an application says to the rows that are stored: checked, made coarse and pseudonymised by columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from augury.telemetry.columns import Code, Naming, RefusedEventError
from augury.telemetry.events import columns
from augury.telemetry.pseudonyms import NodeSecret, epoch_of

SET_BY_COLLECTOR = "ts"


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
        words: Mapping[str, Mapping[str, int]],
    ) -> list[tuple[Code, ...]]:
        """Make rows.

        Args:
            times_ms: When each event was recorded.
            events: What the application said, one mapping per event.
            words: Column -> word -> number, for columns whose words an application can declare.

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
        naming = Naming(self._secret.pseudonym, words)
        stored: list[Sequence[Code]] = []
        for name, column in self._columns.items():
            if name == SET_BY_COLLECTOR:
                values: Sequence[Any] = times_ms
            else:
                values = [fields[name] for fields in events] if complete else [fields.get(name) for fields in events]
            stored.append(column.encode(name, values, naming))
        return list(zip(*stored, strict=True))
