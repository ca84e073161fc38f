"""Raw table of `peer_selection`: one row per candidate of a request."""

from typing import Any

import pandas as pd

from augury.engines import is_spark
from augury.errors import UserError
from augury.predictors import fetch_columns as fc
from augury.schemas.pandera_import import pa
from augury.schemas.validation import validate_table


class Fetches:
    """Validator of ``peer_selection.fetches``, for frames of any engine.

    ``request``, ``client``, ``peer`` and ``rtt_ms`` are required. A table that lacks one is let through: its columns
    may be renamed by ``peer_selection.source.columns``, which a validator does not see; reading it checks again.
    """

    @staticmethod
    def validate(data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: See :func:`augury.schemas.validation.validate_table`.
        """
        if not is_spark(data) and data.empty:
            raise UserError(f"{fc.DATASET}: the table has no rows.")
        if set(data.columns).issuperset(fc.REQUIRED):
            validate_table(data, _schema(), fc.DATASET)
        return data


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
