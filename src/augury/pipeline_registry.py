"""Pipelines of the project: the stages, and the combinations that people run.

The registry is explicit. Since Kedro 1.5 `find_pipelines` filters by the names asked for on the command line, so that a
combination such as `training`, which is no folder of its own, could not be found.
"""

from importlib import import_module

from kedro.pipeline import Pipeline

TRAINING = ("data_engineering", "feature_engineering", "model_training", "evaluation")
STAGES = ("collection", *TRAINING, "tuning", "promotion", "inference", "monitoring")


def register_pipelines() -> dict[str, Pipeline]:
    """Build every pipeline.

    Returns:
        Name -> pipeline; `__default__` is `training`.
    """
    stages = {name: import_module(f"augury.pipelines.{name}.pipeline").create_pipeline() for name in STAGES}
    training = sum((stages[name] for name in TRAINING), Pipeline([]))
    return {**stages, "training": training, "__default__": training}
