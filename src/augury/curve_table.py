"""What a training noted on its way, as a table: the same for every model, whoever draws, keeps or tracks it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

CURVES = {"step": "int64", "epoch": "float64", "name": "object", "value": "float64", "seconds": "float64"}
"""Columns and their types; ``seconds`` since the training began."""


def curve_table(points: Iterable[Sequence[Any]] = ()) -> "pd.DataFrame":
    """Lay out the points of curves.

    Args:
        points: Step, epoch, name of the curve, value and seconds since the training began; none for a model that is
            fitted in one go.

    Returns:
        One row per point, with the columns :data:`CURVES`, in the order given.
    """
    import pandas as pd  # a training itself may need no tables, and then runs in less memory without them

    return pd.DataFrame(list(points), columns=list(CURVES)).astype(CURVES)
