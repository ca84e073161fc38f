"""What the tracking hook asks of MLflow, in this process."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from augury.tracking.registry import ModelRegistry
from augury.tracking.run import TrackedRun
from augury.tracking.settings import Store, one_line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRequest:
    """The run that a predictor is to have."""

    predictor: str
    experiment: str
    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    log_model: bool
    registered_model: str | None
    """What trained models become versions of; None: of nothing."""


class RunEnd(NamedTuple):
    """How a run ended."""

    run_id: str
    experiment_id: str
    missing: list[str]
    """What could not be recorded."""


class Tracker(Protocol):
    """MLflow, wherever it runs. A predictor has one run at a time; one without a run is passed over in silence."""

    def connect(self, store: Store, experiments: list[str]) -> None:
        """Reach the store and find or create the experiments.

        Raises:
            UserError: See :func:`augury.tracking.connection.connect`; it may come as late as :meth:`ready`.
        """

    def ready(self, wait: bool = True) -> None:
        """Raise what :meth:`connect` met.

        Args:
            wait: Until it is known; otherwise only what is known already.
        """

    def begin(self, request: RunRequest) -> None:
        """Open a run; a store that refuses it costs a warning."""

    def record(self, predictor: str, dataset: str, data: Any) -> None:
        """See :meth:`TrackedRun.record`."""

    def judges(self, predictor: str, trained: Any) -> None:
        """See :meth:`TrackedRun.judges`."""

    def end(self, predictor: str, status: str, error: str | None) -> RunEnd | None:
        """See :meth:`TrackedRun.close`; None where the predictor has no run."""

    def close(self) -> None:
        """Nothing more comes."""


class LocalTracker:
    """MLflow in this process."""

    def __init__(self) -> None:
        """Make a tracker that is not connected yet."""
        self._client: Any = None
        self._store: Any = None
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, tuple[TrackedRun, str]] = {}

    def connect(self, store: Store, experiments: list[str]) -> None:
        """See :class:`Tracker`."""
        from augury.tracking.connection import connect

        self._client, self._experiments = connect(store, experiments)
        self._store = store

    def ready(self, wait: bool = True) -> None:
        """See :class:`Tracker`: connecting has raised already."""

    def begin(self, request: RunRequest) -> None:
        """See :class:`Tracker`."""
        if self._client is None:
            return
        registry = None
        if request.registered_model is not None:
            registry = ModelRegistry(self._client, self._store, request.registered_model)
        try:
            run = TrackedRun(
                self._client,
                self._experiments[request.experiment],
                request.predictor,
                name=request.name,
                tags=request.tags,
                parameters=request.parameters,
                log_model=request.log_model,
                registry=registry,
            )
        except Exception as error:
            logger.warning("MLflow does not track %s: %s", request.predictor, one_line(error))
            return
        self._runs[request.predictor] = run, self._experiments[request.experiment]

    def record(self, predictor: str, dataset: str, data: Any) -> None:
        """See :class:`Tracker`."""
        if predictor in self._runs:
            self._runs[predictor][0].record(dataset, data)

    def judges(self, predictor: str, trained: Any) -> None:
        """See :class:`Tracker`."""
        if predictor in self._runs:
            self._runs[predictor][0].judges(trained)

    def end(self, predictor: str, status: str, error: str | None) -> RunEnd | None:
        """See :class:`Tracker`."""
        if predictor not in self._runs:
            return None
        run, experiment = self._runs.pop(predictor)
        return RunEnd(run.run_id, experiment, run.close(status, error))

    def close(self) -> None:
        """See :class:`Tracker`."""
