"""What the suggestion service says about itself to Prometheus."""

from collections.abc import Mapping

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. A short text takes milliseconds, a batch of long ones seconds."""


class Instruments:
    """Counters of one application, in a registry of their own."""

    def __init__(self, model: Mapping[str, str]) -> None:
        """Register the instruments.

        Args:
            model: What the model is, as labels.
        """
        from prometheus_client import CollectorRegistry, Counter, Histogram, Info

        self._registry = CollectorRegistry()
        prefix = "augury_taxonomy"
        self._texts = Counter(f"{prefix}_texts", "Texts that got suggestions", ("operation",), registry=self._registry)
        self._refused = Counter(
            f"{prefix}_refused", "Requests answered with an error", ("status",), registry=self._registry
        )
        self._seconds = Histogram(
            f"{prefix}_seconds", "From the whole body to the suggestions", buckets=BUCKETS, registry=self._registry
        )
        Info(f"{prefix}_model", "The model that answers", registry=self._registry).info(dict(model))

    def suggested(self, operation: str, texts: int, seconds: float) -> None:
        """Count the texts of a request and how long they took together."""
        self._texts.labels(operation).inc(texts)
        self._seconds.observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was answered with an error."""
        self._refused.labels(str(status)).inc()

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus reads, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
