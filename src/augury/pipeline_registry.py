"""Pipelines of the project: the stages, and the combinations that people run.

The registry is explicit. Since Kedro 1.5 `find_pipelines` filters by the names asked for on the command line, so that a
combination such as `training`, which is no folder of its own, could not be found.
"""

from collections.abc import Iterable
from importlib import import_module

from kedro.pipeline import Pipeline

from augury.pipelines.assembly import PREDICTORS

TRAINING = ("data_engineering", "feature_engineering", "model_training", "evaluation")
STAGES = ("collection", *TRAINING, "tuning", "promotion", "inference", "monitoring")

_wanted: frozenset[str] = frozenset()
"""Predictors whose pipelines are registered; empty: all."""


def register_only(namespaces: Iterable[str]) -> None:
    """Register these predictors' pipelines alone: nothing of the others is loaded.

    Args:
        namespaces: Namespaces of one command. With none, or one that is no predictor's, everything is registered, so
            that a message about it knows all there is.
    """
    global _wanted
    names = {namespace.partition(".")[0] for namespace in namespaces}
    _wanted = frozenset(names) if names <= set(PREDICTORS) else frozenset()


def left_out() -> frozenset[str]:
    """The predictors that :func:`register_only` has left out."""
    return frozenset(PREDICTORS) - _wanted if _wanted else frozenset()


def register_pipelines() -> dict[str, Pipeline]:
    """Build every pipeline.

    Returns:
        Name -> pipeline; `__default__` is `training`.
    """
    stages = {name: import_module(f"augury.pipelines.{name}.pipeline").create_pipeline(_wanted) for name in STAGES}
    training = sum((stages[name] for name in TRAINING), Pipeline([]))
    return {**stages, "training": training, "__default__": training}
