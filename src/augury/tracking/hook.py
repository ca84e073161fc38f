"""The Kedro hook that keeps one MLflow run per predictor."""

import atexit
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from augury.tracking.flattening import flat_parameters
from augury.tracking.own_process import tracker
from augury.tracking.provenance import run_tags
from augury.tracking.registry import RegistryAddress, RegistryUser
from augury.tracking.run import MODEL, is_recorded
from augury.tracking.settings import SQLITE, Store, TrackingSettings, locate_store, read_settings
from augury.tracking.tracker import RunEnd, RunRequest, Tracker

logger = logging.getLogger(__name__)

TRACKED = "tracked"

REGISTRY_DATASETS = "augury.datasets.registered_model."
"""Types of catalog entries that read and write the model registry; others are not even looked at."""


@dataclass
class _Session:
    """What all predictors of one ``kedro run`` share."""

    tracker: Tracker
    store: Store
    settings: TrackingSettings


@dataclass
class _Predictor:
    """How far one predictor has come."""

    request: RunRequest
    unsaved: dict[str, set[str]]
    """Node name -> outputs that are not saved yet; a node that is done has no entry."""
    started: set[str] = field(default_factory=set)
    error: BaseException | None = None
    begun: bool = False

    @property
    def name(self) -> str:
        """Its namespace."""
        return self.request.predictor

    @property
    def failed(self) -> bool:
        """Whether a node broke off: one raised, or one started and was not done."""
        return self.error is not None or any(node in self.started for node in self.unsaved)


