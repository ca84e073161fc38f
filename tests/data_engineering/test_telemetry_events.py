"""What an application has recorded goes through the same nodes as the committed samples."""

import typing
from pathlib import Path

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from pydantic import TypeAdapter

from augury.datasets.telemetry_events import read_events
from augury.pipelines.data_engineering import pipeline as data_engineering
from augury.telemetry import TelemetryCollector
from augury.telemetry.events import columns
from augury.telemetry.number_columns import Flag, Measure

REPOSITORY = Path(__file__).parents[2]
NOT_IN_SAMPLES = {"hit": 0, "prefetched": 0, "policy": "recorded"}


@pytest.fixture(scope="module")
def parameters():
    loader = OmegaConfigLoader(
        str(REPOSITORY / "conf"), base_env="base", default_run_env="test", merge_strategy={"parameters": "soft"}
    )
    return loader["parameters"]


def record(sample, event, folder):
    """Hand the rows of a sample to a collector, at their own times."""
    now = [0]
    settings = {"capacity": 10**6, "max_age_days": 10**5, "close_timeout_s": 120.0}
    path = folder / "events.db"
    with TelemetryCollector(
        path, secret_path=folder / "node.secret", clock=lambda: now[0] * 10**6, **settings
    ) as collector:
        for row in sample.astype(object).where(sample.notna(), None).to_dict("records"):
            now[0] = int(row["ts"])
            said = {name: row.get(name) for name in columns(event) if name != "ts"}
            for name, column in columns(event).items():
                if said.get(name) is None and not column.optional and name != "ts":
                    said[name] = NOT_IN_SAMPLES[name]
                elif said.get(name) is not None and isinstance(column, Flag):
                    said[name] = int(said[name])
                elif said.get(name) is not None and isinstance(column, Measure):
                    said[name] = int(said[name]) if column.whole else float(said[name])
            assert collector.record(event, **said)
    assert collector.stats().written == len(sample)
    return read_events(path, event)


@pytest.mark.parametrize(
    ("predictor", "event", "table", "rows"),
    [
        ("compression", "block_stored", "blocks", 6_000),
        ("prefetch", "block_accessed", "accesses", 4_000),
        ("peer_selection", "peer_fetch", "fetches", 3_000),
        ("gossip_tuning", "gossip_round", "rounds", None),
    ],
)
def test_recorded_events_are_engineered_like_the_sample(tmp_path, parameters, predictor, event, table, rows):
    raw = REPOSITORY / "data/01_raw" / predictor
    sample = pd.read_parquet(raw / f"{table}.parquet").head(rows)
    recorded = record(sample, event, tmp_path)
    (node,) = [node for node in getattr(data_engineering, predictor)().nodes if f"{predictor}.{table}" in node.inputs]
    hints = typing.get_type_hints(node.func)
    names = [name for name in hints if name != "return"]

    def engineer(frame):
        arguments = []
        for argument, name in zip(names, node.inputs, strict=True):
            if name.startswith("params:"):
                value = parameters
                for part in name.removeprefix("params:").split("."):
                    value = value[part]
                arguments.append(TypeAdapter(hints[argument]).validate_python(value))
            elif name == f"{predictor}.{table}":
                arguments.append(frame)
            else:
                arguments.append(pd.read_parquet(raw / f"{name.split('.')[1]}.parquet"))
        return node.func(*arguments)[0]

    expected, found = engineer(sample), engineer(recorded)
    # Times are kept in steps, so a row near a boundary in time may fall to its other side
    assert abs(len(found) - len(expected)) <= 0.02 * len(expected)
    assert set(found.columns) >= set(expected.columns) - {"trace"}
