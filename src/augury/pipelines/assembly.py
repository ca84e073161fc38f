"""Which predictors there are, and putting their pipelines together."""

from collections.abc import Collection, Mapping
from typing import Any

from kedro.pipeline import Pipeline

PREDICTORS = (
    *("pdf_memory", "query_cost", "food_waste", "taxonomy", "recommendation"),
    *("compression", "deduplication", "prefetch", "peer_selection", "gossip_tuning"),
)


def assemble(stage: Mapping[str, Any], named: Collection[str] = ()) -> Pipeline:
    """Add up what the functions of a stage build that are named after predictors.

    A function imports the modules of its nodes when it is called, so that who runs one predictor loads no other.

    Args:
        stage: The names of the stage's module, ``globals()``; a predictor without a function has no part in the stage.
        named: The predictors that are wanted; empty: all.

    Returns:
        The pipeline.
    """
    wanted = (name for name in PREDICTORS if name in stage and (not named or name in named))
    return sum((stage[name]() for name in wanted), Pipeline([]))
