"""Events and collectors for the tests of telemetry."""

from pathlib import Path
from typing import Any

import pytest

from augury.telemetry import TelemetryCollector
from augury.telemetry.events import columns
from augury.telemetry.name_columns import Pseudonym, Word
from augury.telemetry.number_columns import Flag, Measure


def example_fields(event_type: str, **changes: Any) -> dict[str, Any]:
    """What an application could say about an event of a type."""

    def value(name: str, column: Any) -> Any:
        if isinstance(column, Pseudonym):
            return f"{name}-1"
        if isinstance(column, Word):
            return column.words[1]
        if isinstance(column, Flag):
            return 1
        assert isinstance(column, Measure)
        return max(1, int(column.most) // 8) if column.whole else column.most / 8

    found = {name: value(name, column) for name, column in columns(event_type).items() if name != "ts"}
    return found | changes


@pytest.fixture(scope="session")
def example() -> Any:
    """:func:`example_fields`."""
    return example_fields


@pytest.fixture
def open_collector(tmp_path: Path) -> Any:
    """A function that opens a collector in a folder of the test's own, with a short patience."""
    opened = []

    def opening(name: str = "events.db", **settings: Any) -> TelemetryCollector:
        collector = TelemetryCollector(
            tmp_path / name, **{"secret_path": tmp_path / "node.secret", "close_timeout_s": 5.0} | settings
        )
        opened.append(collector)
        return collector

    yield opening
    for collector in opened:
        collector.close()
