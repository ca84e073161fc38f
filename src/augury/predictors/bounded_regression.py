"""A positive quantity with a safe upper bound: prior x exp(trees), times a conformal margin per risk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import UserError
from augury.predictors.contract import ColumnSpec, Metadata, Predictor, validate_input
from augury.predictors.monomials import Monomial, with_monomials
from augury.predictors.onnx_graph import open_graph

SPECIFICATION_FILE = "specification.json"
ONNX_FILE = "model.onnx"
TREE_FILES = {"lightgbm": "model.txt", "onnx": "trees.onnx"}


class Prior(BaseModel):
    """What the quantity must at least be: a non-negative combination of terms, one per category."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    terms: tuple[str, ...] = Field(description="derived features; a missing one counts as 0")
    base: tuple[float, ...] = Field(description="constant per category, in the target's unit")
    coefficients: tuple[tuple[float, ...], ...] = Field(description="categories x terms, none negative")


class Margins(BaseModel):
    """Log margins of the upper bounds, by category and size band of the point prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    risks: tuple[float, ...] = Field(description="accepted shares of values above the bound")
    edges: tuple[tuple[float, ...], ...] = Field(
        description="categories x inner edges of the bands, in the target's unit"
    )
    log_margins: tuple[tuple[tuple[float, ...], ...], ...] = Field(description="risks x categories x bands")


class Specification(BaseModel):
    """Everything of a bounded regression but its trees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: str = Field(description="the one text column; one-hot encoded")
    categories: tuple[str, ...]
    numbers: tuple[str, ...] = Field(description="numeric input columns, in order")
    ignored: tuple[tuple[str, ...], ...] = Field(description="per category: numbers that no training row of it had")
    derived: tuple[Monomial, ...]
    features: tuple[str, ...] = Field(description="columns of the trees' matrix, in order")
    target: Literal["log_ratio", "raw"] = Field(description="what the trees predict: log(value / prior), or the value")
    missing: float | None = Field(description="what replaces a missing feature; null: the trees handle it")
    floor: float = Field(gt=0, description="smallest prediction, in the target's unit")
    prior: Prior
    margins: Margins
    trees: Literal["lightgbm", "onnx"]


def one_hot_name(category: str, value: str) -> str:
    """Name of an indicator feature."""
    return f"{category}_is_{value}"


def level_name(risk: float) -> str:
    """Name of a bound's column: risk 0.05 -> upper_95."""
    return f"upper_{100 * (1 - risk):g}"


def output_columns(risks: Sequence[float], unit: str) -> tuple[ColumnSpec, ...]:
    """The output schema: the point prediction, then a bound per risk."""
    bounds = [
        ColumnSpec(
            name=level_name(risk),
            dtype="number",
            unit=unit,
            description=f"exceeded with probability {risk:g} at the most",
        )
        for risk in risks
    ]
    return (
        ColumnSpec(name="predicted", dtype="number", unit=unit, description="most likely value"),
        *bounds,
    )


def mask_ignored(table: pd.DataFrame, specification: Specification, codes: np.ndarray) -> pd.DataFrame:
    """Blank the numbers that mean nothing for a row's category, such as the resolution of a job that renders nothing.

    Without this, a model could take "no resolution" for the category itself and be led astray by a resolution given in
    vain.
    """
    masked = table.copy()
    for code, names in enumerate(specification.ignored):
        if names:
            masked.loc[codes == code, list(names)] = np.nan
    return masked


def feature_matrix(table: pd.DataFrame, specification: Specification, codes: np.ndarray) -> np.ndarray:
    """Build the trees' input.

    Args:
        table: Numeric input columns and derived ones, float64.
        specification: Names and order of the features.
        codes: Category of each row, shape (rows,).

    Returns:
        float64 array of shape (rows, features) whose values are float32 numbers: ONNX tree ensembles compare in
        float32.
    """
    indicators = {
        one_hot_name(specification.category, value): index for index, value in enumerate(specification.categories)
    }
    matrix = np.empty((len(table), len(specification.features)), dtype=np.float64)
    for position, name in enumerate(specification.features):
        matrix[:, position] = codes == indicators[name] if name in indicators else table[name].to_numpy()
    if specification.missing is not None:
        matrix[np.isnan(matrix)] = specification.missing
    return matrix.astype(np.float32).astype(np.float64)


def prior_values(table: pd.DataFrame, prior: Prior, codes: np.ndarray) -> np.ndarray:
    """Evaluate the prior.

    Args:
        table: Derived columns, float64.
        prior: Terms and coefficients.
        codes: Category of each row.

    Returns:
        Array of shape (rows,), in the target's unit.
    """
    total = np.asarray(prior.base)[codes]
    coefficients = np.asarray(prior.coefficients)
    for position, name in enumerate(prior.terms):
        # One term after the other, not a matrix product: BLAS sums in an order that depends on the number of rows
        total = total + np.nan_to_num(table[name].to_numpy()) * coefficients[codes, position]
    return total


def size_band(point: np.ndarray, margins: Margins, codes: np.ndarray) -> np.ndarray:
    """Band of each point prediction: the number of its category's edges that it reaches."""
    return (point[:, None] >= np.asarray(margins.edges)[codes]).sum(axis=1)


