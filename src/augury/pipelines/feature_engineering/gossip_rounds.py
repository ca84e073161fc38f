"""Rounds that the tuner of gossip learns from, and cases that it is judged by."""

from typing import Any

import pandas as pd
from pydantic import Field

from augury import engines
from augury.parameters import Parameters
from augury.predictors.gossip_states import STATE

TRAIN, HOLDOUT = "train", "holdout"


class GossipFeatures(Parameters):
    """Which rounds count."""

    most_rounds: int | None = Field(
        default=2_000, ge=20, description="of training networks, the latest ones; null: all"
    )


def build_gossip_tables(
    primary_rounds: Any, primary_states: Any, primary_outcomes: Any, features: GossipFeatures
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Take the sides apart. What trees see of a row is theory's arithmetic on it, which the tuner does itself.

    Args:
        primary_rounds: Rounds with ``split``.
        primary_states: States with ``split``.
        primary_outcomes: What came of every action.
        features: Which rounds count.

    Returns:
        Rounds of training networks; rounds of held-out ones, that a tuner in use would see; all states; what came of
        every action in them; and the held-out cases: ``case``, ``group`` (the network), ``network``, the state.
    """
    rounds, states, outcomes = (
        engines.to_pandas(frame) for frame in (primary_rounds, primary_states, primary_outcomes)
    )
    training = rounds[rounds["split"] == TRAIN].sort_values(["ts", "network"], kind="stable")
    if features.most_rounds is not None:
        training = training.tail(features.most_rounds)
    later = rounds[rounds["split"] == HOLDOUT]
    held_out = states[states["split"] == HOLDOUT]
    cases = held_out[["case", "network", *STATE]].assign(group=held_out["network"])
    tables = [training.drop(columns="split"), later.drop(columns="split"), states, outcomes, cases]
    found = [table.reset_index(drop=True) for table in tables]
    return found[0], found[1], found[2], found[3], found[4]
