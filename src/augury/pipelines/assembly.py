"""Putting the pipelines of predictors together."""

from collections.abc import Callable, Collection, Iterable

from kedro.pipeline import Pipeline


def assemble(predictors: Iterable[Callable[[], Pipeline]], named: Collection[str] = ()) -> Pipeline:
    """Add up what functions named after their predictors build.

    A function imports the modules of its nodes when it is called, so that who runs one predictor loads no other.

    Args:
        predictors: The functions.
        named: The predictors that are wanted; empty: all.

    Returns:
        The pipeline.
    """
    return sum((build() for build in predictors if not named or build.__name__ in named), Pipeline([]))