class BoundedRegression(Predictor):
    """Gradient-boosted trees on a physical prior, with upper bounds at chosen risks."""

    family: ClassVar[str] = "bounded_regression"

    def __init__(
        self,
        metadata: Metadata,
        specification: Specification,
        trees: str | bytes,
        onnx: bytes | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Assemble a predictor.

        Args:
            metadata: Typed metadata.
            specification: Prior, features and margins.
            trees: LightGBM's text format, or the bytes of an ONNX tree ensemble.
            onnx: The exported graph from raw columns to point and bounds.
            example: A few rows of input that show how to ask.
        """
        super().__init__(metadata, example)
        self.specification = specification
        self.trees = trees
        self.onnx = onnx
        self._model: Any = None

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        point, codes = self._point(table)
        margins = self.specification.margins
        band = size_band(point, margins, codes)
        columns = {"predicted": point}
        for risk, log_margins in zip(margins.risks, margins.log_margins, strict=True):
            columns[level_name(risk)] = point * np.exp(np.asarray(log_margins)[codes, band])
        return pd.DataFrame(columns, index=table.index)

    def _point(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        derived, codes = self._derive(table)
        return point_prediction(self.specification, self._engine(), derived, codes), codes

    def _derive(self, table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        categories = list(self.specification.categories)
        codes = np.asarray(
            pd.Categorical(table[self.specification.category], categories=categories).codes,
            dtype=np.intp,
        )
        masked = mask_ignored(table, self.specification, codes)
        derived: pd.DataFrame = with_monomials(nw.from_native(masked), self.specification.derived).to_native()
        return derived, codes

    def explain(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Say where each prediction comes from.

        Args:
            table: A frame as for :meth:`predict`.

        Returns:
            Per row: ``prior`` (term -> amount in the target's unit, ``base`` included) and ``factors`` (feature ->
            multiplicative effect of the trees, from LightGBM's exact SHAP values), both sorted by strength; ``factors``
            is empty where the trees are not LightGBM's.
        """
        derived, codes = self._derive(validate_input(table, self.metadata))
        matrix = feature_matrix(derived, self.specification, codes)
        prior, features = self.specification.prior, self.specification.features
        contributions = (
            self._engine().predict(matrix, pred_contrib=True) if self.specification.trees == "lightgbm" else None
        )
        rows = []
        for row, code in enumerate(codes):
            amounts = {"base": prior.base[code]}
            for position, name in enumerate(prior.terms):
                amounts[name] = float(np.nan_to_num(derived[name].iloc[row])) * prior.coefficients[code][position]
            factors: dict[str, float] = {}
            if contributions is not None:
                factors = dict(zip(features, np.exp(contributions[row][:-1]).tolist(), strict=True))
            rows.append(
                {
                    "prior": dict(sorted(amounts.items(), key=lambda item: -item[1])),
                    "factors": dict(sorted(factors.items(), key=lambda item: -abs(np.log(item[1])))),
                }
            )
        return rows

    def importances(self) -> dict[str, float]:
        """Total gain of each feature, as a share; empty where the trees are not LightGBM's."""
        if self.specification.trees != "lightgbm":
            return {}
        gain = self._engine().feature_importance("gain")
        return dict(zip(self.specification.features, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True))

    def _engine(self) -> Any:
        if self._model is None:
            self._model = tree_engine(self.trees)
        return self._model

    def _save(self, directory: Path) -> None:
        specification = self.specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(specification + "\n", encoding="utf-8")
        path = directory / TREE_FILES[self.specification.trees]
        path.write_bytes(self.trees.encode() if isinstance(self.trees, str) else self.trees)
        if self.onnx is not None:
            (directory / ONNX_FILE).write_bytes(self.onnx)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        try:
            text = (directory / SPECIFICATION_FILE).read_text(encoding="utf-8")
            specification = Specification.model_validate(json.loads(text))
            trees = (directory / TREE_FILES[specification.trees]).read_bytes()
        except ValueError as error:
            raise UserError(f"'{directory / SPECIFICATION_FILE}' is damaged: {error}") from None
        onnx = directory / ONNX_FILE
        return cls(
            metadata,
            specification,
            trees.decode() if specification.trees == "lightgbm" else trees,
            onnx.read_bytes() if onnx.exists() else None,
        )


def tree_engine(trees: str | bytes) -> Any:
    """Open trees: a LightGBM booster from its text format, or an onnxruntime session."""
    if isinstance(trees, str):
        import lightgbm

        return lightgbm.Booster(model_str=trees)
    return open_graph(trees)


def point_prediction(specification: Specification, trees: Any, table: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
    """Predict the point.

    Args:
        specification: Features and prior.
        trees: What :func:`tree_engine` returned, or what it takes.
        table: Numbers (masked) and derived columns.
        codes: Category of each row.

    Returns:
        Shape (rows,), in the target's unit.
    """
    engine = tree_engine(trees) if isinstance(trees, (str, bytes)) else trees
    matrix = feature_matrix(table, specification, codes)
    if specification.trees == "lightgbm":
        raw = np.asarray(engine.predict(matrix), dtype=np.float64)
    else:
        raw = np.asarray(engine.run(None, {"features": matrix.astype(np.float32)})[0], dtype=np.float64).ravel()
    if specification.target == "log_ratio":
        raw = prior_values(table, specification.prior, codes) * np.exp(raw)
    return np.maximum(raw, specification.floor)
