"""The trained predictors: small, Kedro-free objects with `predict`, `save`, `load` and typed metadata."""

from augury.predictors.contract import (
    REGISTRY,
    ColumnSpec,
    DataFacts,
    Metadata,
    Predictor,
    load_predictor,
    read_metadata,
)

__all__ = [
    "REGISTRY",
    "ColumnSpec",
    "DataFacts",
    "Metadata",
    "Predictor",
    "load_predictor",
    "read_metadata",
]
