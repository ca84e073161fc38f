"""Observed rounds of gossip and evaluated states: cleaned, and split so that a network stays on one side."""

import hashlib
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.gossip_outcomes import messages_per_node
from augury.predictors.gossip_states import PREDICTOR

TRAIN, HOLDOUT = "train", "holdout"
ACTION = ("fanout", "ttl")
OUTCOMES = ("messages", "coverage", "p95_ms")
STATE = ("peers", "loss", "churn", "rtt_p50_ms", "rtt_p95_ms", "message_class")


class GossipSplit(Parameters):
    """How networks are divided."""

    holdout_share: float = Field(default=0.4, gt=0, lt=1, description="of the evaluated networks")


def prepare_rounds(
    rounds: Any, evaluated: Any, split: GossipSplit, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Clean both tables and mark the held-out networks.

    Args:
        rounds: Validated rows of ``gossip_round``, pandas or Spark.
        evaluated: Validated evaluated states, pandas or Spark.
        split: Share.
        seed: Seed of the split: a network's side depends on the names of all evaluated networks and the seed.

    Returns:
        - Rounds in the order of time: the state, ``network``, ``ts``, ``fanout``, ``ttl``, ``coverage``,
          ``messages_per_node``, ``p95_ms``, ``propensity`` (NaN where unknown), ``split``.
        - States, one row each: ``case``, ``network``, the state, ``split``.
        - Outcomes: ``case``, ``seeds``, ``fanout``, ``ttl``, ``coverage``, ``messages_per_node``, ``p95_ms``.
        - What was read and left out.

    Raises:
        UserError: Nothing is left, or a side of the split has no network.
    """
    observed = _clean(rounds, ("ts", "propensity"), ())
    played = _clean(evaluated, (), ("state", "seeds"))
    complete = observed.dropna(subset=[*OUTCOMES, *ACTION])
    known = played.dropna(subset=[*OUTCOMES, *ACTION]).rename(columns={"state": "case"})
    if complete.empty or known.empty:
        raise UserError(
            f"{PREDICTOR}: {len(complete)} of {len(observed)} rounds and {len(known)} of {len(played)} evaluated rows "
            f"have all of {', '.join(OUTCOMES)}; both must have some."
        )
    held_out = held_out_networks(sorted(known["network"].unique()), split.holdout_share, seed)
    for table in (complete, known):
        table["messages_per_node"] = messages_per_node(table["messages"], table["peers"], table["churn"])
        table["split"] = table["network"].isin(held_out).map({True: HOLDOUT, False: TRAIN})
    if not (complete["split"] == TRAIN).any():
        raise UserError(
            f"{PREDICTOR}: all {complete['network'].nunique()} networks with observed rounds are held out; bring rounds "
            f"of more networks or lower {PREDICTOR}.split.holdout_share."
        )
    observed_columns = ["ts", "network", *STATE, *ACTION, "coverage", "messages_per_node", "p95_ms", "propensity"]
    complete = complete[[*observed_columns, "split"]].sort_values(["ts", "network", *ACTION, "coverage"])
    known = known.sort_values(["case", "seeds", *ACTION]).drop_duplicates(["case", "seeds", *ACTION])
    states = known.drop_duplicates("case")[["case", "network", *STATE, "split"]]
    outcomes = known[["case", "seeds", *ACTION, "coverage", "messages_per_node", "p95_ms"]]
    report = {
        "origin": "simulated",
        "rounds_read": len(observed),
        "rounds_without_outcome": len(observed) - len(complete),
        "rounds_train": int((complete["split"] == TRAIN).sum()),
        "rounds_holdout": int((complete["split"] == HOLDOUT).sum()),
        "networks": int(complete["network"].nunique()),
        "networks_holdout": len(held_out),
        "states_train": int((states["split"] == TRAIN).sum()),
        "states_holdout": int((states["split"] == HOLDOUT).sum()),
        "rounds_without_propensity": int(complete["propensity"].isna().sum()),
    }
    return complete.reset_index(drop=True), states.reset_index(drop=True), outcomes.reset_index(drop=True), report


def held_out_networks(networks: list[str], share: float, seed: int) -> list[str]:
    """Draw networks; at least one is drawn and one is not.

    Raises:
        UserError: There is a single network.
    """
    if len(networks) < 2:
        raise UserError(
            f"{PREDICTOR}: there are evaluated states of {len(networks)} network(s); at least 2 are needed, one of them "
            "to judge by."
        )
    ranked = sorted(networks, key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode()).digest())
    return ranked[: min(max(round(share * len(networks)), 1), len(networks) - 1)]


def _clean(table: Any, further: tuple[str, ...], texts: tuple[str, ...]) -> pd.DataFrame:
    """Bring columns into their types and defaults on any engine, then collect."""
    frame = nw.from_native(table)
    given = set(frame.collect_schema().names())
    churn = nw.col("churn").cast(nw.Float64).fill_null(0.0) if "churn" in given else nw.lit(0.0)
    median = nw.col("rtt_p50_ms").cast(nw.Float64)
    high = nw.col("rtt_p95_ms").cast(nw.Float64) if "rtt_p95_ms" in given else nw.lit(None, dtype=nw.Float64)
    kinds = nw.col("message_class").fill_null("small") if "message_class" in given else nw.lit("small")
    numbers = [name for name in ("peers", "loss", *OUTCOMES, *ACTION) if name in given]
    chosen = [
        nw.col("network").cast(nw.String),
        *(nw.col(name).cast(nw.Float64) for name in numbers),
        churn.alias("churn"),
        median.alias("rtt_p50_ms"),
        nw.when(high.is_null()).then(median * 2.0).otherwise(high).alias("rtt_p95_ms"),
        kinds.cast(nw.String).alias("message_class"),
        *(nw.col(name).cast(nw.String) for name in texts),
        *(
            (nw.col(name).cast(nw.Float64) if name in given else nw.lit(None, dtype=nw.Float64)).alias(name)
            for name in further
        ),
    ]
    collected = engines.to_pandas(frame.select(*chosen).to_native())
    for name in ("ts", "propensity"):
        if name in collected:
            collected[name] = collected[name].astype("float64")
    if "ts" in collected:
        collected["ts"] = collected["ts"].fillna(0).astype("int64")
    for name in ACTION:
        collected = collected[collected[name].notna()]
    return collected.astype(dict.fromkeys(ACTION, "int64")).reset_index(drop=True)
