"""What ``query_cost`` has to beat: constant answers, a rule, a cache, and two published recipes."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.parameters import Parameters
from augury.pipelines.model_training import operating_points
from augury.predictors.query_columns import DATE, IS_HEAVY, QUERY_ID, SPLIT, SQL_TEXT, TRAIN, VALIDATION

BASELINES = ("all_heavy", "all_small", "rule", "fingerprint_cache", "text_only", "original_recipe")

AVAILABLE_DATE = "available_date"
TEMPLATE = "template"


class TextBaseline(Parameters):
    """TF-IDF of the lower-case text and XGBoost, after Twitter's query predictor (arXiv 2204.05529)."""

    max_terms: int = Field(default=250, ge=1, description="most frequent words kept; the published code has 100")
    min_share: float = Field(default=0.005, ge=0, lt=1, description="smallest share of the texts that hold a word")
    rounds: int = Field(default=200, ge=1)
    max_depth: int = Field(default=6, ge=1)


class OriginalRecipe(Parameters):
    """The recipe that this project replaces: the same kinds of features, no weights, no calibration."""

    max_terms: int = Field(default=250, ge=1, description="terms of its TF-IDF")
    rounds: int = Field(default=200, ge=1)
    max_depth: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    scale_pos_weight: float = Field(default=5.0, gt=0, description="on top of the sampled ratio")
    threshold: float = Field(default=0.2, gt=0, lt=1)


class QueryBaselines(Parameters):
    """Rules and recipes to compare with."""

    rule_length: int = Field(default=2000, ge=0, description="texts longer than this are heavy by the rule")
    rule_joins: int = Field(default=3, ge=0, description="and so are texts with more joins than this")
    cost_ratio: float = Field(default=100.0, gt=0, description="for the thresholds that a baseline does not have")
    text_only: TextBaseline = TextBaseline()
    original_recipe: OriginalRecipe = OriginalRecipe()
    threads: int = Field(default=1, ge=1, description="of XGBoost; the result does not depend on it")


def predict_baselines(
    features_matrix: Any,
    features_keys: Any,
    primary_sampled: Any,
    report_features: dict[str, Any],
    baselines: QueryBaselines,
    seed: int,
) -> pd.DataFrame:
    """Fit the baselines on the training rows and predict all others.

    Args:
        features_matrix: The feature matrix; pandas or Spark, collected here.
        features_keys: Template, outcome and day of availability of every query of the log.
        primary_sampled: The rows of the matrix with their text.
        report_features: Names of the features by group.
        baselines: Parameters.
        seed: Seed of the recipes.

    Returns:
        ``query_id``, and of each baseline ``baseline_<name>`` (score; larger means heavy), ``decision_<name>`` (0 or 1)
        and ``threshold_<name>`` (the score from which on it decides for heavy).
    """
    groups = report_features["groups"]
    numbers = [*groups["base_v1"], *groups["history"]]
    frame = nw.from_native(features_matrix).select(
        QUERY_ID, DATE, SPLIT, IS_HEAVY, TEMPLATE, "terms", *numbers
    )  # fmt: skip
    table = engines.to_pandas(frame.to_native()).sort_values(QUERY_ID, ignore_index=True)
    texts = engines.to_pandas(nw.from_native(primary_sampled).select(QUERY_ID, SQL_TEXT).to_native())
    table[SQL_TEXT] = table[QUERY_ID].map(texts.set_index(QUERY_ID)[SQL_TEXT])
    train = (table[SPLIT] == TRAIN).to_numpy()
    validation = (table[SPLIT] == VALIDATION).to_numpy()
    heavy = table[IS_HEAVY].to_numpy(dtype=bool)

    def cheapest(score: np.ndarray) -> float:
        return float(
            operating_points.cost_optimal(score[validation], heavy[validation], baselines.cost_ratio)["threshold"]
        )

    cache, ever_heavy = cached_outcomes(table[[TEMPLATE, DATE]], known_outcomes(features_keys))
    text_only = _text_only(table, train, heavy, baselines, seed)
    original = _original_recipe(table, numbers, train, heavy, baselines, seed)
    # Above 1 is what is heavy by one of both limits, and more so the further it is above
    rule = np.maximum(
        table["query_length"].to_numpy(dtype=np.float64) / max(baselines.rule_length, 1),
        table["join_count"].to_numpy(dtype=np.float64) / max(baselines.rule_joins, 1),
    )
    by_rule = (table["query_length"] > baselines.rule_length) | (table["join_count"] > baselines.rule_joins)
    size = len(table)
    found: dict[str, tuple[np.ndarray, np.ndarray, float]] = {
        "all_heavy": (np.ones(size), np.ones(size), 1.0),
        "all_small": (np.zeros(size), np.zeros(size), 1.0),
        "rule": (rule, by_rule.to_numpy(), 1.0),
        "fingerprint_cache": (cache, ever_heavy, float("nan")),
    }
    threshold = cheapest(text_only)
    found["text_only"] = (text_only, text_only >= threshold, threshold)
    threshold = baselines.original_recipe.threshold
    found["original_recipe"] = (original, original >= threshold, threshold)
    columns: dict[str, Any] = {QUERY_ID: table[QUERY_ID]}
    for name in BASELINES:
        score, decision, limit = found[name]
        columns |= {
            f"baseline_{name}": score.astype(np.float64),
            f"decision_{name}": decision.astype(np.int64),
            f"threshold_{name}": limit,
        }
    return pd.DataFrame(columns)[~train].reset_index(drop=True)


