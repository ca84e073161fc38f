"""Gradient-boosted trees for a rare, expensive class: calibrated probabilities and two operating points."""

from typing import Any, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training import operating_points
from augury.pipelines.model_training.distributed_boosting import DistributedRows
from augury.pipelines.model_training.training_rows import (
    FACTS,
    CollectedRows,
    CostUnit,
    RowSettings,
    Selection,
    Target,
    TrainingRows,
    TreeSettings,
    template_part,
)
from augury.predictors import DataFacts, Metadata
from augury.predictors.probability_calibration import Method, ScoreBlend, fit_calibration
from augury.predictors.query_columns import DATE
from augury.predictors.query_cost import (
    EXAMPLE,
    INPUTS,
    OUTPUTS,
    Blends,
    QueryCostPredictor,
    QueryCostSpecification,
)
from augury.predictors.query_cost_trees import TEMPLATE_SEEN, open_booster
from augury.predictors.query_features import QueryFeatures
from augury.predictors.query_history import SNAPSHOT, newest_snapshot
from augury.predictors.query_vocabulary import QueryVocabulary, VocabularyBounds

PREDICTOR = "query_cost"
BINS = 10
"""Of the expected calibration error, equally many rows in each."""


class BoostedClassifierModel(Parameters):
    """How the classifier and the regression beside it are trained, calibrated and applied."""

    vocabulary: VocabularyBounds = VocabularyBounds()
    classifier: TreeSettings = TreeSettings()
    regressor: TreeSettings = TreeSettings(min_child_weight=10.0)
    positive_weight: float = Field(
        default=1.0, gt=0, description="factor on the weight of heavy rows when the classifier is fitted"
    )
    smallest_cost: float = Field(
        default=1e-3, gt=0, le=1, description="costs below this share of the threshold count as this in the regression"
    )
    new_template_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="weight of a copy of every training row that is as if its template had never been seen; 0: none",
    )
    new_table_share: float = Field(
        default=0.5, ge=0, le=1, description="share of these copies in which some tables have never been seen either"
    )
    template_parts: int = Field(
        default=3,
        ge=0,
        description="parts of the templates, each predicted by trees that saw only the others, which calibrate the "
        "probabilities of new templates; 0: they are calibrated like all others",
    )
    fewest_heavy_templates: int = Field(
        default=20, ge=2, description="heavy templates below which new templates are calibrated like all others"
    )
    folds: int = Field(default=5, ge=0, description="forward-chaining folds by day; 0: no cross-validation")
    stopping_share: float = Field(
        default=0.15, gt=0, lt=1, description="share of a fold's training days, the last ones, that stop its training"
    )
    calibration: Method = Field(default="platt", description="platt, isotonic_linear (with bends) or none")
    blend_weights: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75),
        min_length=1,
        description="weights of the regression's score that are tried on the validation rows",
    )
    smallest_gain: float = Field(
        default=0.01, ge=0, description="relative gain in log loss below which the regression gets no weight"
    )
    cost_ratio: float = Field(default=100.0, gt=0, description="cost of a missed heavy query, in routed light ones")
    recall: float = Field(default=0.98, gt=0, lt=1, description="recall of the second operating point")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of that recall's lower bound")
    operating_point: Literal["cost_optimal", "recall_98"] = Field(
        default="cost_optimal", description="the one that predictions use"
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="of XGBoost in one process; the result does not depend on it. More pay off on idle cores only",
    )
    row_limit: int = Field(
        default=200_000, ge=0, description="training rows above which a Spark frame is trained on where it is"
    )
    workers: int = Field(default=2, ge=1, description="Spark tasks of a distributed training")
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")

    @model_validator(mode="after")
    def _weights_are_shares(self) -> Self:
        if any(not 0 <= weight <= 1 for weight in self.blend_weights):
            raise ValueError("blend_weights must be between 0 and 1")
        if self.folds == 1 or self.template_parts == 1:
            raise ValueError("folds and template_parts must be 0 or at least 2")
        return self


