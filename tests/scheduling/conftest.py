"""A project of its own for every test."""

from pathlib import Path

import pytest

from scheduled_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
