"""Large libraries are imported without what they drag along."""

import gc
import subprocess
import sys
from types import ModuleType

import pytest

from augury.hooks import LightDatasets
from augury.light_imports import collection_paused, hidden, remember_missing

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


@pytest.mark.parametrize("ends", ["after_pipeline_run", "on_pipeline_error"])
@pytest.mark.parametrize("with_spark", [False, True])
def test_schemas_for_spark_are_hidden_only_during_a_run_without_spark(monkeypatch, ends, with_spark):
    monkeypatch.delitem(sys.modules, "pandera.api.pyspark", raising=False)
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    if with_spark:
        monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    light = LightDatasets()
    light.before_pipeline_run()
    assert ("pandera.api.pyspark" in sys.modules) != with_spark
    getattr(light, ends)()
    assert "pandera.api.pyspark" not in sys.modules


def test_only_a_package_that_is_not_installed_is_remembered_as_missing(monkeypatch):
    for package in ("no_such_package", "this"):
        monkeypatch.delitem(sys.modules, package, raising=False)
        remember_missing(package)
    assert sys.modules.pop("no_such_package") is None
    assert "this" not in sys.modules
