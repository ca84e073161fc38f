"""What numba compiled stays on disk for other processes, and is compiled again when what went into it has changed."""

import importlib
import re
from pathlib import Path

import pytest

import augury
from augury.predictors.compiled_sources import digest

numba = pytest.importorskip("numba")

ROOT = Path(augury.__file__).parent
MODULES = sorted(
    ".".join(("augury", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if re.search(r"njit\(\s*cache=True", path.read_text(encoding="utf-8"))
)


def test_there_are_kept_functions():
    assert "augury.predictors.peer_kernel" in MODULES


@pytest.mark.parametrize("module", MODULES)
def test_no_kept_function_closes_over_a_compiled_one(module):
    """Numba looks kept functions up by what they close over; a compiled function is another one in every process."""
    for name, found in vars(importlib.import_module(module)).items():
        if isinstance(found, numba.core.dispatcher.Dispatcher):
            cells = found.py_func.__closure__ or ()
            assert all(isinstance(cell.cell_contents, int) for cell in cells), name


def test_the_digest_changes_with_each_of_the_modules():
    one, other, both = digest("peer_kernel"), digest("peer_tables"), digest("peer_kernel", "peer_tables")
    assert len({one, other, both}) == 3 and one == digest("peer_kernel")
    assert all(0 <= number < 2**31 for number in (one, other, both))
