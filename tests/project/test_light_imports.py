"""Large libraries are imported without what they drag along."""

import gc
import subprocess
import sys

import pytest

from augury.light_imports import collection_paused, hidden

CONNECT = """
import sys
from pathlib import Path
from augury.tracking.connection import connect
from augury.tracking.settings import TrackingSettings, locate_store
connect(locate_store(TrackingSettings(), Path(sys.argv[1]), None), ["food_waste"])
print("pyspark" in sys.modules)
"""


def test_a_hidden_package_counts_as_not_installed_for_a_while():
    sys.modules.pop("this", None)
    with hidden("this", "json"), pytest.raises(ModuleNotFoundError):
        import this  # noqa: F401
    assert "this" not in sys.modules
    assert sys.modules["json"] is not None


def test_a_package_that_is_loaded_stays_visible():
    with hidden("gc"):
        import gc as visible
    assert visible is gc


def test_the_collector_is_back_after_an_import_that_fails():
    with pytest.raises(ImportError), collection_paused():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_tracking_loads_no_spark(tmp_path):
    done = subprocess.run([sys.executable, "-c", CONNECT, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
