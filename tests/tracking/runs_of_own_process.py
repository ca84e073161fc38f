"""Runs that are tracked by a process of its own; forking is safe here, because this program has no threads.

Prints one JSON object: what became of each run.
"""

import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from kedro.pipeline import Node, Pipeline

from augury.errors import UserError
from augury.predictors import REGISTRY
from augury.tracking import own_process
from conftest import Project, _pipeline

import doubling_family

REGISTRY["doubling"] = "doubling_family:Doubling"


class Lines(logging.Handler):
    """Keeps what this process logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def run(project, pipeline):
    """Run with a process of its own; the text of the error, if there was one."""
    own_process.start_tracking_process()
    process = own_process._started
    assert isinstance(process, own_process.TrackingProcess)
    try:
        project.run(pipeline)
    except (UserError, RuntimeError) as error:
        return str(error)
    return None


def main(folder):
    logs = Lines()
    logging.getLogger("augury").addHandler(logs)
    tempfile.tempdir = str(folder)
    found = {}

    project = Project(folder, {})
    project.parameters = {"pdf_memory.factor": 2.0}
    pipeline = _pipeline(doubling_family, "pdf_memory")
    error = run(project, pipeline)
    found["imported_here"] = "mlflow" in sys.modules
    done = project.only_run("pdf_memory")
    found["finished"] = {
        "error": error,
        "status": done.info.status,
        "mae": done.data.metrics["mae"],
        "artifacts": sorted(project.artifacts(done.info.run_id)),
        "versions": [int(version.version) for version in versions(project)],
        "line": any("`make mlflow` opens it" in line for line in logs.lines),
    }

    error = run(project, _pipeline(doubling_family, "pdf_memory", evaluate=fail))
    failed = project.runs("pdf_memory")[0]
    found["failed"] = {"error": error, "status": failed.info.status, "tag": failed.data.tags["error"]}

    (folder / "notes.txt").write_text("not a database, but long enough" * 40)
    broken = Project(folder, {"uri": "sqlite:///notes.txt"})
    saved = []
    node = Node(lambda: saved.append(1) or 1, None, "report_metrics", name="only", tags="tracked")
    error = run(broken, Pipeline([node], namespace="food_waste"))
    found["unusable"] = {"error": error, "exists": (folder / "notes.txt").exists()}

    unpicklable = Node(lambda: {"function": lambda: 1}, None, "report_lock", name="lock", tags="tracked")
    error = run(project, Pipeline([unpicklable], namespace="query_cost"))
    odd = project.only_run("query_cost")
    found["unpicklable"] = {"error": error, "status": odd.info.status, "missing": logs.lines[-1]}

    nodes = [
        Node(lambda: {"rows": 1}, None, "report_data", name="first", tags="tracked"),
        Node(kill_tracker, "report_data", "report_metrics", name="killer", tags="tracked"),
    ]
    error = run(project, Pipeline(nodes, namespace="taxonomy"))
    found["killed"] = {"error": error, "lines": [line for line in logs.lines if "taxonomy" in line]}

    own_process.start_tracking_process()
    process = own_process.tracker()
    process._connection.close()  # as when the run is killed
    found["status_of_orphan"] = os.waitpid(process._process, 0)[1]
    found["left"] = [str(path) for path in folder.glob("augury-tracked-*")]
    sys.stdout.write(json.dumps(found) + "\n")


def versions(project):
    return project.client.search_model_versions("name='augury.pdf_memory'")


def fail(_):
    raise RuntimeError("http://ann:secret@host broke")


def kill_tracker(_):
    import psutil

    (child,) = psutil.Process().children()
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    return {"mae": 1.0}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
