"""Reaching the tracking store, in seconds or not at all."""

import logging
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

from augury.errors import UserError
from augury.light_imports import collection_paused, hidden
from augury.tracking.settings import Store, one_line

_PATIENCE_S = 5
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

# Defaults for this process; a person's own environment wins.
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Requirements are pinned by this package; a uv.lock that lies about must not join the model.
    "MLFLOW_UV_AUTO_DETECT": "false",
    # MLflow's 7 retries take minutes for every call once a server has gone away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def quieten_mlflow() -> None:
    """Turn MLflow's chatter, telemetry and long retries down, before or after its import."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def import_mlflow(store: Store) -> None:
    """Import MLflow, quietly.

    Args:
        store: The store, for the message.

    Raises:
        UserError: MLflow is not installed.
    """
    quieten_mlflow()
    try:
        # Of Spark, MLflow would only look up the types of columns, which no model here has
        with collection_paused(), hidden("pyspark"):
            import mlflow  # noqa: F401  (imported here, so that a missing package has one message)
    except ImportError as error:
        raise UserError(
            f"tracking.enabled is true, but MLflow cannot be imported ({one_line(error)}). Install "
            f"it with 'pip install mlflow', or {_switch_off(store)}."
        ) from error


def connect(store: Store, experiments: list[str]) -> tuple[Any, dict[str, str]]:
    """Open the store and find or create the experiments.

    Args:
        store: Where runs go.
        experiments: Names of the experiments of this run.

    Returns:
        The ``MlflowClient``, and experiment name -> experiment id.

    Raises:
        UserError: MLflow is missing, the store cannot be reached within seconds, or an experiment
            cannot be used. One line, without credentials.
    """
    import_mlflow(store)
    from mlflow import MlflowClient

    with explained(store):
        _knock(store)
        # The store of a database loads SQLAlchemy and its tables
        with impatient(), collection_paused():
            client = MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
            return client, {name: _experiment(client, name, store) for name in experiments}


def knock(store: Store) -> None:
    """Find out in seconds whether there is a store; an SQLite file is made where there is none.

    Args:
        store: Where runs go.

    Raises:
        UserError: It cannot be reached, or the file cannot be made.
    """
    with explained(store):
        _knock(store)


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """Turn what MLflow raises within the block into one line without credentials.

    Args:
        store: The store, for the message.

    Raises:
        UserError: Something within the block failed; user errors pass as they are.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"MLflow at {store.shown_uri} cannot be used: {_reason(error)}. Start it or correct "
            f"tracking.uri, or {_switch_off(store)}."
        ) from error


def impatient() -> AbstractContextManager[None]:
    """Let MLflow's requests within the block fail in seconds: for the first one to a server."""
    return _environment(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_HTTP_REQUEST_TIMEOUT=str(_PATIENCE_S))


def _switch_off(store: Store) -> str:
    return f"switch tracking off with 'tracking: {{enabled: false}}' in {store.settings_file}"


def _reason(error: Exception) -> str:
    """What went wrong, without the layers of libraries around it."""
    text = str(error)
    if "timed out" in text:
        return f"no answer within {_PATIENCE_S} s"
    cause = re.search(r"Caused by \w+\([\"'](.*)[\"']\)", text, re.DOTALL)
    return one_line(ConnectionError(cause[1].rpartition(": ")[2]) if cause else error).rstrip(".")


def _knock(store: Store) -> None:
    """Fail fast where MLflow itself would retry a database for minutes."""
    if store.database is not None:
        store.database.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(store.database, timeout=_PATIENCE_S)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
        return
    url = urlsplit(store.uri)
    port = url.port or _DATABASE_PORTS.get(url.scheme.partition("+")[0])
    # A web server may lie behind a proxy that only an HTTP client knows.
    if url.scheme not in ("http", "https") and url.hostname and port:
        socket.create_connection((url.hostname, port), timeout=_PATIENCE_S).close()


def _experiment(client: Any, name: str, store: Store) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if store.artifacts is None else f"{store.artifacts.rstrip('/')}/{name}"
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            # Another run may have created it in the meantime.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise UserError(
            f"MLflow at {store.shown_uri}: experiment '{name}' was deleted. Restore it with "
            f"'mlflow experiments restore --experiment-id {experiment.experiment_id}', or name "
            "another one in tracking.experiment, such as '{predictor}-2'."
        )
    return str(experiment.experiment_id)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
