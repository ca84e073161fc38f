"""Raw table of `compression`: what codecs made of blocks, one row per block and codec, or one row per block."""

from typing import Any

import numpy as np

from augury.predictors.codec_costs import COMPRESS, DECOMPRESS, SAMPLE_US, STORED
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table


class MeasuredBlocks(TableValidator):
    """Validator of ``compression.blocks``, for frames of any engine.

    Columns may have other names (``compression.source.columns``), so nothing is required here; what is there under the
    names of this project has to make sense. Reading the table says which column is missing.
    """

    DATASET = "compression.blocks"

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema(), cls.DATASET)


def _schema() -> Any:
    finite = pa.Check(np.isfinite, error="must be finite", ignore_na=True)

    def at_least(low: float) -> Any:
        return pa.Check(lambda values: values >= low, error=f"must be at least {low:g}", ignore_na=True)

    # An application's own log has no outcome of the codecs that it did not use
    lows = {"size": 1, STORED: 1, COMPRESS: 0, DECOMPRESS: 0, SAMPLE_US: 0, "cpu_load": 0}
    numbers = {
        name: pa.Column(float, [at_least(low), finite], nullable=name != "size", required=False, coerce=True)
        for name, low in lows.items()
    }
    texts = {name: pa.Column(str, nullable=name != "codec", required=False) for name in ("codec", "lineage")}
    return pa.DataFrameSchema({**numbers, **texts}, strict=False)
