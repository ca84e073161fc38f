"""Is a query heavy, before it runs? Zero-cost statements, features of text and history, and two sets of trees."""

import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import InputError, UserError
from augury.predictors import query_columns as qc
from augury.predictors.contract import ColumnSpec, Metadata, Predictor, validate_row
from augury.predictors.onnx_graph import open_graph
from augury.predictors.probability_calibration import ScoreBlend
from augury.predictors.query_classifier import QueryClassifier, executed_text
from augury.predictors.query_cost_onnx import export_onnx
from augury.predictors.query_cost_trees import (
    TEMPLATE_SEEN,
    booster_contributions,
    booster_margin,
    open_booster,
    trees_matrix,
)
from augury.predictors.query_features import QueryFeatures, QueryRows, feature_names, featurise_rows
from augury.predictors.query_golden import check_golden
from augury.predictors.query_history import SNAPSHOT, HistorySnapshot
from augury.predictors.query_keys import TEMPLATE
from augury.predictors.query_vocabulary import QueryVocabulary

SPECIFICATION_FILE = "specification.json"
CALIBRATION_FILE = "calibration.json"
VOCABULARY_FILE = "vocabulary.json"
CLASSIFIER_FILE = "classifier.ubj"
REGRESSOR_FILE = "regressor.ubj"
HISTORY_FILE = "history.parquet"
ONNX_FILE = "model.onnx"
TEXT_ONNX_FILE = "model_text.onnx"

MODEL = "model"
"""The ``category`` of a query that the model decides."""

LARGEST_LOG_COST = 50.0
"""No prediction of the regression is above it; it keeps ``cpu_seconds`` finite whatever the trees hold."""

INPUTS = (
    ColumnSpec(name=qc.QUERY, dtype="string", description="SQL as sent"),
    *(
        ColumnSpec(name=name, dtype="string", required=False, nullable=True, description=description)
        for name, description in (
            (qc.PREPARED_QUERY, "text of the prepared statement where the query is an EXECUTE"),
            (qc.USER, "who asks"),
            (qc.SOURCE, "program that asks"),
            (qc.CATALOG, "catalog of the session"),
            (qc.SCHEMA, "schema of the session"),
            (qc.CLIENT_INFO, "free text of the client"),
            (qc.CLIENT_TAGS, "tags, joined by commas"),
            (qc.QUERY_TYPE, "Trino's type: SELECT, INSERT, ..."),
            (qc.CREATE_TIME, "ISO 8601, in UTC unless it says otherwise"),
        )
    ),
)

EXAMPLE: tuple[dict[str, str], ...] = (
    {
        qc.QUERY: "SELECT region, sum(amount) FROM sales.orders WHERE day >= DATE '2026-01-01' GROUP BY region",
        qc.USER: "analyst",
        qc.SOURCE: "notebook",
        qc.CATALOG: "hive",
        qc.SCHEMA: "sales",
        qc.QUERY_TYPE: "SELECT",
        qc.CREATE_TIME: "2026-01-31T09:30:00Z",
    },
    {qc.QUERY: "SHOW TABLES"},
)
"""How to ask. Made up: a query that somebody sent may tell what nobody else is to know."""

OUTPUTS = (
    ColumnSpec(name="probability", dtype="number", minimum=0, description="that the query is heavy; 0 if zero-cost"),
    ColumnSpec(name="is_heavy", dtype="boolean", description="whether to route it to the large cluster"),
    ColumnSpec(
        name="cpu_seconds",
        dtype="number",
        unit="s",
        minimum=0,
        description="estimated CPU time; where memory weighs more, the CPU time that would weigh as much",
    ),
    ColumnSpec(
        name="category", dtype="string", description=f"category of a zero-cost statement, '{MODEL}' for all others"
    ),
)

