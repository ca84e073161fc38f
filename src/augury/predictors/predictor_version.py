"""A predictor together with where it was taken from, as promotion and inference need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from augury.errors import UserError
from augury.predictors.contract import Predictor

GATES_TAG = "augury.gates"
"""Tag of a version: passed, failed, inconclusive or not_judged."""
FAILED_GATES_TAG = "augury.failed_gates"
"""Tag of a version: names of the gates that were not passed, with commas between."""

LOCAL = "local"
"""The model of a predictor that comes from a folder, not from a registry."""


@dataclass(frozen=True)
class PredictorVersion:
    """One version of a registered model, or the predictor of a folder."""

    model: str
    """Name of the registered model; :data:`LOCAL` for a folder."""
    version: str
    """Number of the version; of a folder, when its predictor was trained."""
    predictor: Predictor | None
    """None where it could not be loaded."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the registry says of the version."""
    problem: str | None = None
    """Why the predictor could not be loaded."""

    def loaded(self) -> Predictor:
        """The predictor.

        Raises:
            UserError: It could not be loaded.
        """
        if self.predictor is None:
            raise UserError(f"Version {self.version} of {self.model} cannot be used: {self.problem}")
        return self.predictor

    @property
    def gates(self) -> str:
        """What the registry says of the gates."""
        return self.tags.get(GATES_TAG, "not_judged")

    @property
    def failed_gates(self) -> list[str]:
        """The gates that were not passed."""
        missed = self.tags.get(FAILED_GATES_TAG)
        return missed.split(", ") if missed else []

    def facts(self) -> dict[str, Any]:
        """What a report says of it, JSON-ready."""
        known: dict[str, Any] = {"model": self.model, "version": self.version}
        if self.predictor is not None:
            metadata = self.predictor.metadata
            known |= {
                "family": metadata.family,
                "trained_at": metadata.created_at,
                "data_fingerprint": metadata.data.fingerprint,
                "git_commit": metadata.git_commit,
            }
        return known
