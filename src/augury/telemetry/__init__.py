"""Telemetry that a storage application embeds: typed events without content, in an SQLite file of its own.

Needs the standard library and pydantic alone. It has nothing to do with Kedro's own usage statistics, which this
project has switched off in the file ``.telemetry``.
"""

from augury.telemetry.collector import CollectorStats, TelemetryCollector
from augury.telemetry.columns import RefusedEventError
from augury.telemetry.events import (
    EVENTS,
    BlockAccessed,
    BlockSketched,
    BlockStored,
    Event,
    GossipRound,
    PeerFetch,
    check_features,
    feature_columns,
)

__all__ = [
    "EVENTS",
    "BlockAccessed",
    "BlockSketched",
    "BlockStored",
    "CollectorStats",
    "Event",
    "GossipRound",
    "PeerFetch",
    "RefusedEventError",
    "TelemetryCollector",
    "check_features",
    "feature_columns",
]
