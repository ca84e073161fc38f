"""Derived features as data: products and quotients of columns, evaluated on any frame engine and translated to ONNX.

One definition serves feature engineering (pandas, Spark), serving (a single row) and the exported graph, which is why
they agree to the last bit: every engine does the same IEEE operations on float64 in the same order.
"""

from collections.abc import Iterable

import narwhals.stable.v2 as nw
from pydantic import BaseModel, ConfigDict, Field


class Monomial(BaseModel):
    """`factor x product(numerator) / product(max(denominator, 1))`, missing where any column is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    factor: float = 1.0
    numerator: tuple[str, ...] = Field(min_length=1)
    denominator: tuple[str, ...] = ()
    description: str = ""

    def expression(self) -> nw.Expr:
        """The monomial as a Narwhals expression."""
        value = nw.col(self.numerator[0])
        for name in self.numerator[1:]:
            value = value * nw.col(name)
        value = value * self.factor
        for name in self.denominator:
            column = nw.col(name)
            # Not clip(): its treatment of missing values differs between engines
            value = value / nw.when(column < 1.0).then(nw.lit(1.0)).otherwise(column)
        return value.alias(self.name)


def with_monomials(frame: nw.DataFrame | nw.LazyFrame, monomials: Iterable[Monomial]) -> nw.DataFrame | nw.LazyFrame:
    """Append derived columns.

    Args:
        frame: Frame with float64 columns that the monomials name.
        monomials: What to compute; later ones may use earlier ones only if they are listed in a later call.

    Returns:
        The frame with one float64 column more per monomial.
    """
    return frame.with_columns(*(monomial.expression() for monomial in monomials))
