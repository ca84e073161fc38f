"""A store that is created once, a tiny predictor family, and a runner of small pipelines."""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from kedro.config import MissingConfigException
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from augury.predictors import REGISTRY
from augury.tracking import MlflowTracking

DOUBLING = Path(__file__).with_name("doubling_family.py")


@pytest.fixture(scope="session")
def doubling_module() -> ModuleType:
    """The family's module, whatever pytest's import mode."""
    specification = importlib.util.spec_from_file_location("doubling_family", DOUBLING)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def doubling(doubling_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The family, known to ``load_predictor``."""
    monkeypatch.setitem(sys.modules, "doubling_family", doubling_module)
    monkeypatch.setitem(REGISTRY, "doubling", "doubling_family:Doubling")
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow prepends the model's code
    return doubling_module


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store with MLflow's tables and no runs: creating one takes seconds."""
    from augury.tracking.connection import connect
    from augury.tracking.settings import TrackingSettings, locate_store

    folder = tmp_path_factory.mktemp("store")
    connect(locate_store(TrackingSettings(), folder, None), [])
    return folder / "mlflow.db"


class Project:
    """A project folder and the part of ``KedroSession.run`` that calls hooks."""

    def __init__(self, folder: Path, tracking: Mapping[str, Any] | None) -> None:
        self.folder = folder
        self.tracking = tracking
        self.parameters: dict[str, Any] = {}
        self.hook = MlflowTracking()

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        """Play the config loader."""
        assert key == "tracking"
        if self.tracking is None:
            raise MissingConfigException("no files")
        return {"tracking": self.tracking}

    def run(
        self,
        pipeline: Pipeline,
        runner: Any = None,
        data: Mapping[str, Any] | None = None,
        run_id: str = "2026-01-01T00.00.00.000Z",
    ) -> None:
        """Run a pipeline with the hook, as Kedro would."""
        manager = _create_hook_manager()
        manager.register(self.hook)
        catalog = DataCatalog(dict(data or {}))
        for name, value in self.parameters.items():
            catalog[f"params:{name}"] = value
        context = SimpleNamespace(config_loader=self, project_path=self.folder, env="test", params=self.parameters)
        call = {
            "run_params": {
                "run_id": run_id,
                "pipeline_names": ["training"],
                "kedro_version": "1.7.0",
                "runner": str(runner),
            },
            "pipeline": pipeline,
            "catalog": catalog,
        }
        manager.hook.after_context_created(context=context)
        manager.hook.before_pipeline_run(**call)
        try:
            result = (runner or SequentialRunner()).run(pipeline, catalog, manager, run_id=run_id)
        except Exception as error:
            manager.hook.on_pipeline_error(error=error, **call)
            raise
        manager.hook.after_pipeline_run(run_result=result, **call)

    @property
    def client(self) -> Any:
        """A client of the project's store."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{self.folder}/mlflow.db")

    def runs(self, experiment: str) -> list[Any]:
        """The runs of an experiment, the newest first."""
        found = self.client.get_experiment_by_name(experiment)
        return [] if found is None else list(self.client.search_runs([found.experiment_id]))

    def only_run(self, experiment: str) -> Any:
        """The run of an experiment that must have exactly one."""
        (run,) = self.runs(experiment)
        return run

    def artifacts(self, run_id: str, path: str | None = None) -> set[str]:
        """Paths of a run's artifacts."""
        return {found.path for found in self.client.list_artifacts(run_id, path)}


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Project:
    """A project whose settings are MLflow's local defaults."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Project(tmp_path, {})


@pytest.fixture
def make_pipeline(doubling: ModuleType) -> Callable[..., Pipeline]:
    """A function that builds train -> evaluate for a predictor."""
    return lambda predictor, **functions: _pipeline(doubling, predictor, **functions)


def _pipeline(
    doubling: ModuleType,
    predictor: str,
    train: Callable[..., Any] | None = None,
    evaluate: Callable[..., Any] | None = None,
) -> Pipeline:
    import plotly.graph_objects as go

    def fit(factor: float) -> Any:
        return doubling.Doubling(doubling.make_metadata(predictor), factor)

    def judge(model: Any) -> tuple[Any, ...]:
        metrics = {
            "mae": 1.5,
            "rows": 12,
            "r2": None,
            "unit": "MB",
            "factor": model.factor,
            "intervals": {"mae": [1.25, 1.75]},
        }
        gates = [{"metric": "mae", "value": 1.5, "rule": "<= 2", "passed": True}]
        figure = go.Figure(go.Scatter(x=[1, 2], y=[2, 4]))
        return metrics, gates, figure, f"<h1>{predictor}</h1>"

    outputs = ["report_metrics", "report_gates", "plot_residuals", "report"]
    return Pipeline(
        [
            Node(train or fit, "params:factor", "predictor", name="train", tags="tracked"),
            Node(evaluate or judge, "predictor", outputs, name="evaluate", tags="tracked"),
        ],
        namespace=predictor,
    )


@pytest.fixture(scope="session")
def registered_template(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, doubling_module: ModuleType
) -> Path:
    """A folder with a store in which three versions of `pdf_memory` are registered; not to be changed."""
    from registered import make_template

    folder = tmp_path_factory.mktemp("registered")
    shutil.copy(empty_store, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "doubling_family", doubling_module)
        patch.setitem(REGISTRY, "doubling", "doubling_family:Doubling")
        patch.setattr(sys, "path", list(sys.path))
        return make_template(folder, doubling_module)


@pytest.fixture
def registry(registered_template: Path, tmp_path: Path, doubling: ModuleType) -> Any:
    """Three versions of `pdf_memory`, the newest the challenger, nobody the champion; with a store of its own."""
    from registered import copy_template

    return copy_template(registered_template, tmp_path)
