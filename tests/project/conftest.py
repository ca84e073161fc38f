"""Copies of the project, fresh and trained."""

import os
import shutil

import pytest
from filelock import FileLock

from workspace import Project, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def trained_project(tmp_path_factory) -> Project:
    """A project in which `training` has run in the test environment; read-only by convention."""
    # The processes of pytest-xdist share one: their base folders lie side by side
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "trained_project"
    with FileLock(f"{shared}.lock"):
        trained = shared.with_suffix(".done")
        if not trained.exists():
            shutil.rmtree(shared, ignore_errors=True)
            done = make_project(shared).kedro("run", "--pipeline=training", "--env=test")
            assert done.returncode == 0, done.stderr
            trained.touch()
    return Project(shared)
