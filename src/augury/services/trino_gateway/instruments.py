"""What the service says about itself to Prometheus."""

from collections.abc import Callable, Mapping

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
"""Seconds. 0.05 and 0.5 are bounds that one alerts on."""


class Instruments:
    """Counters of one application, in a registry of their own."""

    def __init__(self, model: Mapping[str, str], cached_templates: Callable[[], float]) -> None:
        """Register the instruments.

        Args:
            model: What the model is, as labels.
            cached_templates: Counts the templates with a known outcome.
        """
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

        self._registry = CollectorRegistry()
        prefix = "augury_query_cost"
        self._decisions = Counter(f"{prefix}_decisions", "Queries routed", ("group", "reason"), registry=self._registry)
        self._refused = Counter(
            f"{prefix}_refused", "Requests answered with an error", ("status",), registry=self._registry
        )
        self._learned = Counter(f"{prefix}_learned", "Completed queries taken", ("outcome",), registry=self._registry)
        self._seconds = Histogram(
            f"{prefix}_seconds", "From the whole body to the decision", buckets=BUCKETS, registry=self._registry
        )
        Info(f"{prefix}_model", "The model that answers", registry=self._registry).info(dict(model))
        Gauge(f"{prefix}_cached_templates", "Templates with a known outcome", registry=self._registry).set_function(
            cached_templates
        )

    def decided(self, group: str, reason: str, seconds: float) -> None:
        """Count a decision and how long it took."""
        self._decisions.labels(group, reason).inc()
        self._seconds.observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was answered with an error."""
        self._refused.labels(str(status)).inc()

    def learned(self, outcome: str) -> None:
        """Count a completed query: heavy, light or unknown."""
        self._learned.labels(outcome).inc()

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus reads, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