def train_query_cost(
    features_matrix: Any,
    features_history: Any,
    report_features: dict[str, Any],
    report_zero_cost: dict[str, Any],
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: BoostedClassifierModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[QueryCostPredictor, dict[str, Any]]:
    """Train ``query_cost``.

    Args:
        features_matrix: One row per query with its split, weight, costs, terms and features; pandas or Spark.
        features_history: Snapshots of the history, the newest one complete; pandas or Spark.
        report_features: What feature engineering says of the matrix: ``features``, ``parameters``, ``code_sha256``
            and ``golden``.
        report_zero_cost: Which zero-cost categories are ``safe``.
        report_data: What labelling says: ``thresholds``.
        best_params: What tuning found; empty if there was none.
        model: Parameters.
        seed: Seed of the trees.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor, and a JSON-ready account of the training.

    Raises:
        UserError: Too few days, or no heavy or no light row to learn from; tuned parameters asked for that there are
            none of.
    """
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    features = QueryFeatures.model_validate(report_features["parameters"])
    settings = row_settings(report_features, report_data, model)
    numbers, unit, thresholds = settings.numbers, settings.unit, report_data["thresholds"]
    rows = training_rows(features_matrix, settings, model)
    facts = rows.facts()
    _check_rows(facts)
    vocabulary = rows.fit_vocabulary(model.vocabulary)
    folds = [_fold(rows, *selections, model, seed) for selections in fold_selections(rows.dates(), model)]
    train, validation = Selection("train"), Selection("validation")
    trees: dict[Target, bytes] = {
        "classifier": rows.fit("classifier", model.classifier, train, validation, seed),
        "regressor": rows.fit("regressor", model.regressor, train, validation, seed),
    }
    held = rows.score(trees, validation)
    _check_validation(held)
    known, known_account = fit_blend(held, _halves_by_date(held), model)
    new, new_account = None, None
    if model.template_parts and TEMPLATE_SEEN in numbers and facts["heavy_groups"] >= model.fewest_heavy_templates:
        new, new_account = _fit_new_templates(rows, trees, model, seed)
    blends = Blends(known=known, new=new)
    margin, log_cost, unseen = (held[name].to_numpy() for name in ("classifier", "regressor", "unseen"))
    _, probability = blends.scores(margin, log_cost, unseen)
    heavy = held["is_heavy"].to_numpy(dtype=bool)
    points = {
        "cost_optimal": operating_points.cost_optimal(probability, heavy, model.cost_ratio),
        "recall_98": operating_points.smallest_share(probability, heavy, model.recall, model.confidence),
    }
    specification = QueryCostSpecification(
        features=features,
        numbers=numbers,
        safe=tuple(report_zero_cost["safe"]),
        cpu_threshold_s=unit.cpu_threshold_s,
        memory_threshold_gb=unit.memory_threshold_gb,
        resource_errors=tuple(thresholds.get("resource_errors", ())),
        operating_points={name: point["threshold"] for name, point in points.items()},
        operating_point=model.operating_point,
        code_digest=report_features["code_sha256"],
        golden=report_features["golden"],
    )
    metadata = Metadata(
        predictor=PREDICTOR,
        family=QueryCostPredictor.family,
        task="binary classification with unequal costs",
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=(*numbers, *(f"term:{term}" for term in vocabulary.terms)),
        parameters=model.model_dump(mode="json"),
        data=DataFacts(**{name: facts[name] for name in ("fingerprint", "rows", "groups", "origin")}),
        seed=seed,
        **provenance,
    )
    snapshot = newest_snapshot(_newest(features_history))
    both = trees["classifier"], trees["regressor"]
    predictor = QueryCostPredictor(metadata, specification, both, vocabulary, blends, snapshot, example=[*EXAMPLE])
    account = {
        **_account(facts, vocabulary, trees, predictor),
        "cross_validation": _summary(folds),
        "known_templates": known_account,
        "new_templates": new_account,
        "validation": _scores(probability, heavy, np.ones(len(held)), model.cost_ratio),
        "operating_points": points,
    }
    return predictor, account


def row_settings(
    report_features: dict[str, Any], report_data: dict[str, Any], model: BoostedClassifierModel
) -> RowSettings:
    """Say what becomes of the rows.

    Args:
        report_features: What feature engineering says of the matrix: ``features``.
        report_data: What labelling says: ``thresholds``.
        model: Parameters.

    Returns:
        The settings.
    """
    thresholds = report_data["thresholds"]
    unit = CostUnit(
        cpu_threshold_s=thresholds["cpu_seconds"],
        memory_threshold_gb=thresholds["memory_gb"],
        smallest=model.smallest_cost,
    )
    numbers = tuple(report_features["features"])
    return RowSettings(numbers, unit, model.positive_weight, model.new_template_share, model.new_table_share)


def training_rows(features_matrix: Any, settings: RowSettings, model: BoostedClassifierModel) -> TrainingRows:
    """Collect the rows, or leave them on Spark where there are too many.

    Args:
        features_matrix: pandas or Spark.
        settings: What becomes of the rows.
        model: With the row limit.

    Returns:
        The rows.
    """
    frame = nw.from_native(features_matrix).filter(nw.col("split").is_in(["train", "validation"]))
    if engines.is_spark(features_matrix):
        train = engines.to_pandas(frame.filter(nw.col("split") == "train").select(rows=nw.len()).to_native())
        if int(train["rows"].iloc[0]) > model.row_limit:
            return DistributedRows(frame.to_native(), settings, model.workers)
    table = engines.to_pandas(frame.select(*FACTS, "terms", *settings.numbers).to_native())
    return CollectedRows(table, settings, model.threads)


def fold_selections(dates: list[str], model: BoostedClassifierModel) -> list[tuple[Selection, Selection, Selection]]:
    """Divide the training days for forward-chaining cross-validation.

    Args:
        dates: Distinct training days, in order.
        model: With the number of folds and the share of days that stop a training.

    Returns:
        Per fold: the days to fit on, the days right after them that stop the fit, and the next block of days, which is
        predicted. A short log gets fewer folds than asked for, or none.
    """
    # The first block must leave a day to fit on and a day to stop on
    folds = min(model.folds, len(dates) // 2 - 1)
    if folds < 2:
        return []
    blocks = np.array_split(np.array(dates, dtype=object), folds + 1)
    selections = []
    for fold in range(1, folds + 1):
        past = [str(date) for block in blocks[:fold] for date in block]
        stopping = min(max(1, round(model.stopping_share * len(past))), len(past) - 1)
        selections.append(
            (
                Selection("train", past[0], past[-stopping - 1]),
                Selection("train", past[-stopping], past[-1]),
                Selection("train", str(blocks[fold][0]), str(blocks[fold][-1])),
            )
        )
    return selections


def fit_blend(held: pd.DataFrame, half: np.ndarray, model: BoostedClassifierModel) -> tuple[ScoreBlend, dict[str, Any]]:
    """Choose the weight of the regression's score, and calibrate.

    The weights are compared by the log loss of rows that had no part in the calibration: one half against the other,
    and the other way round.

    Args:
        held: Rows that the trees did not see: ``is_heavy``, ``weight``, ``classifier`` (margin), ``regressor`` (log
            cost).
        half: Whether each row is of the first half; all alike: there are no halves.
        model: With the weights to try and the method of calibration.

    Returns:
        The blend, and an account of it with the log loss of every weight.
    """
    margin, log_cost = (held[name].to_numpy(dtype=np.float64) for name in ("classifier", "regressor"))
    heavy = held["is_heavy"].to_numpy(dtype=bool)
    weight = held["weight"].to_numpy(dtype=np.float64)
    line = fit_calibration(log_cost, heavy, weight, "platt")
    intercept, slope = line.intercepts[0], line.slopes[0]
    halves = [(half, ~half), (~half, half)] if 0 < half.sum() < len(half) else [(half | True, half | True)]
    losses: dict[float, float] = {}
    for share in sorted(model.blend_weights):
        score = margin * (1 - share) + (intercept + slope * log_cost) * share
        probability = np.empty(len(score))
        for fitted, judged in halves:
            calibration = fit_calibration(score[fitted], heavy[fitted], weight[fitted], "platt")
            probability[judged] = calibration.probability(score[judged])
        losses[share] = log_loss(probability, heavy, weight)
    first = min(losses)
    best = min(losses, key=lambda share: (losses[share], share))
    chosen = best if losses[best] < losses[first] * (1 - model.smallest_gain) else first
    score = margin * (1 - chosen) + (intercept + slope * log_cost) * chosen
    calibration = fit_calibration(score, heavy, weight, model.calibration)
    blend = ScoreBlend(weight=chosen, intercept=intercept, slope=slope, calibration=calibration)
    account = {
        "regression_weight": chosen,
        "log_losses": {f"{share:g}": loss for share, loss in losses.items()},
        "calibration": calibration.model_dump(mode="json"),
        **_scores(calibration.probability(score), heavy, weight, model.cost_ratio),
    }
    return blend, account


def _halves_by_date(held: pd.DataFrame) -> np.ndarray:
    """Every other day."""
    dates = held["date"].to_numpy()
    return np.isin(dates, np.unique(dates)[1::2])


def _fit_new_templates(
    rows: TrainingRows, trees: dict[Target, bytes], model: BoostedClassifierModel, seed: int
) -> tuple[ScoreBlend, dict[str, Any]]:
    """Blend and calibrate queries of templates that were never seen.

    Too few of them are in the validation rows. So the training rows of a part of the templates are predicted as if
    their templates were new, by trees that were fitted to all other templates. Every template counts the same: a new
    one is drawn from the templates, not from the queries, most of which are of a few templates.
    """
    pieces = []
    for part in range(model.template_parts):
        others = Selection("train", part=part, parts=model.template_parts, others=True)
        fitted: dict[Target, bytes] = {}
        for target, booster in trees.items():
            rounds = open_booster(booster).num_boosted_rounds()
            own = (model.classifier if target == "classifier" else model.regressor).model_copy(
                update={"rounds": rounds}
            )
            fitted[target] = rows.fit(target, own, others, None, seed)
        inside = Selection("train", part=part, parts=model.template_parts)
        pieces.append(rows.score(fitted, inside, as_new_templates=True))
    held = pd.concat(pieces, ignore_index=True)
    held["weight"] /= held.groupby("template")["weight"].transform("sum")
    half = np.array([template_part(name[8:], 2) == 0 for name in held["template"]], dtype=bool)
    blend, account = fit_blend(held, half, model)
    return blend, {"templates": int(held["template"].nunique()), **account}


def log_loss(probability: np.ndarray, heavy: np.ndarray, weight: np.ndarray) -> float:
    """Weighted mean of the negative log likelihood."""
    chance = np.clip(np.where(heavy, probability, 1 - probability), 1e-15, 1)
    return float(-np.sum(weight * np.log(chance)) / weight.sum())


def calibration_error(probability: np.ndarray, heavy: np.ndarray, weight: np.ndarray) -> float:
    """Expected calibration error over bins of equal weight.

    Args:
        probability: Shape (rows,).
        heavy: Whether each row is heavy.
        weight: How many rows each row stands for.

    Returns:
        Mean of the absolute difference between mean probability and heavy share, weighted by the bins.
    """
    order = np.argsort(probability, kind="stable")
    position = np.cumsum(weight[order]) - weight[order] / 2
    bins = np.minimum((position / weight.sum() * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights=weight[order] * (probability[order] - heavy[order]), minlength=BINS)
    return float(np.abs(gap).sum() / weight.sum())


def _check_rows(facts: dict[str, Any]) -> None:
    if not 0 < facts["heavy"] < facts["rows"]:
        raise UserError(
            f"{PREDICTOR}.features_matrix: {facts['heavy']} of {facts['rows']} training rows are heavy; a classifier "
            f"needs both kinds. Check {PREDICTOR}.label and {PREDICTOR}.split."
        )


def _check_validation(held: pd.DataFrame) -> None:
    heavies = int(held["is_heavy"].sum())
    if not 0 < heavies < len(held):
        raise UserError(
            f"{PREDICTOR}.features_matrix: {heavies} of {len(held)} validation rows are heavy; thresholds need both "
            f"kinds. Check {PREDICTOR}.split."
        )


def _fold(
    rows: TrainingRows,
    train: Selection,
    stop: Selection,
    judged: Selection,
    model: BoostedClassifierModel,
    seed: int,
) -> dict[str, Any]:
    trees: dict[Target, bytes] = {"classifier": rows.fit("classifier", model.classifier, train, stop, seed)}
    past, future = rows.score(trees, stop), rows.score(trees, judged)
    columns = ("classifier", "is_heavy", "weight")
    score, heavy, weight = (past[name].to_numpy() for name in columns)
    calibration = fit_calibration(score, heavy, weight, "platt" if model.calibration == "none" else model.calibration)
    score, heavy, weight = (future[name].to_numpy() for name in columns)
    found = _scores(calibration.probability(score), heavy, weight, model.cost_ratio)
    return {"train": [train.first, train.last], "judged": [judged.first, judged.last], "rows": len(future), **found}


def _scores(probability: np.ndarray, heavy: np.ndarray, weight: np.ndarray, cost_ratio: float) -> dict[str, Any]:
    """Metrics of probabilities; None where a class is missing. The cost is that of the Bayes threshold."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    heavy = heavy.astype(bool)
    both = 0 < heavy.sum() < len(heavy)
    threshold = operating_points.bayes_threshold(cost_ratio)
    cost = operating_points.expected_cost(probability, heavy, threshold, cost_ratio, weight)
    return {
        "heavy": int(heavy.sum()),
        "pr_auc": float(average_precision_score(heavy, probability, sample_weight=weight)) if both else None,
        "roc_auc": float(roc_auc_score(heavy, probability, sample_weight=weight)) if both else None,
        "normalised_expected_cost": cost if both else None,
        "calibration_error": calibration_error(probability, heavy, weight),
        "log_loss": log_loss(probability, heavy, weight),
    }


def _summary(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Folds, and mean and standard deviation over those that have both classes."""
    names = ("pr_auc", "roc_auc", "normalised_expected_cost")
    judged = [fold for fold in folds if fold["roc_auc"] is not None]
    return {
        "folds": folds,
        "mean": {name: float(np.mean([fold[name] for fold in judged])) for name in names} if judged else None,
        "std": {name: float(np.std([fold[name] for fold in judged])) for name in names} if judged else None,
    }


def _newest(features_history: Any) -> pd.DataFrame:
    """The last snapshot; only this one is collected."""
    frame = nw.from_native(features_history)
    last = engines.to_pandas(frame.select(nw.col(DATE).max()).to_native())[DATE].iloc[0]
    newest = frame.filter(nw.col(DATE) == str(last)).select(*SNAPSHOT)
    return engines.to_pandas(newest.to_native())


def _account(
    facts: dict[str, Any],
    vocabulary: QueryVocabulary,
    trees: dict[Target, bytes],
    predictor: QueryCostPredictor,
) -> dict[str, Any]:
    total, squares = facts["weight_sums"]
    return {
        "rows": facts["rows"],
        "heavy": facts["heavy"],
        "templates": facts["groups"],
        "heavy_templates": facts["heavy_groups"],
        "effective_rows": total**2 / squares,
        "features": {"numeric": len(predictor.specification.numbers), "terms": len(vocabulary)},
        "rounds": {target: open_booster(booster).num_boosted_rounds() for target, booster in trees.items()},
        "importances": dict(list(predictor.importances().items())[:40]),
    }
