"""The trained predictors: small, Kedro-free objects with `predict`, `save`, `load` and typed metadata."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    # Parts that know no frames, as a training loop, are imported without pandas and Narwhals: 80 MB
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from augury.predictors import contract

    return getattr(contract, name)
