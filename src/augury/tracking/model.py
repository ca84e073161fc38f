"""A predictor as an MLflow model: its own files and its code, without a pickle."""

import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata as distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

import augury
from augury.light_imports import collection_paused, hidden
from augury.tracking.connection import quieten_mlflow

ARTIFACT = "predictor"
INPUT_EXAMPLE = "input_example.json"
_PACKAGE = Path(augury.__file__).parent
_ALWAYS_NEEDED = {"mlflow", "narwhals", "numpy", "pandas", "pydantic"}
# The code of predictors travels with the model, and they know nothing of Kedro.
_NEVER_NEEDED = {"augury", "kedro"}
_TRAVELLING = {"metrics", "predictors", "telemetry"}
"""Parts of the package that predictors may import, beside its single modules: a store keeps each file by a request."""

# MLflow hands the model over from its code file in a module-level variable.
_saving = threading.Lock()


def log_model(
    client: Any,
    experiment_id: str,
    run_id: str,
    predictor: Any,
    parameters: Mapping[str, str],
) -> str:
    """Log a predictor as the model ``model`` of a run.

    ``mlflow.pyfunc.log_model`` would do the same through the process-wide tracking URI and the
    thread's active run; here everything is addressed by id.

    Args:
        client: An ``MlflowClient``.
        experiment_id: Id of the run's experiment.
        run_id: Id of the run; ``runs:/<run_id>/model`` is the model's address.
        predictor: An ``augury.predictors.Predictor``.
        parameters: Flat parameters, shown beside the model.

    Returns:
        The model's id.

    Raises:
        MlflowException: The store or MLflow's model format refused the model; what was created of
            it is marked FAILED.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    facts = predictor.metadata
    logged = client.create_logged_model(
        experiment_id,
        name="model",
        source_run_id=run_id,
        model_type=facts.task,
        params=dict(parameters),
        tags={
            "augury.predictor": facts.predictor,
            "augury.family": facts.family,
            "augury.data_fingerprint": facts.data.fingerprint,
        },
    )
    model_id = str(logged.model_id)
    try:
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            description = Model(
                artifact_path=logged.artifact_location,
                run_id=run_id,
                model_uuid=model_id,
                model_id=model_id,
            )
            save_model(predictor, folder, description)
            client.log_model_artifacts(model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
    return model_id


def save_model(predictor: Any, folder: Path, description: Any = None) -> None:
    """Write a predictor as an MLflow model folder that can be served on its own.

    The folder holds the predictor's files, the code that loads them, a copy of what predictors need
    of this package, so that the server need not install it, and the versions of the packages that
    predicting needs.

    Args:
        predictor: An ``augury.predictors.Predictor``.
        folder: The folder to create; empty or absent.
        description: An ``mlflow.models.Model`` that already knows its run; None makes a new one.

    Raises:
        MlflowException: The folder is not empty, or the predictor's input example does not fit its
            own input schema.
    """
    quieten_mlflow()
    with collection_paused(), hidden("pyspark"):
        import mlflow.pyfunc

    facts = predictor.metadata
    signature = model_signature(facts)
    # MLflow asks whether the example is a Spark frame
    with _saving, _requirements_trusted(), hidden("pyspark"), TemporaryDirectory() as scratch:
        files = Path(scratch) / ARTIFACT
        files.mkdir()
        predictor.save(files)
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(_PACKAGE / "predictors" / "mlflow_model.py"),
            artifacts={ARTIFACT: str(files)},
            code_paths=[str(_copy_package(Path(scratch)))],
            infer_code_paths=False,
            mlflow_model=description,
            signature=signature,
            input_example=input_example(files, facts),
            pip_requirements=pinned_requirements(facts.versions),
        )
        for name in (INPUT_EXAMPLE, "serving_input_example.json"):
            # MLflow writes a missing number as NaN, which is not JSON.
            example = (folder / name).read_text(encoding="utf-8")
            strict = json.dumps(json.loads(example, parse_constant=lambda _: None))
            (folder / name).write_text(strict, encoding="utf-8")


def _copy_package(folder: Path) -> Path:
    """Copy what predictors need of this package into a folder; returns the copy."""
    copied = folder / _PACKAGE.name
    copied.mkdir()
    for path in _PACKAGE.iterdir():
        if path.name in _TRAVELLING:
            shutil.copytree(path, copied / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copy(path, copied)
    return copied


@contextmanager
def _requirements_trusted() -> Iterator[None]:
    """Spare MLflow its comparison of the requirements with what is installed, which is where they were read.

    It would look up every file of every installed package, twice as long as all else that saving a model takes.
    """
    from mlflow.utils import environment

    name = "warn_dependency_requirement_mismatches"
    check = getattr(environment, name, None)
    if check is None:
        yield
        return
    setattr(environment, name, lambda _: None)
    try:
        yield
    finally:
        setattr(environment, name, check)


def model_signature(facts: Any) -> Any:
    """Translate a predictor's input and output schema.

    Args:
        facts: The predictor's ``Metadata``.

    Returns:
        An ``mlflow.models.ModelSignature``.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema

    return ModelSignature(
        inputs=Schema([_column(spec) for spec in facts.inputs]),
        outputs=Schema([_column(spec) for spec in facts.outputs]),
    )


