"""A search with a known answer, and a journal that can be opened again and again."""

import importlib.util
import sys
from pathlib import Path

import pytest

from augury.datasets.optuna_journal import OptunaJournalDataset

BOWL = Path(__file__).with_name("bowl.py")


def load(name, path):
    """Import a file under a name."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bowl():
    """The module ``bowl``, which is a script as well."""
    return load("bowl", BOWL)


@pytest.fixture(scope="session")
def query_rows():
    """The small simulated matrix of queries that training is tested with, and what makes it."""
    return load("query_rows", BOWL.parents[1] / "model_training" / "conftest.py")


@pytest.fixture
def journal(tmp_path):
    """A function that opens the same journal again and again."""
    return OptunaJournalDataset(filepath=str(tmp_path / "studies" / "tuning.journal")).load
