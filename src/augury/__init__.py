"""Augury: ten operational predictors in one Kedro project."""

__version__ = "0.1.0"