TORTURE_TEXTS = (
    "",
    " ",
    "\x00",
    "select",
    "SELECT * FROM T WHERE A = 'B' AND C IN (1, 2, 3)",
    "select 1; drop table x; --",
    'select \'it\'\'s\' || "Q""q" from "Sch"."Tab" where x like \'%\\_%\'',
    "select * from t where note = 'unclosed",
    "/* never closed select * from t",
    "select * from {{ ref('orders') }} where ds = '{{ ds }}'",
    "выбрать * из таблицы where имя = 'дом'",
    "select \U0001f600 from \u8868 where \u540d = '\u503c'",
    "\u0130\u0131\u017f\u212a select",
    "select * from t limit 99999999999999999999999999999999999999999999999999",
    "select a from t where b in (" + ",".join(map(str, range(20_000))) + ")",
    "(" * 5_000 + "select 1" + ")" * 5_000,
    "select " + " || ".join(f"'{n}'" for n in range(8_000)),
    " union all ".join(f"select {n} from t{n}" for n in range(2_000)),
    "x" * 100_000,
    "select 1" + " " * 100_000,
    "\ud800 lone surrogate",
)
"""Texts that nobody sends, on which both runtimes must agree as well."""


class Blends(BaseModel):
    """From both sums of leaves to a probability, for queries of templates that were seen and of those that were not.

    Of a new template less is known, and what the trees say of it is less sure; so it has a blend and a calibration of
    its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    known: ScoreBlend
    new: ScoreBlend | None = Field(default=None, description="null: the same as for known templates")

    def scores(self, margin: np.ndarray, log_cost: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blended scores, and calibrated probabilities.

        Args:
            margin: The classifier's margins, float64.
            log_cost: The regression's predictions, float64.
            unseen: Whether each row's template was never seen.

        Returns:
            Two float64 arrays of shape (rows,).
        """
        score = self.known.score(margin, log_cost)
        probability = self.known.calibration.probability(score)
        if self.new is None:
            return score, probability
        other = self.new.score(margin, log_cost)
        return (
            np.where(unseen, other, score),
            np.where(unseen, self.new.calibration.probability(other), probability),
        )


