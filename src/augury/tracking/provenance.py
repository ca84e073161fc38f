"""Tags that say where a run came from."""

import contextlib
import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import augury


def git_commit(folder: Path) -> str | None:
    """The commit that a folder is at.

    Args:
        folder: Any folder.

    Returns:
        The full hash, with ``-dirty`` where tracked files differ from it; None without git, without
        a repository and in a repository without commits.
    """
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            [*command, "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def run_tags(run_params: Mapping[str, Any], project: Path, env: str | None) -> dict[str, str]:
    """Describe one ``kedro run``.

    Args:
        run_params: What Kedro hands to ``before_pipeline_run``.
        project: Folder of the project.
        env: Kedro environment; None means the default one.

    Returns:
        MLflow tags. Those that start with ``mlflow.`` fill columns of MLflow's pages.
    """
    pipelines = run_params.get("pipeline_names") or ["__default__"]
    tags = {
        "augury.version": augury.__version__,
        "kedro.run_id": str(run_params.get("run_id")),
        "kedro.env": env or "local",
        "kedro.pipelines": ",".join(pipelines),
        "kedro.version": str(run_params.get("kedro_version")),
        "mlflow.source.name": "kedro run",
        "mlflow.source.type": "LOCAL",
    }
    with contextlib.suppress(ImportError, KeyError, OSError):  # a container's user may be nameless
        tags["mlflow.user"] = getpass.getuser()
    if commit := git_commit(project):
        tags["mlflow.source.git.commit"] = commit
    return tags
