"""Copies of the project, fresh and trained."""

import pytest

from workspace import Project, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def trained_project(tmp_path_factory) -> Project:
    """A project in which `training` has run in the test environment; read-only by convention."""
    made = make_project(tmp_path_factory.mktemp("trained"))
    done = made.kedro("run", "--pipeline=training", "--env=test")
    assert done.returncode == 0, done.stderr
    return made
