"""Raw table of `peer_selection`: one row per candidate of a request."""

from typing import Any

import pandas as pd

from augury.predictors import fetch_columns as fc
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table


class Fetches(TableValidator):
    """Validator of ``peer_selection.fetches``, for frames of any engine.

    ``request``, ``client``, ``peer`` and ``rtt_ms`` are required, under these names or those of
    ``peer_selection.source.columns``.
    """

    DATASET = fc.DATASET
    NEEDED = fc.REQUIRED

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema(), fc.DATASET)


def _schema() -> Any:
    numbers = {
        name: pa.Column(None, [pa.Check(_numeric, error="must be a number")], nullable=True, required=name == fc.RTT)
        for name in fc.NUMBERS
    }
    ids = {
        name: pa.Column(None, [pa.Check(_named, error="must be a text or a whole number")], nullable=False)
        for name in fc.IDS
    }
    return pa.DataFrameSchema({**ids, **numbers}, strict=False)


def _numeric(values: pd.Series) -> pd.Series:
    if values.dtype.kind in "iufb":
        return pd.Series(True, index=values.index)
    return values.map(lambda value: isinstance(value, int | float) or pd.isna(value)).astype(bool)


def _named(values: pd.Series) -> pd.Series:
    if values.dtype.kind in "iu":
        return pd.Series(True, index=values.index)
    return values.map(lambda value: isinstance(value, str | int) and not isinstance(value, bool)).astype(bool)
