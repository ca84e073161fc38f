"""One predictor's MLflow run."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from augury.tracking.flattening import LONGEST_KEY, flat_key, flat_metrics
from augury.tracking.registration import DIGEST_TAG, gate_summary, judgement_tags, model_digest, origin_tags
from augury.tracking.registry import ModelRegistry
from augury.tracking.settings import one_line, redact

logger = logging.getLogger(__name__)

MODEL = "predictor"
REPORT = "report"
METRICS = "report_metrics"
TUNING = "report_tuning"
GATES = "report_gates"
CURVES = "curves"
CURVE_PREFIX = "training/"
"""Before the name of a curve, which may also be the name of a metric of the held-out rows."""
MOST_POINTS = 200
"""Of a curve: MLflow draws epochs, TensorBoard has every step."""
REPORT_PREFIX = "report_"
PLOT_PREFIX = "plot_"
_LONGEST_TAG = 5000
LARGEST_BATCH = 1000
"""Metrics that MLflow takes at once."""


def is_recorded(dataset: str) -> bool:
    """Whether a predictor's dataset is recorded in its MLflow run.

    Args:
        dataset: Name of the dataset within the predictor's namespace.

    Returns:
        True for the predictor, its report, the curves of its training, its ``report_<name>`` and its ``plot_<name>``.
    """
    return dataset in (MODEL, REPORT, CURVES) or dataset.startswith((REPORT_PREFIX, PLOT_PREFIX))


def _page(figures: Mapping[str, Any]) -> str:
    """All plotly figures on one page, with plotly.js within it once."""
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=position == 0)
        for position, figure in enumerate(figures.values())
    ]
    return "<!doctype html><meta charset='utf-8'><title>Plots</title>" + "\n".join(parts)


class TrackedRun:
    """An MLflow run that is open, reached by its id alone.

    What cannot be recorded costs a warning and never the pipeline: everything recorded here is in
    the project's own files as well.
    """

    def __init__(
        self,
        client: Any,
        experiment_id: str,
        predictor: str,
        *,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        log_model: bool,
        registry: ModelRegistry | None = None,
    ) -> None:
        """Create the run and record its parameters.

        Args:
            client: An ``MlflowClient``.
            experiment_id: Id of the experiment.
            predictor: Namespace of the predictor.
            name: Name of the run.
            tags: Tags of the run; texts are cut at MLflow's limits.
            parameters: Flat parameters of the predictor.
            log_model: Whether :meth:`record` logs the predictor as a model.
            registry: Where :meth:`close` registers the logged model; None: nowhere.

        Raises:
            MlflowException: The store refused the run.
        """
        from mlflow.entities import Param

        self._client = client
        self._experiment_id = experiment_id
        self._predictor = predictor
        self._parameters = dict(parameters)
        self._log_model = log_model
        self._registry = registry
        self._model_id: str | None = None
        self._facts: Any = None
        self._judged: dict[str, Any] = {}
        self._missing: list[str] = []
        self._figures: dict[str, Any] = {}
        run = client.create_run(
            experiment_id,
            run_name=name,
            tags={key[:LONGEST_KEY]: value[:_LONGEST_TAG] for key, value in tags.items()},
        )
        self.run_id = str(run.info.run_id)
        params = [Param(key, value) for key, value in self._parameters.items()]
        self._attempt("parameters", lambda: client.log_batch(self.run_id, params=params))

    def record(self, dataset: str, data: Any) -> None:
        """Record a dataset of the predictor.

        Args:
            dataset: Name of the dataset within the predictor's namespace.
            data: What the node returned for it.
        """
        if dataset == MODEL:
            if self._log_model:
                self._attempt("model", lambda: self._record_model(data))
            return
        if dataset in (METRICS, GATES):
            self._judged[dataset] = data
        self._attempt(dataset, lambda: self._record_report(dataset, data))

    def judges(self, predictor: Any) -> None:
        """Note which model the reports of this run are about, where an earlier run trained it.

        Args:
            predictor: The predictor that a node loaded.
        """
        if self._facts is None:
            self._facts = getattr(predictor, "metadata", None)

    def close(self, status: str, error: str | None = None) -> list[str]:
        """End the run.

        Args:
            status: FINISHED, FAILED or KILLED.
            error: What made it fail; it becomes the tag ``error``.

        Returns:
            What could not be recorded.
        """
        if self._figures:
            self._attempt("plots", lambda: self._client.log_text(self.run_id, _page(self._figures), "plots.html"))
        if self._registry is not None and status != "KILLED":
            registry = self._registry
            self._attempt("registration", lambda: self._register(registry))
        tags = {}
        if error is not None:
            tags["error"] = redact(error)[:_LONGEST_TAG]
        if self._missing:
            tags["tracking.missing"] = ", ".join(self._missing)[:_LONGEST_TAG]
        for key, value in tags.items():
            self._attempt(key, partial(self._client.set_tag, self.run_id, key, value))
        self._attempt("status", lambda: self._client.set_terminated(self.run_id, status))
        return self._missing

    def _attempt(self, what: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            self._missing.append(what)
            logger.warning("MLflow did not record '%s' of %s: %s", what, self._predictor, one_line(error))
            logger.debug("MLflow did not record '%s'", what, exc_info=True)

    def _record_model(self, predictor: Any) -> None:
        from augury.tracking.model import log_model

        self._model_id = log_model(self._client, self._experiment_id, self.run_id, predictor, self._parameters)
        self._facts = predictor.metadata

    def _register(self, registry: ModelRegistry) -> None:
        """Make the model that was trained a version; of one that was judged only, renew the version's tags."""
        if self._facts is None:
            return
        gates = self._judged.get(GATES)
        tags, summary = judgement_tags(gates, self._judged.get(METRICS)), gate_summary(gates)
        if self._model_id is not None:
            tags = origin_tags(self._facts) | tags
            version = registry.register(self._model_id, self.run_id, tags)
            logger.info("%s: version %s is the challenger; gates: %s", registry.name, version.number, summary)
        elif tags and (known := registry.find(DIGEST_TAG, model_digest(self._facts))) is not None:
            registry.tag(known.number, tags)
            logger.info("%s: version %s was judged; gates: %s", registry.name, known.number, summary)

    def _record_report(self, dataset: str, data: Any) -> None:
        if dataset == REPORT:
            self._client.log_text(self.run_id, data, "report.html")
        elif dataset == CURVES:
            self._record_curves(data)
        elif dataset.startswith(PLOT_PREFIX):
            self._record_plot(dataset.removeprefix(PLOT_PREFIX), data)
        else:
            name = dataset.removeprefix(REPORT_PREFIX)
            self._client.log_dict(self.run_id, data, f"{name}.json")
            if dataset == METRICS:
                self._record_metrics(data)
            elif dataset == TUNING:
                self._record_metrics({"tuning": data["summary"]})

    def _record_plot(self, name: str, figure: Any) -> None:
        if isinstance(figure, Mapping):
            self._client.log_dict(self.run_id, dict(figure), f"plots/{name}.json")
        elif hasattr(figure, "write_html"):
            # client.log_figure would write a page per figure that fetches plotly.js from the internet
            self._figures[name] = figure
            self._client.log_text(self.run_id, figure.to_json(), f"plots/{name}.json")
        else:
            self._client.log_figure(self.run_id, figure, f"plots/{name}.png")

    def _record_curves(self, curves: Any) -> None:
        """Record each curve as the history of a metric, in batches: one by one, every point would cost a commit."""
        from mlflow.entities import Metric

        now = time.time()
        began = now - float(curves["seconds"].max()) if len(curves) else now
        metrics = []
        for name, curve in curves[np.isfinite(curves["value"])].groupby("name", sort=True):
            kept = np.unique(np.linspace(0, len(curve) - 1, MOST_POINTS).round().astype(int))
            points = curve.sort_values("step", kind="stable").iloc[kept]
            key = flat_key(f"{CURVE_PREFIX}{name}")
            for step, value, seconds in points[["step", "value", "seconds"]].itertuples(index=False):
                at = int(1000 * (began + seconds))
                metrics.append(Metric(key, value, at, step, model_id=self._model_id, run_id=self.run_id))
        for start in range(0, len(metrics), LARGEST_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + LARGEST_BATCH])

    def _record_metrics(self, report: Any) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self.run_id,
            metrics=[
                # The model's id shows the metric on the model's own page as well.
                Metric(key, value, now, 0, model_id=self._model_id, run_id=self.run_id)
                for key, value in flat_metrics(report).items()
            ],
        )
