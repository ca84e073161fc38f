"""The hook in a whole Kedro project, in a process of its own."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import augury
from augury.tracking import provenance

FILES = {
    "pyproject.toml": """
        [tool.kedro]
        package_name = "shop"
        project_name = "Shop"
        kedro_init_version = "1.7.0"
        """,
    "conf/base/catalog.yml": "",
    "conf/base/parameters.yml": "pdf_memory: {seed: 42, signal: 0}",
    "conf/local/README.md": "",
    "src/shop/__init__.py": "",
    "src/shop/settings.py": """
        from augury.tracking import MlflowTracking

        HOOKS = (MlflowTracking(),)
        DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
        CONFIG_LOADER_ARGS = {
            "base_env": "base",
            "default_run_env": "local",
            "config_patterns": {"tracking": ["tracking*", "tracking*/**", "**/tracking*"]},
        }
        """,
    "src/shop/pipeline_registry.py": """
        import signal

        from kedro.pipeline import Node, Pipeline


        def judge(parameters: dict) -> dict:
            if parameters["signal"]:
                signal.raise_signal(parameters["signal"])
            return {"mae": 1.5}


        def register_pipelines() -> dict:
            judging = Pipeline(
                [Node(judge, "params:pdf_memory", "report_metrics", name="judge", tags="tracked")],
                parameters={"params:pdf_memory"},
                namespace="pdf_memory",
            )
            cleaning = Pipeline([Node(len, "params:pdf_memory", "size", name="count")])
            return {"__default__": judging, "cleaning": cleaning}
        """,
    "run.py": """
        import logging
        import sys
        from pathlib import Path

        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        folder = Path(__file__).parent
        bootstrap_project(folder)
        logging.getLogger("augury").setLevel(logging.INFO)
        with KedroSession.create(folder) as session:
            session.run(pipeline_names=sys.argv[1:] or None)
        print("mlflow imported:", "mlflow" in sys.modules)
        """,
}


@pytest.fixture
def shop(tmp_path: Path, empty_store: Path) -> Path:
    """A Kedro project with an empty store."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    (tmp_path / "conf/base/tracking.yml").write_text("tracking: {enabled: true}")
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def run(shop: Path, *pipelines: str) -> subprocess.CompletedProcess[str]:
    """Run a pipeline of the shop."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"PYTHONPATH": str(Path(augury.__file__).parents[1]), "DO_NOT_TRACK": "1"}
    return subprocess.run(
        [sys.executable, "run.py", *pipelines],
        cwd=shop,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # Who starts the tests in the background has Ctrl-C ignored, and so would every process of theirs
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def query(shop: Path, sql: str) -> list[Any]:
    """Ask the shop's store."""
    with sqlite3.connect(shop / "mlflow.db") as database:
        return database.execute(sql).fetchall()


def test_a_tracked_run_is_quiet(shop: Path) -> None:
    (shop / "mlflow.db").unlink()  # creating the tables is what MLflow talks about
    done = run(shop)
    assert done.returncode == 0, done.stderr
    assert query(shop, "SELECT status FROM runs") == [("FINISHED",)]
    assert query(shop, "SELECT key, value FROM metrics") == [("mae", 1.5)]
    assert query(shop, "SELECT key, value FROM params ORDER BY key") == [
        ("seed", "42"),
        ("signal", "0"),
    ]
    output = done.stdout + done.stderr
    for noise in ("database tables", "alembic", "mlflow.store", "View run", "Warning"):
        assert noise not in output
    assert "MLflow run: experiment pdf_memory" in " ".join(output.split())


@pytest.mark.parametrize(
    ("pipeline", "tracking"),
    [
        ("cleaning", "tracking: {enabled: true}"),
        ("__default__", "tracking: {enabled: false}"),
        ("__default__", None),
    ],
    ids=["nothing tracked", "switched off", "no file"],
)
def test_mlflow_is_imported_only_where_something_is_tracked(shop: Path, pipeline: str, tracking: str | None) -> None:
    path = shop / "conf/base/tracking.yml"
    path.unlink() if tracking is None else path.write_text(tracking)
    done = run(shop, pipeline)
    assert done.returncode == 0, done.stderr
    assert "mlflow imported: False" in done.stdout
    assert query(shop, "SELECT status FROM runs") == []


def test_ctrl_c_kills_the_run(shop: Path) -> None:
    (shop / "conf/local/parameters.yml").write_text(f"pdf_memory: {{seed: 42, signal: {int(signal.SIGINT)}}}")
    done = run(shop)
    assert "KeyboardInterrupt" in done.stderr
    assert query(shop, "SELECT status FROM runs") == [("KILLED",)]


def test_the_commit_of_a_repository(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert provenance.git_commit(tmp_path) is None
    git("init", "--quiet")
    assert provenance.git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "--quiet", "--message", "one")
    git("tag", "v1")
    assert provenance.git_commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a").write_text("2")
    assert provenance.git_commit(tmp_path) == git("rev-parse", "HEAD") + "-dirty"
