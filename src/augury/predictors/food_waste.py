"""Will this item be wasted, and if so in how many days? Two sets of LightGBM's trees and the households' past."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import InputError, UserError
from augury.predictors import purchase_columns as pc
from augury.predictors.binary_calibration import BinaryCalibration
from augury.predictors.contract import ColumnSpec, Metadata, Predictor
from augury.predictors.days_to_event import DaysToEvent
from augury.predictors.entity_effect import EntityEffect, entity_effects, microseconds
from augury.predictors.food_waste_onnx import export_classifier, export_regressor
from augury.predictors.lightgbm_trees import gain_shares, open_booster, shares_of_features, sums_of_leaves
from augury.predictors.onnx_graph import open_graph
from augury.predictors.past_events import Moments, PastEvents
from augury.predictors.waste_features import WasteFeatures, feature_names, featurise

SPECIFICATION_FILE = "specification.json"
CALIBRATION_FILE = "calibration.json"
FEATURES_FILE = "feature_names.json"
CLASSIFIER_FILE = "classifier.txt"
REGRESSOR_FILE = "regressor.txt"
CLASSIFIER_ONNX_FILE = "classifier.onnx"
REGRESSOR_ONNX_FILE = "regressor.onnx"
HISTORY_FILE = "history.parquet"

HOUSEHOLD_EFFECT = ("household_effect", "household_information", "household_z_score")
"""Columns of the classifier behind the features: see :mod:`~augury.predictors.entity_effect`."""

KNOWN_AT = "known_at"
RESIDUAL = "residual"
INFORMATION = "information"
EVIDENCE = (KNOWN_AT, RESIDUAL, INFORMATION)
"""Columns of the history that purchases do not have: what each says about its household, and since when."""

ROWS_AT_ONCE = 200_000
"""History and asked rows whose features are computed together; more need more memory and no less time."""

OUTPUTS = (
    ColumnSpec(name="probability", dtype="number", minimum=0, description="that the item will be wasted"),
    ColumnSpec(name="is_wasted", dtype="boolean", description="whether that is at least the threshold in force"),
    *(
        ColumnSpec(
            name=name,
            dtype="number",
            unit="d",
            minimum=0,
            nullable=True,
            description=f"{what}; missing where no wasted item with its days was learned from",
        )
        for name, what in (
            ("days_to_waste", "days until it is wasted, if it is: the median"),
            ("days_lower", "lower bound of these days"),
            ("days_upper", "upper bound of these days"),
        )
    ),
)


def input_columns(features: WasteFeatures, *, closed: bool) -> tuple[ColumnSpec, ...]:
    """What a predictor with these features wants to know of a purchase.

    Args:
        features: Parameters of the features.
        closed: Whether there are no categories but those that have a feature.

    Returns:
        Input columns.
    """
    category = ColumnSpec(
        name=pc.CATEGORY, dtype="string", allowed=features.categories if closed else None, description="of the item"
    )

    def number(name: str, description: str, minimum: float | None = None, unit: str | None = None) -> ColumnSpec:
        return ColumnSpec(
            name=name,
            dtype="number",
            required=False,
            nullable=True,
            minimum=minimum,
            unit=unit,
            description=description,
        )

    def flag(name: str, description: str) -> ColumnSpec:
        return ColumnSpec(name=name, dtype="boolean", required=False, nullable=True, description=description)

    return (
        ColumnSpec(name=pc.HOUSEHOLD_ID, dtype="string", description="who buys; new ones are welcome"),
        ColumnSpec(
            name=pc.PURCHASED_AT,
            dtype="string",
            description="ISO 8601, or a column of times; in UTC unless it says otherwise",
        ),
        category,
        number(pc.HOUSEHOLD_SIZE, "members of the household", 1),
        number(pc.SHELF_LIFE_DAYS, "days that the item keeps", 0, "d"),
        number(pc.QUANTITY, "servings", 0),
        number(pc.PRICE, "paid for all servings", 0),
        number(pc.DISCOUNT, "share of the price", 0),
        flag(pc.IS_PLANNED, "whether it was on the list"),
        flag(pc.IS_BULK, "whether it is a bulk package"),
        number(pc.FRIDGE_TEMPERATURE_C, "temperature of the fridge", None, "degC"),
        number(pc.GUESTS, "expected guests", 0),
        *(number(name, "further column") for name in features.extra_columns),
    )  # fmt: skip


class WasteSpecification(BaseModel):
    """Everything of the predictor but trees, calibration and history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: WasteFeatures
    names: tuple[str, ...] = Field(description="features in the order of the trees' columns")
    effect: EntityEffect | None = Field(description="null: the classifier knows no household effect")
    days: DaysToEvent | None = Field(description="null: no days are predicted")
    operating_points: dict[str, float] = Field(description="thresholds of the probability by name")
    operating_point: str = Field(description="the one in force")
    code_digest: str | None = Field(description="SHA-256 of the code that computed the features")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the classifier."""
        return self.names if self.effect is None else (*self.names, *HOUSEHOLD_EFFECT)


class WastePredictor(Predictor):
    """Says how likely items go to waste, and when. May be shared by threads."""

    family: ClassVar[str] = "waste_pair"

    def __init__(
        self,
        metadata: Metadata,
        specification: WasteSpecification,
        trees: tuple[str, str | None],
        calibration: BinaryCalibration,
        history: pd.DataFrame,
        onnx: tuple[bytes, bytes | None] | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Assemble a predictor.

        Args:
            metadata: Typed metadata.
            specification: Features, effect, days, thresholds.
            trees: Classifier and regression in LightGBM's text format; no regression if no days are predicted.
            calibration: Of the classifier's probabilities.
            history: Past purchases of the households with their outcomes and the columns of :data:`EVIDENCE`.
            onnx: Both exported graphs; None: exported here.
            example: A few rows of input that show how to ask.
        """
        super().__init__(metadata, example)
        self.specification = specification
        self.calibration = calibration
        self._trees = trees
        self._classifier = open_booster(trees[0], metadata.predictor)
        self._regressor = None if trees[1] is None else open_booster(trees[1], metadata.predictor)
        wanted = [(self._classifier, len(specification.columns)), (self._regressor, len(specification.names))]
        if any(trees is not None and trees.num_feature() != columns for trees, columns in wanted):
            raise UserError(
                f"The trees of {metadata.predictor} are not those of its {len(specification.names)} features."
            )
        self.history = history.sort_values([pc.HOUSEHOLD_ID, pc.PURCHASED_AT, pc.PURCHASE_ID], ignore_index=True)
        codes, self._households = pd.factorize(self.history[pc.HOUSEHOLD_ID])
        self._starts = np.searchsorted(codes, np.arange(len(self._households) + 1))
        self.onnx = onnx or self._export()

    @property
    def features(self) -> WasteFeatures:
        """Parameters of the features."""
        return self.specification.features

    @property
    def operating_points(self) -> dict[str, float]:
        """Thresholds of the probability by name."""
        return dict(self.specification.operating_points)

    @property
    def threshold(self) -> float:
        """The threshold in force."""
        return self.specification.operating_points[self.specification.operating_point]

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Predict rows whose features are known already.

        Args:
            matrix: Rows of the feature matrix: features, household, time, shelf life, category.

        Returns:
            ``probability``, ``raw`` (before calibration), ``days_to_waste``, ``days_lower`` and ``days_upper`` (NaN if
            no days are predicted), float64, with the index of the matrix.
        """
        columns = self.classifier_matrix(matrix)
        log_odds = sums_of_leaves(self._classifier, columns)
        missing = np.full(len(matrix), np.nan)
        days = missing, missing, missing
        if self._regressor is not None and self.specification.days is not None:
            ratio = sums_of_leaves(self._regressor, np.ascontiguousarray(columns[:, : len(self.specification.names)]))
            days = self.specification.days.days(ratio, matrix[pc.SHELF_LIFE_DAYS], matrix[pc.CATEGORY])
        found = {
            "probability": self.calibration.of_log_odds(log_odds),
            "raw": BinaryCalibration().of_log_odds(log_odds),
            **dict(zip(("days_to_waste", "days_lower", "days_upper"), days, strict=True)),
        }
        return pd.DataFrame(found, index=matrix.index)

    def classifier_matrix(self, matrix: pd.DataFrame) -> np.ndarray:
        """Input of the classifier: the features, and the effect of each row's household as known before the row.

        Args:
            matrix: See :meth:`predict_matrix`.

        Returns:
            float32 of shape (rows, features + 3), or (rows, features) for a classifier without the effect.
        """
        names = list(self.specification.names)
        features = np.ascontiguousarray(matrix[names].to_numpy(dtype=np.float32))
        if self.specification.effect is None:
            return features
        past = self._past_of(matrix[pc.HOUSEHOLD_ID])
        return np.hstack([features, household_effect(matrix, past, self.specification.effect)])

    def contributions(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Why the classifier thinks so: SHAP values in log odds, before calibration.

        Args:
            matrix: See :meth:`predict_matrix`.

        Returns:
            One column per feature, and ``bias``: what is expected of any row. A row adds up to its log odds.
        """
        shares = shares_of_features(self._classifier, self.classifier_matrix(matrix))
        return pd.DataFrame(shares, columns=[*self.specification.columns, "bias"], index=matrix.index)

    def importances(self) -> dict[str, float]:
        """Share of the classifier's total gain by feature, largest first; features without a split are left out."""
        return gain_shares(self._classifier, self.specification.columns)

    def featurise_purchases(self, purchases: pd.DataFrame) -> pd.DataFrame:
        """Features of purchases, each as if it were the only one that is asked for.

        A purchase sees the history of its household before it, not the other rows of the table.

        Args:
            purchases: Valid input columns; `purchased_at` as datetimes.

        Returns:
            The features and the columns that were given, with the index of the table.
        """
        asked = purchases.reset_index(drop=True)
        # Purchases of a household at one moment do not see each other, so they can share a copy of its history
        keys = [pc.HOUSEHOLD_ID, pc.PURCHASED_AT]
        groups = asked.groupby(keys, sort=False).ngroup().to_numpy()
        moments = asked.drop_duplicates(keys)
        history = self._past_of(moments[pc.HOUSEHOLD_ID])
        codes, households = pd.factorize(history[pc.HOUSEHOLD_ID])
        # Its order is that of the history: by household and time
        purchases_before = PastEvents(
            Moments(microseconds(moments[pc.PURCHASED_AT])),
            codes.astype(np.int64),
            microseconds(history[pc.PURCHASED_AT]),
        )
        past = purchases_before.before(households.get_indexer(pd.Index(moments[pc.HOUSEHOLD_ID])))
        parts = []
        for chosen in _pieces(past.count + np.bincount(groups)):
            rows = np.flatnonzero((groups >= chosen.start) & (groups < chosen.stop))
            start, count = past.start[chosen], past.count[chosen]
            places = ranges(start, count)
            table = _stacked(history.iloc[places], asked.iloc[rows], self.features)
            table[pc.HOUSEHOLD_ID] = np.concatenate(
                [np.repeat(np.arange(*chosen.indices(len(moments))), count), groups[rows]]
            )
            parts.append(featurise(table, self.features).iloc[len(places) :].set_axis(rows))
        features = pd.concat(parts).sort_index()
        return pd.concat([asked, features], axis=1).set_axis(purchases.index)

    def compare_onnx(self, matrix: pd.DataFrame, rows_per_call: int = 10_000) -> dict[str, Any]:
        """Compare the exported graphs with the predictor.

        Args:
            matrix: Rows as for :meth:`predict_matrix`; some that nobody sends are added to them.
            rows_per_call: Size of the batches.

        Returns:
            ``rows``, ``strange_rows``, ``max_difference`` (of the calibrated probability), ``flips`` (decisions that
            differ, by operating point) and ``days_max_relative_difference`` (0 if no days are predicted).
        """
        table = pd.concat([matrix, self._strange_rows(matrix)], ignore_index=True)
        expected = self.predict_matrix(table)
        features, names = self.classifier_matrix(table), len(self.specification.names)
        probability, days = np.empty(len(table)), expected["days_to_waste"].to_numpy().copy()
        classifier = open_graph(self.onnx[0])
        regressor = None if self.onnx[1] is None else open_graph(self.onnx[1])
        model = self.specification.days
        for first in range(0, len(table), rows_per_call):
            place = slice(first, first + rows_per_call)
            probability[place] = classifier.run(["probability"], {"features": features[place]})[0][:, 0]
            if regressor is not None and model is not None:
                part = table.iloc[place]
                feeds = {
                    "features": np.ascontiguousarray(features[place, :names]),
                    "scale": model.scale.days(part[pc.SHELF_LIFE_DAYS], part[pc.CATEGORY])[:, None],
                }
                days[place] = regressor.run(["days"], feeds)[0][:, 0]
        served, known = expected["probability"].to_numpy(), expected["days_to_waste"].to_numpy()
        apart = np.abs(days - known) / np.maximum(np.abs(known), 1e-9)
        return {
            "rows": len(matrix),
            "strange_rows": len(table) - len(matrix),
            "max_difference": float(np.abs(probability - served).max()),
            "flips": {
                name: int(((probability >= threshold) != (served >= threshold)).sum())
                for name, threshold in self.specification.operating_points.items()
            },
            "days_max_relative_difference": float(np.nan_to_num(apart).max()),
        }

    def _predict_table(self, frame: pd.DataFrame) -> pd.DataFrame:
        if pc.PURCHASED_AT in frame and pd.api.types.is_datetime64_any_dtype(frame[pc.PURCHASED_AT].dtype):
            times = frame[pc.PURCHASED_AT]
            nothing: Any = None
            texts = (
                times.map(lambda time: time.isoformat(), na_action="ignore")
                .astype(object)
                .where(times.notna(), nothing)
            )
            frame = frame.assign(**{pc.PURCHASED_AT: texts})
        return super()._predict_table(frame)

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        times = parse_times(table[pc.PURCHASED_AT], self.metadata.predictor)
        found = self.predict_matrix(self.featurise_purchases(table.assign(**{pc.PURCHASED_AT: times})))
        return found.assign(is_wasted=found["probability"] >= self.threshold)

    def _past_of(self, households: pd.Series) -> pd.DataFrame:
        """The history of some households."""
        known = self._households.get_indexer(pd.Index(households.unique()))
        known = np.sort(known[known >= 0])
        if len(known) == len(self._households):
            return self.history
        starts = self._starts[known]
        return self.history.iloc[ranges(starts, self._starts[known + 1] - starts)]

    def _strange_rows(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Rows of nothing but one odd number."""
        values = (np.nan, 0.0, -0.0, 1e-38, -1e30, 1e30)
        strange = pd.DataFrame([[value] * len(self.specification.names) for value in values], dtype=np.float32)
        strange.columns = pd.Index(self.specification.names)
        time = pd.Timestamp("2000-01-01")
        facts: dict[str, Any] = {
            pc.HOUSEHOLD_ID: "nobody",
            pc.PURCHASED_AT: time,
            pc.SHELF_LIFE_DAYS: np.nan,
            pc.CATEGORY: "nothing",
        }
        return strange.assign(**facts)[[name for name in matrix if name in strange or name in facts]]

    def _export(self) -> tuple[bytes, bytes | None]:
        classifier = export_classifier(self._classifier, len(self.specification.columns), self.calibration)
        if self._regressor is None:
            return classifier, None
        return classifier, export_regressor(self._regressor, len(self.specification.names))

    def _save(self, directory: Path) -> None:
        names = {
            "features": list(self.specification.names),
            "classifier": list(self.specification.columns),
            "regressor": list(self.specification.names),
        }
        texts = {
            SPECIFICATION_FILE: self.specification.model_dump_json(indent=1) + "\n",
            CALIBRATION_FILE: self.calibration.model_dump_json(indent=1) + "\n",
            FEATURES_FILE: json.dumps(names, indent=1) + "\n",
            CLASSIFIER_FILE: self._trees[0],
            REGRESSOR_FILE: self._trees[1],
        }
        for name, text in texts.items():
            if text is not None:
                (directory / name).write_text(text, encoding="utf-8")
        for name, content in ((CLASSIFIER_ONNX_FILE, self.onnx[0]), (REGRESSOR_ONNX_FILE, self.onnx[1])):
            if content is not None:
                (directory / name).write_bytes(content)
        (directory / HISTORY_FILE).write_bytes(_history_bytes(self.history))

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        name = SPECIFICATION_FILE
        try:
            specification = WasteSpecification.model_validate_json((directory / name).read_text(encoding="utf-8"))
            name = CALIBRATION_FILE
            calibration = BinaryCalibration.model_validate_json((directory / name).read_text(encoding="utf-8"))
            name = FEATURES_FILE
            json.loads((directory / name).read_text(encoding="utf-8"))
            name = HISTORY_FILE
            history = _read_history((directory / name).read_bytes())
        except ValueError as error:  # of JSON, of UTF-8, of pydantic, of Arrow
            raise UserError(f"'{directory / name}' is damaged: {error}") from None
        if not set(specification.names) <= set(feature_names(specification.features)):
            raise UserError(
                f"'{directory}' was trained with other features than this version computes. Train it again, or use the "
                f"version it was trained with ({metadata.versions.get('augury', 'unknown')})."
            )
        classifier = (directory / CLASSIFIER_FILE).read_text(encoding="utf-8")
        onnx = (directory / CLASSIFIER_ONNX_FILE).read_bytes()
        if specification.days is None:
            return cls(metadata, specification, (classifier, None), calibration, history, (onnx, None))
        regressor = (directory / REGRESSOR_FILE).read_text(encoding="utf-8")
        both = onnx, (directory / REGRESSOR_ONNX_FILE).read_bytes()
        return cls(metadata, specification, (classifier, regressor), calibration, history, both)


def household_effect(rows: pd.DataFrame, history: pd.DataFrame, effect: EntityEffect) -> np.ndarray:
    """Columns :data:`HOUSEHOLD_EFFECT` of rows, the same in training and serving.

    Args:
        rows: Household and time of purchase.
        history: Household and the columns of :data:`EVIDENCE`.
        effect: Parameters.

    Returns:
        float32 of shape (rows, 3).
    """
    found = entity_effects(rows, history, effect, entity=pc.HOUSEHOLD_ID, asked_at=pc.PURCHASED_AT, known_at=KNOWN_AT)
    return found.to_numpy(dtype=np.float32)


def parse_times(texts: pd.Series, predictor: str) -> pd.Series:
    """Read moments of purchases.

    Args:
        texts: ISO 8601; in UTC unless they say otherwise.
        predictor: Whose input it is, for the error message.

    Returns:
        Naive datetimes in UTC.

    Raises:
        InputError: A text is no time.
    """
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    wrong = times.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{predictor}: column '{pc.PURCHASED_AT}' must be a time in ISO 8601, for example 2026-01-31T18:05:00, not "
            f"{texts.iloc[row]!r:.60} (row {row})."
        )
    return times.dt.tz_localize(None).astype("datetime64[us]")


def history_columns(features: WasteFeatures) -> tuple[str, ...]:
    """Columns of the past that features are computed from, and the identifier of the purchase."""
    return (pc.PURCHASE_ID, *pc.KNOWN_AT_PURCHASE, pc.OUTCOME, pc.RESOLVED_AT, *features.extra_columns)


def _stacked(past: pd.DataFrame, present: pd.DataFrame, features: WasteFeatures) -> pd.DataFrame:
    """The past above the present, with the columns that features are computed from."""
    nothing = {"string": None, "timestamp": np.datetime64("NaT", "us")}
    columns = {}
    for name in history_columns(features):
        missing = np.full(len(present), nothing.get(pc.COLUMNS.get(name, "double"), np.nan))
        asked = present[name].to_numpy() if name in present else missing
        columns[name] = np.concatenate([past[name].to_numpy(), asked])
    return pd.DataFrame(columns)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Places of several stretches, one behind the other.

    Examples:
        >>> ranges(np.array([5, 0]), np.array([2, 3]))
        array([5, 6, 0, 1, 2])
    """
    return np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def _pieces(sizes: np.ndarray) -> Iterator[slice]:
    """Consecutive groups that have about :data:`ROWS_AT_ONCE` rows together."""
    first, total = 0, 0
    for group, size in enumerate(sizes.tolist()):
        if total and total + size > ROWS_AT_ONCE:
            yield slice(first, group)
            first, total = group, 0
        total += size
    yield slice(first, len(sizes))


def _history_bytes(history: pd.DataFrame) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(history, preserve_index=False)
    target = io.BytesIO()
    # Without pandas' description of the frame, which nobody needs
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), target, compression="zstd")
    return target.getvalue()


def _read_history(content: bytes) -> pd.DataFrame:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(io.BytesIO(content)).to_pandas()
