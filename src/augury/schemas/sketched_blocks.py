"""Raw tables of `deduplication`: one row per block with its sketch, and one per measured pair of blocks."""

from typing import Any

import pandas as pd

from augury.predictors import sketched_block_columns as sb
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table


class SketchedBlocks(TableValidator):
    """Validator of ``deduplication.sketches``, for frames of any engine; further columns are let through."""

    DATASET = sb.BLOCKS_DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        columns = {name: _text(True) for name in sb.REQUIRED_TEXTS}
        columns |= {name: _text(False) for name in sb.OPTIONAL_TEXTS}
        columns |= {name: _number(True) for name in sb.REQUIRED_NUMBERS}
        columns |= {name: _number(False) for name in sb.OPTIONAL_NUMBERS}
        validate_table(data, pa.DataFrameSchema(columns, strict=False), cls.DATASET)


class BlockPairs(TableValidator):
    """Validator of ``deduplication.pairs``, for frames of any engine; further columns are let through."""

    DATASET = sb.PAIRS_DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        columns = {name: _text(True) for name in sb.PAIR_TEXTS}
        share = pa.Check(lambda values: _numbers(values).between(0, 1), error="must be in [0, 1]", ignore_na=True)
        columns[sb.JACCARD] = pa.Column(None, [share], nullable=False, required=True)
        columns |= {sb.DELTA_BYTES: _number(True, nullable=True), sb.DELTA_US: _number(False)}
        validate_table(data, pa.DataFrameSchema(columns, strict=False), cls.DATASET)


def _text(required: bool) -> Any:
    check = pa.Check(
        lambda values: values.map(lambda value: isinstance(value, str)).astype(bool),
        error="must be text",
        ignore_na=True,
    )
    return pa.Column(None, [check], nullable=not required, required=required)


def _number(required: bool, nullable: bool | None = None) -> Any:
    check = pa.Check(lambda values: _numbers(values) >= 0, error="must be a number >= 0", ignore_na=True)
    return pa.Column(None, [check], nullable=not required if nullable is None else nullable, required=required)


def _numbers(values: pd.Series) -> pd.Series:
    """NaN, which no comparison holds for, where a cell is no number."""
    return pd.to_numeric(values, errors="coerce").astype("float64")
