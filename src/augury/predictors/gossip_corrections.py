"""What observed rounds say about the surface: residuals that fade with time and count little while they are few."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.gossip_states import Floats

MINUTE_MS = 60_000
LEAST_POINTS = 0.01


class CorrectionSettings(BaseModel):
    """How much observed rounds count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life_min: float = Field(default=240.0, gt=0, description="after which a round counts half")
    prior_points: float = Field(
        default=20.0, gt=0, description="missed percentage points that the surface itself stands for"
    )
    most: float = Field(default=1.5, gt=0, description="largest correction, as a logarithm of the missed share")


class Corrections(BaseModel):
    """Logarithms that are added to that of the missed share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    everywhere: float = 0.0
    networks: dict[str, float] = Field(default_factory=dict, description="network -> instead of that")

    def of(self, networks: pd.Series | None, rows: int) -> Floats:
        """Each row's correction, shape (rows,)."""
        if networks is None or not self.networks:
            return np.full(rows, self.everywhere)
        return networks.map(self.networks).fillna(self.everywhere).to_numpy(dtype=np.float64)


class _Sums(NamedTuple):
    observed: float
    expected: float


def corrections_of(
    rounds: pd.DataFrame, expected_miss: Floats, settings: CorrectionSettings, now_ms: int | None = None
) -> Corrections:
    """Compare what rounds missed with what was expected: a Poisson rate with a gamma prior of mean 1.

    A round says something about itself only (gamma = 0): there is no state that it leads to.

    Args:
        rounds: ``ts`` (ms), ``network``, ``coverage``.
        expected_miss: Of the surface, for each round.
        settings: How they count.
        now_ms: When; None: at the last round.

    Returns:
        Corrections of all networks together and of each: the one of each is shrunk towards all together.
    """
    if rounds.empty:
        return Corrections()
    times = rounds["ts"].to_numpy(dtype=np.float64)
    age = ((times.max() if now_ms is None else now_ms) - times) / MINUTE_MS
    weight = np.exp2(-np.maximum(age, 0) / settings.half_life_min)
    table = pd.DataFrame(
        {
            "network": rounds["network"].astype(str).to_numpy(),
            "observed": 100 * weight * (1 - rounds["coverage"].to_numpy(dtype=np.float64)),
            "expected": 100 * weight * expected_miss,
        }
    )
    everywhere = _shrunk(_Sums(table["observed"].sum(), table["expected"].sum()), 0.0, settings)
    sums: Any = table.groupby("network")[["observed", "expected"]].sum()
    networks = {
        str(name): _shrunk(_Sums(row.observed, row.expected), everywhere, settings)
        for name, row in zip(sums.index, sums.itertuples(), strict=True)
    }
    return Corrections(everywhere=everywhere, networks=networks)


def _shrunk(sums: _Sums, towards: float, settings: CorrectionSettings) -> float:
    prior = settings.prior_points
    rate = (sums.observed + prior * np.exp(towards)) / (sums.expected + prior)
    return float(np.clip(np.log(max(rate, LEAST_POINTS)), -settings.most, settings.most))
