"""A registry in a copied store: versions of a model that doubles, triples, quadruples."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from mlflow import MlflowClient

from augury.predictors.predictor_version import GATES_TAG
from augury.tracking.model import log_model
from augury.tracking.registration import origin_tags
from augury.tracking.registry import ModelRegistry, RegistryAddress
from augury.tracking.settings import TrackingSettings

NAME = "augury.pdf_memory"


def address(folder: Path) -> RegistryAddress:
    """Where a project in a folder registers its models."""
    found = RegistryAddress.of(TrackingSettings(), folder, "test")
    assert found is not None
    return found


def open_registry(folder: Path) -> ModelRegistry:
    """The registered model of `pdf_memory`, with a client of its own."""
    return ModelRegistry.open(address(folder), "pdf_memory")


def make_template(folder: Path, doubling: ModuleType, versions: int = 3) -> Path:
    """Register versions whose factor is their number plus one; all gates are passed."""
    client: Any = MlflowClient(tracking_uri=address(folder).store.uri)
    experiment = client.create_experiment("pdf_memory", artifact_location=(folder / "mlartifacts").as_uri())
    registry = open_registry(folder)
    for number in range(1, versions + 1):
        run_id = client.create_run(experiment).info.run_id
        model = doubling.Doubling(doubling.make_metadata("pdf_memory"), float(number + 1))
        model_id = log_model(client, experiment, run_id, model, {})
        registry.register(model_id, run_id, origin_tags(model.metadata) | {GATES_TAG: "passed"})
    return folder


def copy_template(template: Path, folder: Path) -> ModelRegistry:
    """A registry of one's own; the models' files stay with the template."""
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    return open_registry(folder)
