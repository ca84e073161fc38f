"""Libraries that nodes import inside functions are loaded before threads start."""

import subprocess
import sys

import pytest

from augury.deferred_imports import deferred_imports, import_all


def test_imports_inside_functions_are_found_through_the_modules_of_the_package():
    found = deferred_imports(["augury.pipelines.model_training.boosted_trees"])
    assert "sklearn.ensemble.GradientBoostingRegressor" in found  # in the module itself
    assert any(name.split(".")[0] == "onnx" for name in found)  # in a module that it imports
    assert not any(name.split(".")[0] == "augury" for name in found)


def test_imports_at_the_top_of_a_module_are_none_of_them():
    assert deferred_imports(["augury.errors"]) == []
    assert deferred_imports(["json", "no.such.module"]) == []


def test_what_is_not_installed_is_passed_over():
    import_all(["no_such_package.part", "math.pi", "no_such_package"])


@pytest.mark.slow
def test_a_thread_run_loads_the_libraries_of_its_nodes_before_it_starts(project):
    """Two threads that import scikit-learn for the first time at once may see it half loaded."""
    (project.folder / "conf/test/tracking.yml").write_text("tracking: {enabled: false}\n")
    code = """
import sys
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from kedro.framework.session import KedroSession
from kedro.framework.hooks import hook_impl
from kedro.runner import ThreadRunner
bootstrap_project(".")
loaded = {}
class WatchingThreadRunner(ThreadRunner):
    def _run(self, *args, **kwargs):
        loaded.update({name: name in sys.modules for name in ("sklearn.ensemble", "lightgbm", "plotly.graph_objects")})
with KedroSession.create(".", env="test") as session:
    namespaces = ["pdf_memory", "food_waste"]
    session.run(pipeline_names=["training"], namespaces=namespaces, runner=WatchingThreadRunner(is_async=False))
assert loaded and all(loaded.values()), loaded
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
