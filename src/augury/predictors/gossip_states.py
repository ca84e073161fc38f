"""What is known of a network before a message is gossiped, what can be chosen, and what it costs."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from augury.errors import UserError
from augury.predictors.contract import ColumnSpec

PREDICTOR = "gossip_tuning"

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MESSAGE_CLASSES = ("control", "small", "medium", "large")
LEAST_RTT_MS = 0.05
"""Round trips are told in quarters of a millisecond: within a building that is 0."""

LEAST_PEERS = 2

INPUTS = (
    ColumnSpec(name="peers", dtype="integer", minimum=LEAST_PEERS, description="size of the network"),
    ColumnSpec(name="loss", dtype="number", minimum=0, description="share of copies that are lost, below 1"),
    ColumnSpec(
        name="churn", dtype="number", minimum=0, required=False, nullable=True, description="share of peers away; 0"
    ),
    ColumnSpec(name="rtt_p50_ms", dtype="number", minimum=0, unit="ms", description="median round trip of the links"),
    ColumnSpec(
        name="rtt_p95_ms",
        dtype="number",
        minimum=0,
        unit="ms",
        required=False,
        nullable=True,
        description="their 95th percentile; twice the median",
    ),
    ColumnSpec(
        name="message_class",
        dtype="string",
        required=False,
        nullable=True,
        allowed=MESSAGE_CLASSES,
        description="how large the message is; small",
    ),
)
"""The state. What may be missing counts as the last word of its description."""

STATE = tuple(column.name for column in INPUTS)
SHARES = ("loss", "churn")

OUTPUTS = (
    ColumnSpec(name="fanout", dtype="integer", description="peers that each one sends to"),
    ColumnSpec(name="ttl", dtype="integer", description="hops after which a message is not sent on"),
    ColumnSpec(name="coverage", dtype="number", description="expected share of present peers that hear it"),
    ColumnSpec(name="coverage_lower", dtype="number", description="its lower confidence bound"),
    ColumnSpec(name="holds_floor", dtype="boolean", description="whether that reaches the floor of the coverage"),
    ColumnSpec(name="messages_per_node", dtype="number", description="copies sent per present peer"),
    ColumnSpec(name="p95_ms", dtype="number", unit="ms", description="when 95 % of those who hear it have"),
    ColumnSpec(name="cost", dtype="number", description="what the cost's weights make of these"),
)


class ActionGrid(BaseModel):
    """What can be chosen: every pair of a fanout and a number of hops."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fanouts: tuple[int, ...] = Field(default=tuple(range(2, 13)), min_length=1)
    ttls: tuple[int, ...] = Field(default=(4, 5, 6, 8, 10, 12, 16), min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for values in (self.fanouts, self.ttls):
            if list(values) != sorted(set(values)) or values[0] < 1 or values[-1] > 64:
                raise ValueError(f"must be ascending whole numbers from 1 to 64, not {values}")
        return self

    @property
    def pairs(self) -> Codes:
        """All of them, shape (actions, 2), fanout by fanout."""
        return np.array([(fanout, ttl) for fanout in self.fanouts for ttl in self.ttls], dtype=np.int64)

    def place(self, fanout: Any, ttl: Any) -> Codes:
        """Row of each pair among :attr:`pairs`.

        Raises:
            UserError: A pair is not among them.
        """
        fanout, ttl = np.atleast_1d(fanout), np.atleast_1d(ttl)
        first, second = np.searchsorted(self.fanouts, fanout), np.searchsorted(self.ttls, ttl)
        inside = (first < len(self.fanouts)) & (second < len(self.ttls))
        inside[inside] &= np.asarray(self.fanouts)[first[inside]] == fanout[inside]
        inside[inside] &= np.asarray(self.ttls)[second[inside]] == ttl[inside]
        if not inside.all():
            row = int(np.flatnonzero(~inside)[0])
            raise UserError(
                f"{PREDICTOR}: {int((~inside).sum())} of {len(inside)} pairs of fanout and ttl cannot be chosen, for "
                f"example ({fanout[row]}, {ttl[row]}); fanouts: {list(self.fanouts)}, ttls: {list(self.ttls)}."
            )
        return np.asarray(first * len(self.ttls) + second, dtype=np.int64)

    def nearest(self, fanout: int, ttl: int) -> int:
        """Row of the pair that resembles one most."""
        distance = np.abs(self.pairs - np.array([fanout, ttl])) @ np.array([1.0, 0.5])
        return int(distance.argmin())


class GossipCost(BaseModel):
    """What the outcomes of a round cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor: float = Field(default=0.99, gt=0, lt=1, description="coverage below which every missing point costs")
    per_missing_point: float = Field(default=0.5, ge=0, description="of coverage, in percent")
    per_message: float = Field(default=0.25, ge=0, description="per copy sent and present peer")
    delay_ms: float = Field(default=200.0, gt=0, description="95th percentile of the delay that costs 1")

    def of(self, coverage: Floats, messages_per_node: Floats, p95_ms: Floats) -> Floats:
        """Cost of outcomes of any one shape."""
        missing = np.maximum(100 * (self.floor - coverage), 0)
        return np.asarray(
            self.per_missing_point * missing + self.per_message * messages_per_node + p95_ms / self.delay_ms
        )


def complete_states(table: pd.DataFrame) -> pd.DataFrame:
    """Fill what may be missing of states, and bring them into the range that the model knows.

    Args:
        table: The columns :data:`STATE`; optional ones may be missing or hold missing values.

    Returns:
        A new frame of all columns; shares at most 0.95, round trips at least 0.05 ms, the 95th percentile at least the
        median.
    """
    states = pd.DataFrame(index=table.index)
    states["peers"] = table["peers"].to_numpy(dtype=np.float64)
    for name in SHARES:
        values = table[name].to_numpy(dtype=np.float64) if name in table else np.zeros(len(table))
        states[name] = np.clip(np.nan_to_num(values, nan=0.0), 0, 0.95)
    median = np.maximum(table["rtt_p50_ms"].to_numpy(dtype=np.float64), LEAST_RTT_MS)
    high = table["rtt_p95_ms"].to_numpy(dtype=np.float64) if "rtt_p95_ms" in table else np.full(len(table), np.nan)
    states["rtt_p50_ms"] = median
    states["rtt_p95_ms"] = np.maximum(np.where(np.isnan(high), 2 * median, high), median)
    kinds = table["message_class"] if "message_class" in table else pd.Series("small", index=table.index)
    states["message_class"] = kinds.fillna("small").astype(object)
    return states


def present_peers(peers: Any, churn: Any) -> Floats:
    """Expected number of peers that are not away, the one that sends first among them."""
    peers, churn = np.asarray(peers, dtype=np.float64), np.asarray(churn, dtype=np.float64)
    return np.asarray(1 + (peers - 1) * (1 - churn))
