"""Nothing heavy is imported before it is needed."""

import functools
import json
import subprocess
import sys

import pytest

HEAVY = {"sklearn", "lightgbm", "xgboost", "torch", "transformers", "pyspark", "mlflow", "shap", "onnx", "optuna"}

REGISTRY = "from augury.pipeline_registry import register_pipelines; assert register_pipelines()['training'].nodes"


@functools.cache
def imported_by(code: str, cwd=None) -> set[str]:
    probe = f"{code}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    return f"""
import sys
from kedro.framework.cli.cli import main
sys.argv = ["kedro", *{list(arguments)!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def test_building_the_registry_imports_nothing_heavy():
    assert not imported_by(REGISTRY) & HEAVY


def test_registry_list_imports_nothing_heavy(project):
    assert not imported_by(command("registry", "list"), project.folder) & HEAVY


def test_preparing_data_imports_no_model_library_no_spark_and_no_hypothesis(project):
    """Neither a trivial slice nor the validation of raw data."""
    pipelines = "--pipelines=data_engineering,feature_engineering"
    arguments = ("run", pipelines, "--namespaces=pdf_memory", "--env=test")
    imported = imported_by(command(*arguments), project.folder)
    assert "pandera" in imported
    assert not imported & (HEAVY | {"hypothesis", "py4j"})


@pytest.mark.parametrize("package", ["pikepdf", "pypdfium2", "kedro", "mlflow"])
def test_the_predictors_package_needs_neither_engines_nor_kedro(package):
    assert package not in imported_by("import augury.predictors, augury.predictors.bounded_regression")
