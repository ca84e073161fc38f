"""Experiment tracking: one MLflow run per predictor and ``kedro run``.

:class:`MlflowTracking` is the Kedro hook to register in ``settings.HOOKS``. Importing this package
does not import MLflow; only a run that tracks something does.
"""

from augury.tracking.hook import MlflowTracking

__all__ = ["MlflowTracking"]
