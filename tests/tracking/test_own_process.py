"""Tracking in a process of its own: nothing is lost or hidden by it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("runs_of_own_process.py")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the process is forked on Linux only")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(empty_store, folder / "mlflow.db")
    path = os.pathsep.join([str(PROGRAM.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, PROGRAM, folder],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_everything_is_recorded_and_mlflow_stays_away(found: dict[str, Any]) -> None:
    assert found["imported_here"] is False
    assert found["finished"] == {
        "error": None,
        "status": "FINISHED",
        "mae": 1.5,
        "artifacts": ["gates.json", "metrics.json", "plots", "plots.html", "report.html"],
        "versions": [1],
        "line": True,
    }


def test_a_run_that_fails_says_why_without_credentials(found: dict[str, Any]) -> None:
    assert "broke" in found["failed"].pop("error")
    assert found["failed"] == {"status": "FAILED", "tag": "RuntimeError: http://***@host broke"}


def test_nothing_is_written_where_the_store_cannot_be_used(found: dict[str, Any]) -> None:
    assert "file is not a database" in found["unusable"]["error"]


def test_what_cannot_be_sent_costs_a_warning(found: dict[str, Any]) -> None:
    assert (found["unpicklable"]["error"], found["unpicklable"]["status"]) == (None, "FINISHED")
    assert "without report_lock" in found["unpicklable"]["missing"]


def test_a_tracker_that_dies_costs_a_warning(found: dict[str, Any]) -> None:
    assert found["killed"]["error"] is None
    assert any("did not record 'report_metrics' of taxonomy" in line for line in found["killed"]["lines"])
    assert any("the run of taxonomy was not ended" in line for line in found["killed"]["lines"])


def test_the_process_ends_with_the_run_and_leaves_nothing(found: dict[str, Any]) -> None:
    assert found["status_of_orphan"] == 0
    assert found["left"] == []