def known_outcomes(features_keys: Any) -> pd.DataFrame:
    """Count the outcomes of every template by the day on which they became known.

    Args:
        features_keys: ``template``, ``available_date`` and ``is_heavy`` of every query of the log, any engine.

    Returns:
        ``template``, ``available_date``, ``queries`` and ``heavy``, sorted.
    """
    counts = (
        nw.from_native(features_keys)
        .filter(~nw.col(AVAILABLE_DATE).is_null() & ~nw.col(TEMPLATE).is_null())
        .select(TEMPLATE, AVAILABLE_DATE, heavy=nw.col(IS_HEAVY).cast(nw.Int64))
        .group_by(TEMPLATE, AVAILABLE_DATE)
        .agg(queries=nw.len(), heavy=nw.col("heavy").sum())
    )
    table = engines.to_pandas(counts.to_native())
    table[AVAILABLE_DATE] = table[AVAILABLE_DATE].astype(str)
    return table.sort_values([AVAILABLE_DATE, TEMPLATE], ignore_index=True)


def cached_outcomes(asked: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What a cache of templates says: the share of heavy runs before the day, and whether there was any.

    Args:
        asked: ``template`` and ``date`` of each query.
        outcomes: What :func:`known_outcomes` returned.

    Returns:
        Heavy share of the template's earlier runs, with one more run at the share of all templates, which is also what
        a new template gets; and whether the template was ever heavy.
    """
    known = outcomes.assign(day=pd.to_datetime(outcomes[AVAILABLE_DATE]))
    running = known.groupby(TEMPLATE)[["queries", "heavy"]].cumsum()
    known[["queries", "heavy"]] = running
    of_all = outcomes.assign(day=known["day"]).groupby("day")[["queries", "heavy"]].sum().cumsum()
    rows = asked.assign(day=pd.to_datetime(asked[DATE].astype(str)), place=np.arange(len(asked))).sort_values(
        ["day", "place"]
    )
    # Strictly earlier: what became known on the same day may have happened after the query
    found = pd.merge_asof(
        rows, known[[TEMPLATE, "day", "queries", "heavy"]], on="day", by=TEMPLATE, allow_exact_matches=False
    )
    total = pd.merge_asof(
        rows[["day"]],
        of_all.rename(columns={"queries": "all_queries", "heavy": "all_heavy"}).reset_index(),
        on="day",
        allow_exact_matches=False,
    )
    share = (total["all_heavy"] / total["all_queries"]).fillna(0.0).to_numpy()
    queries, heavy = (found[name].fillna(0).to_numpy(dtype=np.float64) for name in ("queries", "heavy"))
    order = found["place"].to_numpy()
    score, ever = np.empty(len(asked)), np.empty(len(asked), dtype=bool)
    score[order] = (heavy + share) / (queries + 1)
    ever[order] = heavy > 0
    return score, ever


def _text_only(
    table: pd.DataFrame, train: np.ndarray, heavy: np.ndarray, baselines: QueryBaselines, seed: int
) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    recipe = baselines.text_only
    vectorizer = TfidfVectorizer(lowercase=True, min_df=recipe.min_share, max_features=recipe.max_terms)
    matrix = _tfidf(vectorizer, table[SQL_TEXT].fillna("").tolist(), train)
    settings = {"n_estimators": recipe.rounds, "max_depth": recipe.max_depth}
    return _classify(matrix, train, heavy, settings, baselines.threads, seed)


def _original_recipe(
    table: pd.DataFrame,
    numbers: list[str],
    train: np.ndarray,
    heavy: np.ndarray,
    baselines: QueryBaselines,
    seed: int,
) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    recipe = baselines.original_recipe
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=r"\S+", max_features=recipe.max_terms)
    terms = _tfidf(vectorizer, table["terms"].fillna("").tolist(), train)
    # It knows no missing values
    matrix = np.hstack([np.nan_to_num(table[numbers].to_numpy(dtype=np.float32)), terms])
    settings = {
        "n_estimators": recipe.rounds,
        "max_depth": recipe.max_depth,
        "learning_rate": recipe.learning_rate,
        "scale_pos_weight": recipe.scale_pos_weight,
    }
    return _classify(matrix, train, heavy, settings, baselines.threads, seed)


def _tfidf(vectorizer: Any, texts: list[str], train: np.ndarray) -> np.ndarray:
    """Fit on the training rows, transform every text once; dense float32."""
    vectorizer.fit([text for text, fitted in zip(texts, train, strict=True) if fitted])
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    known = vectorizer.transform(list(places)).toarray().astype(np.float32)
    return np.asarray(known[[places[text] for text in texts]])


def _classify(
    matrix: np.ndarray, train: np.ndarray, heavy: np.ndarray, settings: dict[str, Any], threads: int, seed: int
) -> np.ndarray:
    import xgboost

    model = xgboost.XGBClassifier(**settings, tree_method="hist", random_state=seed, n_jobs=threads)
    model.fit(matrix[train], heavy[train])
    return np.asarray(model.predict_proba(matrix)[:, 1], dtype=np.float64)
