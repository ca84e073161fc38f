"""What feature engineering tells model training about a feature table, as plain data in the catalog."""

from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.contract import ColumnSpec
from augury.predictors.monomials import Monomial


class FeatureSpecification(BaseModel):
    """Roles of a feature table's columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predictor: str = Field(description="namespace")
    target: str
    unit: str = Field(description="of the target")
    row_id: str
    group: str = Field(description="rows that share it are not independent")
    origin: str = Field(description="column that says measured, replayed or simulated")
    category: str = Field(description="the text column that is one-hot encoded")
    numbers: tuple[str, ...] = Field(description="numeric input columns")
    derived: tuple[Monomial, ...] = ()
    prior_terms: tuple[str, ...] = Field(
        default=(), description="derived columns in the target's unit that must fit in at once"
    )
    size: str = Field(description="the one column that a naive rule would look at")
    inputs: tuple[ColumnSpec, ...] = Field(description="schema that a predictor trained on this table asks for")