class QueryCostSpecification(BaseModel):
    """Everything of the predictor but trees, vocabulary, calibration and history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: QueryFeatures
    numbers: tuple[str, ...] = Field(description="numeric features: f0, f1, ... of the trees; the terms follow")
    safe: tuple[str, ...] = Field(description="categories of statements that need no model")
    cpu_threshold_s: float = Field(gt=0, description="CPU seconds from which on a query is heavy")
    memory_threshold_gb: float = Field(gt=0, description="peak GiB above which a query is heavy")
    resource_errors: tuple[str, ...] = Field(default=(), description="errors that only a heavy query meets")
    operating_points: dict[str, float] = Field(description="thresholds of the probability by name")
    operating_point: str = Field(description="the one in force")
    code_digest: str = Field(description="SHA-256 of the code that computed the features")
    golden: dict[str, Any] = Field(description="queries and the features that they had where they were computed")


class QueryCostPredictor(Predictor):
    """Says how likely a query is heavy. May be shared by threads."""

    family: ClassVar[str] = "heavy_query"

    def __init__(
        self,
        metadata: Metadata,
        specification: QueryCostSpecification,
        trees: tuple[bytes, bytes],
        vocabulary: QueryVocabulary,
        blends: Blends,
        snapshot: HistorySnapshot,
        onnx: tuple[bytes, bytes] | None = None,
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Assemble a predictor.

        Args:
            metadata: Typed metadata.
            specification: Features, thresholds, golden vectors.
            trees: Classifier and regression in XGBoost's UBJSON.
            vocabulary: Terms in the order of their columns.
            blends: From both sums of leaves to a probability.
            snapshot: The history that queries are looked up in.
            onnx: The exported graphs (matrix in; terms and numbers in); None: exported here.
            example: A few rows of input that show how to ask.
        """
        super().__init__(metadata, example)
        self.specification = specification
        self.vocabulary = vocabulary
        self.blends = blends
        self.snapshot = snapshot
        self.classifier = QueryClassifier(specification.safe)
        self.onnx = onnx or self._export(trees)
        self._trees = trees
        self._classifier_trees, self._regressor_trees = (open_booster(booster) for booster in trees)
        columns = [trees.num_features() for trees in (self._classifier_trees, self._regressor_trees)]
        if columns != [self._columns, len(specification.numbers)]:
            raise UserError(f"The trees of query_cost are not those of its {self._columns} features and terms.")
        self._single = self._single_row_engine()

    @property
    def _columns(self) -> int:
        return len(self.specification.numbers) + len(self.vocabulary)

    @property
    def _unseen_at(self) -> int | None:
        numbers = self.specification.numbers
        return numbers.index(TEMPLATE_SEEN) if TEMPLATE_SEEN in numbers else None

    @property
    def features(self) -> QueryFeatures:
        """Parameters of the features."""
        return self.specification.features

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns of the trees' matrix: numeric features, then ``term:<term>``."""
        return (*self.specification.numbers, *(f"term:{term}" for term in self.vocabulary.terms))

    @property
    def operating_points(self) -> dict[str, float]:
        """Thresholds of the probability by name."""
        return dict(self.specification.operating_points)

    @property
    def threshold(self) -> float:
        """The threshold in force."""
        return self.specification.operating_points[self.specification.operating_point]

    def predict_one(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Predict a single query quickly; the same as :meth:`predict` on a frame of it, bit for bit.

        Args:
            row: Values by input column; a column that is missing counts as null, further ones are ignored.

        Returns:
            Values by output column.

        Raises:
            InputError: See :meth:`predict`.
        """
        request = validate_row(row, self.metadata)
        text = executed_text(request[qc.QUERY], request[qc.PREPARED_QUERY])
        created = _times([request[qc.CREATE_TIME]], self.metadata.predictor)
        category = self.classifier.category(text)
        if category in self.classifier.safe:
            return {"probability": 0.0, "is_heavy": False, "cpu_seconds": 0.0, "category": category}
        columns = {name: [request[name]] for name in _CONTEXT}
        rows = self._featurise(pd.DataFrame({qc.SQL_TEXT: [text], **columns, qc.CREATE_TIME: created}))
        matrix = np.zeros((1, self._columns), dtype=np.float32)
        numbers = len(self.specification.numbers)
        matrix[0, :numbers] = rows.numbers[0]
        self.vocabulary.set_indicators(rows.terms[0], matrix[0, numbers:])
        scores = self._scores_of_single_row(matrix)
        probability = float(scores["probability"][0])
        return {
            "probability": probability,
            "is_heavy": probability >= self.threshold,
            "cpu_seconds": float(scores["cpu_seconds"][0]),
            "category": MODEL,
        }

    def explain(self, row: Mapping[str, Any]) -> dict[str, tuple[float | None, float]]:
        """Why the classifier thinks so of a single query.

        Args:
            row: As for :meth:`predict_one`.

        Returns:
            Feature -> its value (None if unknown; 1 or 0 of a term) and its contribution to the classifier's margin in
            log odds, largest first; without those that contribute nothing. Empty for a zero-cost statement.
        """
        request = validate_row(row, self.metadata)
        text = executed_text(request[qc.QUERY], request[qc.PREPARED_QUERY])
        if self.classifier.category(text) in self.classifier.safe:
            return {}
        rows = self.featurise_queries(pd.DataFrame({name: [value] for name, value in request.items()}, dtype=object))
        matrix = np.hstack([rows.numbers, self.vocabulary.indicators(rows.terms).astype(np.float32)])
        shares = booster_contributions(self._classifier_trees, matrix)[0]
        found = zip(self.feature_names, matrix[0].tolist(), shares.tolist(), strict=True)
        named = [(name, None if value != value else value, share) for name, value, share in found if share]
        return {name: (value, share) for name, value, share in sorted(named, key=lambda item: (-abs(item[2]), item[0]))}

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Predict rows whose features are known already.

        Args:
            matrix: With ``terms`` and the numeric features.

        Returns:
            ``probability``, ``cpu_seconds``, ``margin`` (the classifier's), ``log_cost`` (the regression's) and
            ``score`` (blended, not calibrated), float64, with the index of the matrix. The zero-cost stage, which needs
            the text, has no part in it.
        """
        scores = self._scores(trees_matrix(matrix, self.specification.numbers, self.vocabulary))
        return pd.DataFrame(scores, index=matrix.index)

    def featurise_queries(self, frame: pd.DataFrame) -> QueryRows:
        """Features of queries as the model sees them.

        Args:
            frame: Valid input columns, missing ones allowed.

        Returns:
            The features, with the newest history.
        """
        columns = {name: frame[name].tolist() if name in frame else [None] * len(frame) for name in _REQUEST}
        return self._featurise(self._requests(columns))

    def heavy_templates(self) -> list[tuple[str, float, float]]:
        """Templates that the history knows heavy runs of: template, decayed runs, decayed heavy runs."""
        states = self.snapshot.to_frame()
        known = states[(states["kind"] == TEMPLATE) & (states["heavy"] > 0)]
        return list(
            zip(known["key"].tolist(), known["queries"].tolist(), known["heavy"].tolist(), strict=True)
        )  # fmt: skip

    def importances(self) -> dict[str, float]:
        """Share of the classifier's total gain by feature, largest first; features without a split are left out."""
        gain = self._classifier_trees.get_score(importance_type="total_gain")
        names = self.feature_names
        total = sum(gain.values()) or 1.0
        shares = {names[int(name.removeprefix("f"))]: value / total for name, value in gain.items()}
        return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))

    def compare_onnx(self, matrix: pd.DataFrame, rows_per_call: int = 1000) -> dict[str, Any]:
        """Compare both exported graphs with the predictor.

        Args:
            matrix: Rows as for :meth:`predict_matrix`; texts that nobody sends are added to them.
            rows_per_call: Size of the batches.

        Returns:
            ``rows``, ``torture_rows``, ``max_difference`` (of the probability, over both graphs), ``flips``
            (decisions that differ, by operating point), and the same by graph under ``numeric`` and ``text``.
        """
        numbers = list(self.specification.numbers)
        torture = self.featurise_queries(pd.DataFrame({qc.QUERY: list(TORTURE_TEXTS)}))
        strange = pd.DataFrame(torture.numbers, columns=numbers).assign(terms=torture.terms)
        extremes = pd.DataFrame(
            [[value] * len(numbers) for value in (np.nan, 0.0, -0.0, 1e-38, -1e30, 1e30)], columns=numbers
        )
        known = self.vocabulary.terms
        extremes["terms"] = ["", "unknown", " ".join(known), " ".join(known[:1] * 3), "  ", "\u00e9"]
        table = pd.concat([matrix[[*numbers, "terms"]], strange, extremes], ignore_index=True)
        expected = self.predict_matrix(table)["probability"].to_numpy()
        found = {name: np.empty(len(table)) for name in ("numeric", "text")}
        numeric, text = (open_graph(graph) for graph in self.onnx)
        for first in range(0, len(table), rows_per_call):
            part = table.iloc[first : first + rows_per_call]
            place = slice(first, first + len(part))
            features = trees_matrix(part, self.specification.numbers, self.vocabulary)
            found["numeric"][place] = numeric.run(["probability"], {"features": features})[0][:, 0]
            feeds = {
                "terms": part[["terms"]].to_numpy(dtype=object),
                "numbers": np.ascontiguousarray(features[:, : len(numbers)]),
            }
            found["text"][place] = text.run(["probability"], feeds)[0][:, 0]
        differences = {name: float(np.abs(values - expected).max()) for name, values in found.items()}
        flips = {
            name: {
                point: int(((values >= threshold) != (expected >= threshold)).sum())
                for point, threshold in self.specification.operating_points.items()
            }
            for name, values in found.items()
        }
        return {
            "rows": len(matrix),
            "torture_rows": len(table) - len(matrix),
            "max_difference": max(differences.values()),
            "flips": {
                point: sum(counts[point] for counts in flips.values()) for point in self.specification.operating_points
            },
            **{name: {"max_difference": differences[name], "flips": flips[name]} for name in found},
        }

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        requests = self._requests({name: table[name].tolist() for name in _REQUEST})
        categories = np.array(self.classifier.categories(requests[qc.SQL_TEXT].tolist()), dtype=object)
        free = np.array([category in self.classifier.safe for category in categories], dtype=bool)
        probability, seconds = np.zeros(len(table)), np.zeros(len(table))
        if not free.all():
            rows = self._featurise(requests[~free])
            matrix = np.hstack([rows.numbers, self.vocabulary.indicators(rows.terms).astype(np.float32)])
            scores = self._scores(matrix)
            probability[~free], seconds[~free] = scores["probability"], scores["cpu_seconds"]
        columns = {
            "probability": probability,
            "is_heavy": ~free & (probability >= self.threshold),
            "cpu_seconds": seconds,
            "category": np.where(free, categories, MODEL),
        }
        return pd.DataFrame(columns, index=table.index)

    def _requests(self, columns: dict[str, list[Any]]) -> pd.DataFrame:
        """The frame that features are computed from, of valid input columns."""
        texts = list(map(executed_text, columns[qc.QUERY], columns[qc.PREPARED_QUERY]))
        created = _times(columns[qc.CREATE_TIME], self.metadata.predictor)
        context = {name: pd.Series(columns[name], dtype=object) for name in _CONTEXT}
        return pd.DataFrame({qc.SQL_TEXT: pd.Series(texts, dtype=object), **context, qc.CREATE_TIME: created})

    def _featurise(self, requests: pd.DataFrame) -> QueryRows:
        return featurise_rows(requests, self.snapshot, self.specification.features)

    def _scores(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return self._combine(matrix, *self._sums(matrix))

    def _sums(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.ascontiguousarray(matrix[:, : len(self.specification.numbers)])
        return booster_margin(self._classifier_trees, matrix), booster_margin(self._regressor_trees, numbers)

    def _scores_of_single_row(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        if self._single is None:
            return self._scores(matrix)
        margin, log_cost = self._single.run(["margin", "log_cost"], {"features": matrix})
        return self._combine(matrix, margin[:, 0], log_cost[:, 0])

    def _combine(self, matrix: np.ndarray, margin: np.ndarray, log_cost: np.ndarray) -> dict[str, np.ndarray]:
        margin, log_cost = margin.astype(np.float64), log_cost.astype(np.float64)
        at = self._unseen_at
        unseen = np.zeros(len(matrix), dtype=bool) if at is None else matrix[:, at] == 0.0
        score, probability = self.blends.scores(margin, log_cost, unseen)
        return {
            "probability": probability,
            "cpu_seconds": np.exp(np.minimum(log_cost, LARGEST_LOG_COST)) * self.specification.cpu_threshold_s,
            "margin": margin,
            "log_cost": log_cost,
            "score": score,
        }

    def _single_row_engine(self) -> Any:
        """The exported graph, if its sums are XGBoost's to the last bit; None if they are not.

        For a single row it takes a tenth of XGBoost's time. Both add up float32 leaves in the order of the trees, but
        nobody promises that of every version: so some rows of all kinds are compared here and now.
        """
        engine = open_graph(self.onnx[0])
        random = np.random.default_rng(0)
        numbers, rows = len(self.specification.numbers), 40
        matrix = (random.random((rows, self._columns)) < 0.2).astype(np.float32)
        matrix[:, :numbers] = np.floor(np.exp(random.uniform(-3, 20, (rows, numbers))))
        matrix[random.random(matrix.shape) < 0.1] = np.nan
        expected = self._sums(matrix)
        for row in range(rows):
            found = engine.run(["margin", "log_cost"], {"features": matrix[[row]]})
            if any(found[place][0, 0] != expected[place][row] for place in (0, 1)):
                return None
        return engine

    def _export(self, trees: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        blends = [self.blends.known] if self.blends.new is None else [self.blends.known, self.blends.new]

        def export(with_text: bool) -> bytes:
            return export_onnx(
                *trees,
                blends=blends,
                unseen_at=self._unseen_at,
                cpu_threshold_s=self.specification.cpu_threshold_s,
                largest_log_cost=LARGEST_LOG_COST,
                numbers=len(self.specification.numbers),
                terms=self.vocabulary.terms,
                with_text=with_text,
            )

        return export(False), export(True)

    def _save(self, directory: Path) -> None:
        specification = self.specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(specification + "\n", encoding="utf-8")
        calibration = self.blends.model_dump_json(indent=1)
        (directory / CALIBRATION_FILE).write_text(calibration + "\n", encoding="utf-8")
        (directory / VOCABULARY_FILE).write_text(self.vocabulary.to_json(), encoding="utf-8")
        for name, content in zip(
            (CLASSIFIER_FILE, REGRESSOR_FILE, ONNX_FILE, TEXT_ONNX_FILE), (*self._trees, *self.onnx), strict=True
        ):
            (directory / name).write_bytes(content)
        (directory / HISTORY_FILE).write_bytes(_history_bytes(self.snapshot))

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        name = SPECIFICATION_FILE
        try:
            specification = QueryCostSpecification.model_validate_json(_text(directory / name))
            name = CALIBRATION_FILE
            blends = Blends.model_validate_json(_text(directory / name))
            name = VOCABULARY_FILE
            vocabulary = QueryVocabulary.from_json(_text(directory / name))
            name = HISTORY_FILE
            snapshot = _read_history((directory / name).read_bytes())
        except ValueError as error:  # of JSON, of UTF-8, of pydantic, of Arrow
            raise UserError(f"'{directory / name}' is damaged: {error}") from None
        if specification.numbers != feature_names(specification.features):
            raise UserError(
                f"'{directory}' was trained with other features than this version computes. Train it again, or use the "
                f"version it was trained with ({metadata.versions.get('augury', 'unknown')})."
            )
        content = {
            file: (directory / file).read_bytes()
            for file in (CLASSIFIER_FILE, REGRESSOR_FILE, ONNX_FILE, TEXT_ONNX_FILE)
        }
        predictor = cls(
            metadata,
            specification,
            (content[CLASSIFIER_FILE], content[REGRESSOR_FILE]),
            vocabulary,
            blends,
            snapshot,
            (content[ONNX_FILE], content[TEXT_ONNX_FILE]),
        )
        check_golden(specification.golden, specification.features, f"this machine, asked by '{directory}',")
        return predictor


_CONTEXT = (qc.USER, qc.SOURCE, qc.CATALOG, qc.SCHEMA, qc.CLIENT_INFO, qc.CLIENT_TAGS, qc.QUERY_TYPE)
_REQUEST = tuple(column.name for column in INPUTS)


def _times(texts: Iterable[str | None], predictor: str) -> np.ndarray:
    """Times in UTC without a zone; NaT where there is none."""
    given = list(texts)
    known: dict[str | None, np.datetime64] = {None: np.datetime64("NaT", "us")}
    for row, text in enumerate(given):
        if text not in known and text is not None:
            try:
                time = datetime.fromisoformat(text.strip())
                time = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
            except (ValueError, OverflowError):
                raise InputError(
                    f"{predictor}: column '{qc.CREATE_TIME}' must be a time in ISO 8601, for example "
                    f"2026-01-31T23:59:59Z, not {text!r:.60} (row {row})."
                ) from None
            known[text] = np.datetime64(time, "us")
    return np.array([known[text] for text in given], dtype="datetime64[us]")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _history_bytes(snapshot: HistorySnapshot) -> bytes:
    import pyarrow
    import pyarrow.parquet

    frame = snapshot.to_frame()
    kinds = {"string": pyarrow.string(), "double": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in SNAPSHOT.items()])
    table = pyarrow.Table.from_pandas(frame[list(SNAPSHOT)], schema=schema, preserve_index=False)
    target = io.BytesIO()
    # Without pandas' description of the frame, which nobody needs
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), target, compression="zstd")
    return target.getvalue()


def _read_history(content: bytes) -> HistorySnapshot:
    import pyarrow.parquet

    return HistorySnapshot.from_frame(pyarrow.parquet.read_table(io.BytesIO(content)).to_pandas())
