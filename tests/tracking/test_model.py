"""A logged model: what is in it, what it promises, and that loading it runs no pickle."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pandas as pd
import pytest
import yaml
from kedro.pipeline import Pipeline

from augury.tracking.model import pinned_requirements, save_model

ROWS = pd.DataFrame(
    {
        "size": [10, 20],
        "pages": [3.0, None],
        "kind": ["scan", "text"],
        "encrypted": pd.Series([False, None], dtype="object"),
    }
)


@pytest.fixture
def model_uri(project: Any, make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a model that a run logged; the factor is 2."""
    project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
    project.run(make_pipeline("pdf_memory"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder}/mlflow.db")
    return f"runs:/{project.only_run('pdf_memory').info.run_id}/model"


def test_a_logged_model_predicts_as_the_predictor_does(model_uri: str, doubling: ModuleType) -> None:
    import mlflow.pyfunc

    predictor = doubling.Doubling(doubling.make_metadata("pdf_memory"), 2.0)
    predicted = mlflow.pyfunc.load_model(model_uri).predict(ROWS)
    pd.testing.assert_frame_equal(predicted, predictor.predict(ROWS))
    assert predicted["peak"].tolist() == [21.0, 40.0]


def test_requirements_are_not_looked_up_twice(doubling: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    from mlflow.utils import environment

    def refuse(_: Any) -> None:
        raise AssertionError("MLflow compared the requirements with the installed packages")

    monkeypatch.setattr(environment, "warn_dependency_requirement_mismatches", refuse)
    save_model(doubling.Doubling(doubling.make_metadata("pdf_memory"), 2.0), tmp_path / "model")
    assert environment.warn_dependency_requirement_mismatches is refuse


def test_loading_runs_no_pickle(model_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.artifacts
    import mlflow.pyfunc

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was unpickled")

    for module in (pickle, cloudpickle):
        for function in ("load", "loads"):
            monkeypatch.setattr(module, function, refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri))
    # Before it is loaded: Python may write the bytecode of what it imports beside it
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert mlflow.pyfunc.load_model(str(folder)).predict(ROWS)["peak"].tolist() == [21.0, 40.0]
    description = yaml.safe_load((folder / "MLmodel").read_text())
    flavor = description["flavors"]["python_function"]
    assert flavor["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert "python_model" not in flavor  # the entry that names a pickle
    assert suffixes.isdisjoint({".pkl", ".pickle", ".joblib", ".pyc"})


def test_a_model_travels_with_its_code_and_pinned_packages(doubling: ModuleType, tmp_path: Path) -> None:
    save_model(doubling.Doubling(doubling.make_metadata("pdf_memory")), tmp_path / "model")
    assert (tmp_path / "model/code/augury/predictors/contract.py").exists()
    assert not (tmp_path / "model/code/augury/pipelines").exists()
    requirements = (tmp_path / "model/requirements.txt").read_text().splitlines()
    names = [line.partition("==")[0] for line in requirements]
    assert names == ["mlflow", "narwhals", "numpy", "pandas", "pydantic"]
    assert f"pandas=={pd.__version__}" in requirements


def test_requirements_follow_the_metadata() -> None:
    import sklearn

    pins = pinned_requirements(["scikit-learn", "python", "augury", "kedro", "no-such-package"])
    assert f"scikit-learn=={sklearn.__version__}" in pins
    assert not any(pin.startswith(("python", "augury", "kedro", "no-such")) for pin in pins)


def test_the_signature_is_the_metadatas(doubling: ModuleType, tmp_path: Path) -> None:
    from mlflow.models import Model

    save_model(doubling.Doubling(doubling.make_metadata("pdf_memory")), tmp_path / "model")
    signature = Model.load(str(tmp_path / "model")).signature
    columns = {column["name"]: (column["type"], column["required"]) for column in signature.inputs.to_dict()}
    assert columns == {
        "size": ("long", True),
        "pages": ("double", True),
        "kind": ("string", True),
        "encrypted": ("any", True),
        "surcharge": ("double", False),
    }
    assert [column["name"] for column in signature.outputs.to_dict()] == ["peak"]


@pytest.mark.parametrize(
    "example",
    [
        [{"size": 7, "pages": None, "kind": "text", "encrypted": None, "other": 1}],
        {
            "dataframe_split": {
                "columns": ["kind", "size", "pages", "encrypted"],
                "data": [["text", 7, None, None]],
            }
        },
        {"dataframe_records": [{"size": 7, "kind": "text", "pages": None, "encrypted": None}]},
    ],
    ids=["records", "dataframe_split", "dataframe_records"],
)
def test_the_input_example_is_the_predictors_own(doubling: ModuleType, tmp_path: Path, example: Any) -> None:
    predictor = doubling.Doubling(doubling.make_metadata("pdf_memory"), 2.0, example)
    save_model(predictor, tmp_path / "model")
    saved = json.loads((tmp_path / "model/serving_input_example.json").read_text())
    assert saved["dataframe_split"] == {
        "columns": ["size", "pages", "kind", "encrypted"],
        "data": [[7, None, "text", None]],
    }


def test_without_an_example_the_schema_gives_one(doubling: ModuleType, tmp_path: Path) -> None:
    import mlflow.pyfunc

    save_model(doubling.Doubling(doubling.make_metadata("pdf_memory")), tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert model.predict(model.input_example)["peak"].tolist() == [1.0]


def test_a_model_that_cannot_be_saved_is_marked(
    project: Any, make_pipeline: Callable[..., Pipeline], doubling: ModuleType, monkeypatch: Any
) -> None:
    def refuse(self: Any, directory: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(doubling.Doubling, "_save", refuse)
    project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
    project.run(make_pipeline("pdf_memory"))
    run = project.only_run("pdf_memory")
    assert (run.info.status, run.data.tags["tracking.missing"]) == ("FINISHED", "model")
    assert run.outputs.model_outputs == []
    (model,) = project.client.search_logged_models([run.info.experiment_id])
    assert model.status.value == "FAILED"
