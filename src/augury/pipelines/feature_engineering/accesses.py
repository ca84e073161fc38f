"""Windows of accesses as cases: each is judged by the misses of a cache of some size at some delay."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters

COLUMNS = ["trace", "place", "session", "block", "span", "part", "fold"]


class AccessFeatures(Parameters):
    """What a case is."""

    window: int = Field(default=1_000, ge=10, description="accesses of a case")
    windows_per_group: int = Field(default=5, ge=1, description="windows in a row that are resampled together")
    cache_shares: list[float] = Field(
        default=[0.01, 0.05], min_length=1, description="cache sizes as shares of the trace's different blocks"
    )
    delays: list[int] = Field(default=[1, 4, 8], min_length=1, description="accesses until a prefetch has arrived")


def build_access_features(
    primary_accesses: pd.DataFrame, features: AccessFeatures
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Cut the held-out part of each trace into windows.

    Args:
        primary_accesses: What data engineering made of the raw table.
        features: What a case is.

    Returns:
        - All accesses, training and holdout: ``trace``, ``place``, ``session``, ``block``, ``span``, ``part`` and
          ``fold``.
        - One row per case: ``case``, ``group``, ``trace``, ``start``, ``stop`` (places), ``share``, ``capacity``
          (blocks), ``delay``. A last window that is less than half full is left out.
        - An account.

    Raises:
        UserError: A share or a delay breaks its rule, or no window is left.
    """
    for share in features.cache_shares:
        if not 0 < share <= 1:
            raise UserError(f"Parameter 'prefetch.features.cache_shares': {share} must be above 0 and at most 1.")
    for delay in features.delays:
        if not 1 <= delay <= 64:
            raise UserError(f"Parameter 'prefetch.features.delays': {delay} must be from 1 to 64.")
    parts: list[pd.DataFrame] = []
    traces: dict[str, Any] = {}
    for name, rows in primary_accesses.groupby("trace", sort=True):
        distinct = int(rows["block"].nunique())
        held = rows.loc[rows["part"] == "holdout", "place"]
        starts = np.arange(held.min(), held.max() + 1, features.window)
        stops = np.minimum(starts + features.window, held.max() + 1)
        full = stops - starts >= features.window / 2
        starts, stops = starts[full], stops[full]
        numbers = np.arange(len(starts))
        capacities = {share: max(1, int(share * distinct)) for share in features.cache_shares}
        parts.extend(
            pd.DataFrame(
                {
                    "case": [f"{name}/{number:05d}/{share:.3g}/{delay}" for number in numbers],
                    "group": [f"{name}/{number // features.windows_per_group:04d}" for number in numbers],
                    "trace": str(name),
                    "start": starts,
                    "stop": stops,
                    "share": share,
                    "capacity": capacity,
                    "delay": delay,
                }
            )
            for share, capacity in capacities.items()
            for delay in features.delays
        )
        traces[str(name)] = {"blocks": distinct, "windows": len(starts), "capacities": list(capacities.values())}
    cases = pd.concat(parts, ignore_index=True)
    if cases.empty:
        raise UserError(
            f"prefetch: no window of {features.window} accesses fits into the held-out part. Bring longer traces or "
            "lower prefetch.features.window."
        )
    report = {"cases": len(cases), "traces": traces, "parameters": features.model_dump(mode="json")}
    return primary_accesses[COLUMNS], cases, report