def _column(spec: Any) -> Any:
    from mlflow.types.schema import AnyType, ColSpec, DataType

    types: dict[tuple[str, bool], Any] = {
        ("integer", False): DataType.long,
        # Neither JSON nor NumPy has an integer that can be missing.
        ("integer", True): DataType.double,
        ("number", False): DataType.double,
        ("number", True): DataType.double,
        ("string", False): DataType.string,
        ("string", True): DataType.string,
        ("boolean", False): DataType.boolean,
        # A scoring server would turn the null of a boolean column into False.
        ("boolean", True): AnyType(),
    }
    return ColSpec(types[spec.dtype, spec.nullable], name=spec.name, required=spec.required)


def pinned_requirements(packages: Iterable[str]) -> list[str]:
    """Pin the packages that serving needs to the versions that run now.

    Args:
        packages: Names of packages that the predictor's metadata mentions; those that are not
            installed under that name (``python``) are left out.

    Returns:
        Requirements such as ``numpy==2.2.0``, sorted; this package and Kedro are not among them.
    """
    pins = {}
    for package in {*packages, *_ALWAYS_NEEDED} - _NEVER_NEEDED:
        try:
            pins[package] = f"{package}=={distributions.version(package)}"
        except distributions.PackageNotFoundError:
            continue
    return sorted(pins.values())


def input_example(files: Path, facts: Any) -> pd.DataFrame:
    """Rows that show how to call the model.

    Args:
        files: The predictor's folder; its ``input_example.json`` holds records, or a frame in
            MLflow's ``dataframe_split`` or ``dataframe_records`` form.
        facts: The predictor's ``Metadata``.

    Returns:
        The example's rows with the columns of the input schema, in the schema's types; without a
        file, one row of the smallest values that the schema allows, without optional columns.
    """
    path = files / INPUT_EXAMPLE
    example: Any = [{spec.name: _smallest(spec) for spec in facts.inputs if spec.required}]
    if path.exists():
        example = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(example, Mapping):
        example = example.get("dataframe_split", example.get("dataframe_records", example))
    if isinstance(example, Mapping) and {"columns", "data"} <= set(example):
        frame = pd.DataFrame(example["data"], columns=example["columns"])
    else:
        frame = pd.DataFrame([example] if isinstance(example, Mapping) else example)
    known = [spec for spec in facts.inputs if spec.name in frame.columns]
    return frame[[spec.name for spec in known]].astype(
        {
            spec.name: "float64"
            for spec in known
            if spec.dtype == "number" or (spec.dtype == "integer" and spec.nullable)
        }
    )


def _smallest(spec: Any) -> Any:
    if spec.allowed:
        return spec.allowed[0]
    least = spec.minimum or 0
    return {"integer": int(least), "number": float(least), "string": "", "boolean": False}[spec.dtype]