class MlflowTracking:
    """Tracks every predictor of a pipeline in an MLflow run of its own.

    A predictor is tracked where the pipeline has a node in its namespace that is tagged
    ``tracked``; without such a node, and without an enabled ``tracking.yml``, nothing happens and
    MLflow is not imported. A predictor's run begins with its first node, whatever that node's tags,
    and records what this pipeline saves: datasets that an earlier one left on disk are not loaded.

    How a run ends:

    - FINISHED: all nodes of the predictor were done, even if another predictor failed afterwards.
    - FAILED: one of its nodes failed, while loading, running or saving; the tag ``error`` says why.
    - KILLED: the pipeline ended before the predictor's turn was over: another predictor failed, or
      somebody pressed Ctrl-C. Kedro tells hooks nothing about the latter, so it happens when the
      interpreter exits. A process that is killed outright leaves its runs RUNNING.

    A trained model becomes a version of the predictor's registered model when its run ends, and the challenger; a run
    that only judges a model renews what its version says of the gates.

    A predictor of which no node began has no run. Runs are addressed by id only, under a lock:
    MLflow's global active run would mix the predictors up under ``ThreadRunner``. The hooks of
    ``ParallelRunner`` live in other processes; it is not tracked, and says so.
    """

    def __init__(self) -> None:
        """Make a hook that waits for a context."""
        self._context: Any = None
        self._session: _Session | None = None
        self._predictors: dict[str, _Predictor] = {}
        # Dataset hooks of an asynchronous runner nest within node hooks.
        self._lock = threading.RLock()

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Keep the context: it has the settings, the parameters and the project's folder."""
        self._context = context

    @hook_impl
    def after_catalog_created(self, catalog: Any, conf_catalog: Mapping[str, Any]) -> None:
        """Tell the datasets that need it where models are registered: the address is configured once."""
        entries = {name: entry for name, entry in conf_catalog.items() if isinstance(entry, Mapping)}
        names = [name for name, entry in entries.items() if str(entry.get("type")).startswith(REGISTRY_DATASETS)]
        settings = self._settings() if names else None
        if settings is None:
            return
        address = RegistryAddress.of(settings, self._context.project_path, self._context.env)
        for name in names:
            dataset = catalog.get(name)
            if isinstance(dataset, RegistryUser):
                dataset.registry = address

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any) -> None:
        """Reach the store before any node runs.

        Raises:
            UserError: The settings are wrong, or the store cannot be used.
        """
        self._abandon()
        names = _tracked_predictors(pipeline)
        settings = self._settings() if names else None
        if settings is None or not settings.enabled:
            return
        if "ParallelRunner" in str(run_params.get("runner")):
            logger.warning(
                "MLflow: not tracked, because ParallelRunner runs nodes in other processes; "
                "use SequentialRunner or ThreadRunner."
            )
            return
        self._open(settings, names, run_params, pipeline)

    @hook_impl
    def before_dataset_loaded(self, node: Any) -> None:
        """Open the predictor's run with its first node: loading is the first thing a node does."""
        self._begin(node)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any, node: Any) -> None:
        """Note which model is judged, where this run does not train it."""
        predictor = self._of(node)
        if predictor is not None and self._session is not None and dataset_name == f"{predictor.name}.{MODEL}":
            with self._lock:
                self._session.tracker.judges(predictor.name, data)

    @hook_impl
    def before_node_run(self, node: Any) -> None:
        """Open the predictor's run, where the first node has no inputs."""
        self._begin(node)

    @hook_impl
    def before_dataset_saved(self) -> None:
        """Write nothing before it is known whether the run can be tracked.

        Raises:
            UserError: The store cannot be used.
        """
        if self._session is not None:
            with self._lock:
                self._session.tracker.ready()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        """Record a dataset while its data is at hand."""
        predictor = self._of(node)
        if predictor is None:
            return
        namespace, _, name = dataset_name.partition(".")
        with self._lock:
            if namespace == predictor.name and self._session is not None and is_recorded(name):
                self._session.tracker.record(predictor.name, name, data)
            self._saved(predictor, node, {dataset_name})

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Note that a node without outputs is done."""
        predictor = self._of(node)
        if predictor is not None:
            with self._lock:
                self._saved(predictor, node, set())

    @hook_impl
    def on_node_error(self, error: Exception, node: Any) -> None:
        """Remember which predictor failed."""
        predictor = self._of(node)
        if predictor is not None:
            predictor.error = error

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Finish all runs."""
        self._close()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """End every run as it deserves."""
        for predictor in self._predictors.values():
            if predictor.failed and predictor.error is None:
                predictor.error = error  # loading and saving have no hook of their own
        self._close(broken_off=True)

    def _settings(self) -> TrackingSettings | None:
        try:
            return read_settings(self._context.config_loader["tracking"])
        except MissingConfigException:
            return None

    def _open(
        self,
        settings: TrackingSettings,
        names: list[str],
        run_params: Mapping[str, Any],
        pipeline: Any,
    ) -> None:
        context = self._context
        env = context.env
        store = locate_store(settings, context.project_path, env)
        experiments = {name: settings.experiment.format(predictor=name, env=env or "local") for name in names}
        tags = run_tags(run_params, context.project_path, env) | settings.tags
        address = RegistryAddress.of(settings, context.project_path, env) if settings.register_model else None
        self._session = _Session(tracker(), store, settings)
        self._session.tracker.connect(store, sorted(set(experiments.values())))
        self._predictors = {
            name: _Predictor(
                request=RunRequest(
                    predictor=name,
                    experiment=experiment,
                    name=str(run_params.get("run_id")),
                    tags=tags | {"augury.predictor": name},
                    parameters=flat_parameters(context.params.get(name, {})),
                    log_model=settings.log_model,
                    registered_model=None if address is None else address.name_of(name),
                ),
                unsaved={node.name: set(node.outputs) for node in pipeline.nodes if _predictor_of(node) == name},
            )
            for name, experiment in experiments.items()
        }
        # Kedro calls no hook on KeyboardInterrupt.
        atexit.register(self._abandon)

    def _of(self, node: Any) -> _Predictor | None:
        return self._predictors.get(_predictor_of(node) or "")

    def _begin(self, node: Any) -> None:
        predictor = self._of(node)
        if predictor is None or self._session is None:
            return
        with self._lock:
            predictor.started.add(node.name)
            self._session.tracker.ready(wait=False)
            if not predictor.begun:
                predictor.begun = True
                self._session.tracker.begin(predictor.request)

    @staticmethod
    def _saved(predictor: _Predictor, node: Any, outputs: set[str]) -> None:
        waiting = predictor.unsaved.get(node.name, set())
        waiting -= outputs
        if not waiting:
            predictor.unsaved.pop(node.name, None)

    def _abandon(self) -> None:
        self._close(broken_off=True)

    def _close(self, broken_off: bool = False) -> None:
        atexit.unregister(self._abandon)
        session, predictors = self._session, self._predictors
        self._session, self._predictors = None, {}
        if session is None:
            return
        for predictor in predictors.values():
            if not predictor.begun:
                continue
            status, error = "FINISHED", None
            if broken_off and (predictor.error is not None or predictor.unsaved):
                status = "KILLED" if predictor.error is None else "FAILED"
            if predictor.error is not None:
                error = f"{type(predictor.error).__name__}: {predictor.error}"
            ended = session.tracker.end(predictor.name, status, error)
            if ended is None:
                continue
            logger.log(
                logging.WARNING if ended.missing else logging.INFO,
                "MLflow run: experiment %s, run %s%s%s; %s",
                predictor.request.experiment,
                ended.run_id,
                "" if status == "FINISHED" else f" {status}",
                f", without {', '.join(ended.missing)}" if ended.missing else "",
                _where(session, ended),
            )
        session.tracker.close()


def _predictor_of(node: Any) -> str | None:
    """The top level of a node's namespace."""
    return node.namespace.partition(".")[0] if node.namespace else None


def _tracked_predictors(pipeline: Any) -> list[str]:
    names = (_predictor_of(node) for node in pipeline.nodes if TRACKED in node.tags)
    return sorted({name for name in names if name})


def _where(session: _Session, ended: RunEnd) -> str:
    store = session.store
    if store.uri.startswith(("http://", "https://")):
        return f"{store.shown_uri.rstrip('/')}/#/experiments/{ended.experiment_id}/runs/{ended.run_id}"
    if session.settings.uri == f"{SQLITE}mlflow.db":
        return "`make mlflow` opens it"
    return f"`mlflow ui --backend-store-uri {store.shown_uri}` opens it"
