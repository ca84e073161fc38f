"""`python -m augury telemetry`: status, rows and export."""

import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError
from augury.telemetry import TelemetryCollector
from augury.telemetry.pseudonyms import EPOCH_MS

ACCESS = {"session": "s", "object": "o", "position": 1, "size": 4096, "hit": 1, "prefetched": 0, "policy": "rule"}


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """A file of one node with 21 weeks of accesses, the last of them in 2025."""
    folder = tmp_path_factory.mktemp("telemetry")
    now = [2_870 * EPOCH_MS * 10**6]
    path = folder / "events.db"
    with TelemetryCollector(path, secret_path=folder / "s", clock=lambda: now[0], max_age_days=10_000) as collector:
        for _ in range(21):
            collector.record("block_accessed", **ACCESS)
            assert collector.flush(30)
            now[0] += EPOCH_MS * 10**6
    return path


def invoke(*words):
    return CliRunner().invoke(cli, ["telemetry", *map(str, words)], catch_exceptions=True)


def test_status(events):
    said = invoke("status", events).output
    assert "block_accessed            21  2025-01-02 00:00 UTC to 2025-05-22 00:00 UTC" in said
    assert "gossip_round               0" in said


def test_rows_of_an_interval(events, tmp_path):
    target = tmp_path / "new folder" / "rows.parquet"
    done = invoke("rows", events, "--event", "block_accessed", "--to", target, "--since", "2025-05-01")
    assert done.output == f"4 rows of block_accessed -> {target}\n"
    assert len(pd.read_parquet(target)) == 4
    assert [path.name for path in target.parent.iterdir()] == ["rows.parquet"]


def test_rows_to_an_object_store(events):
    done = invoke("rows", events, "--event", "block_accessed", "--to", "memory://lake/rows.parquet")
    assert done.exit_code == 0
    assert len(pd.read_parquet("memory://lake/rows.parquet")) == 21


def test_export(events, tmp_path):
    done = invoke("export", events, "--event", "block_accessed", "--to", tmp_path / "cells.parquet")
    assert "1 groups from 21 nodes and weeks" in done.output
    cells = pd.read_parquet(tmp_path / "cells.parquet")
    assert cells.to_dict("records") == [
        {"size_below": 4**7, "units": 21, "weight": 21.0, "hit_mean": 1.0, "prefetched_mean": 0.0}
    ]
    invoke("export", events, "--event", "block_accessed", "--to", tmp_path / "noisy.parquet", "--epsilon", "0.5")
    assert "privacy budget of week 2870: 0.5 of 1 spent" in invoke("status", events).output


def test_an_export_that_would_release_nothing_is_an_error(events, tmp_path):
    done = invoke("export", events, "--event", "peer_fetch", "--to", tmp_path / "cells.parquet")
    assert isinstance(done.exception, UserError)
    assert "0 nodes and weeks that are over" in str(done.exception)
    assert not (tmp_path / "cells.parquet").exists()
    few = invoke("export", events, "--event", "block_accessed", "--to", tmp_path / "cells.parquet", "--k", "5")
    assert "at least 20" in str(few.exception)


def test_telemetry_is_among_the_commands():
    assert "telemetry" in CliRunner().invoke(cli, ["--help"]).output
