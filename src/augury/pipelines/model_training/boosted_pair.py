"""A pair of LightGBM models of one event: will it happen, and when? Calibrated, with an effect of repeated entities.

Everything that is learned about the models themselves (residuals of the households, calibration, thresholds, width of
the intervals) is learned from forward predictions: of rows that are later than all that their model was trained on.
"""

import logging
import math
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics.calibration import calibration_metrics
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training import operating_points
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.days_training import fit_interval, fit_scale
from augury.pipelines.model_training.forward_boosting import (
    BoostingTask,
    ForwardPredictions,
    fit_side_by_side,
    rounds_for_all,
)
from augury.pipelines.model_training.household_evidence import KnownAfter, known_after, with_evidence
from augury.pipelines.model_training.lightgbm_settings import LightGBMSettings
from augury.pipelines.model_training.time_series_folds import SMALLEST_TRAIN_SHARE, expanding_folds
from augury.predictors import DataFacts, Metadata
from augury.predictors import purchase_columns as pc
from augury.predictors.binary_calibration import BinaryCalibration, CalibrationChoice, fit_binary_calibration, parts_of
from augury.predictors.days_to_event import DaysToEvent, EventScale
from augury.predictors.entity_effect import EntityEffect
from augury.predictors.food_waste import (
    EVIDENCE,
    OUTPUTS,
    RESIDUAL,
    WastePredictor,
    WasteSpecification,
    history_columns,
    household_effect,
    input_columns,
)
from augury.predictors.lightgbm_trees import sums_of_leaves
from augury.predictors.waste_features import WasteFeatures, featurise

PREDICTOR = "food_waste"
BINS = 15
"""Of the calibration errors, equally many rows in each."""
EXAMPLES = 3
LEARNED = (pc.PURCHASE_ID, pc.IS_WASTED, pc.DAYS_TO_WASTE)
"""What the fingerprint of the training rows covers beside their features."""
ROWS_AT_ONCE = 20_000
"""Purchases whose features are computed together where few of them are kept."""
NO_CALIBRATION = BinaryCalibration()

logger = logging.getLogger(__name__)


class PairModel(Parameters):
    """How the pair is trained, calibrated and applied."""

    classifier: LightGBMSettings = LightGBMSettings()
    regressor: LightGBMSettings = LightGBMSettings(
        learning_rate=0.1, num_leaves=15, min_data_in_leaf=20, rounds=300, early_stopping_rounds=20
    )
    base: LightGBMSettings = Field(
        default=LightGBMSettings(learning_rate=0.15, rounds=200, early_stopping_rounds=15),
        description="the model whose residuals tell the households apart",
    )
    base_without: tuple[str, ...] = Field(
        default=("history", "category"), description="groups of features that the base model must do without"
    )
    entity_effect: bool = Field(default=True, description="whether the classifier knows the households' effects")
    effect: EntityEffect = EntityEffect()
    undated: KnownAfter = KnownAfter()
    folds: int = Field(default=5, ge=1, description="expanding-window folds by time")
    gap_days: float = Field(
        default=14.0, ge=0, description="days before a fold that its models do not learn from; fates take time"
    )
    min_train_share: float = Field(default=SMALLEST_TRAIN_SHARE, gt=0, lt=1, description="rows before the first fold")
    stopping_share: float = Field(
        default=0.15, gt=0, lt=1, description="share of a fold's training rows, the newest, that stop its fits"
    )
    calibration: CalibrationChoice = Field(
        default="auto", description="beta, sigmoid, spline, isotonic, none, or auto: what fits other households best"
    )
    calibration_share: float = Field(
        default=0.6, gt=0, le=1, description="share of the folds, the newest, that calibrate the classifier"
    )
    coverage: float = Field(default=0.8, gt=0, lt=1, description="of the interval of the days")
    confident: float = Field(default=0.7, gt=0, lt=1, description="threshold of the operating point 'confident'")
    operating_point: Literal["half", "confident", "f1_optimal"] = Field(
        default="f1_optimal", description="the one that predictions use"
    )
    history_days: float | None = Field(
        default=730.0, gt=0, description="past that the predictor keeps, back from the newest purchase; null: all"
    )
    workers: int = Field(default=2, ge=1, description="fits that run side by side; the result does not depend on it")
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")


def train_waste(
    features_matrix: Any,
    primary_purchases: Any,
    report_features: dict[str, Any],
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: PairModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[WastePredictor, pd.DataFrame, dict[str, Any]]:
    """Train ``food_waste``.

    Args:
        features_matrix: One row per labelled purchase with its split, outcome and features; pandas or Spark.
        primary_purchases: All purchases, as history; pandas or Spark.
        report_features: What feature engineering says of the matrix: ``features``, ``groups``, ``parameters``,
            ``code_sha256``.
        report_data: What data engineering says; not needed.
        best_params: What tuning found; empty if there was none.
        model: Parameters.
        seed: Seed of the trees.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor; the forward predictions of the training rows; and a JSON-ready account of the training.

    Raises:
        UserError: No wasted or no eaten training row to learn from; tuned parameters asked for that there are none of.
    """
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    features = WasteFeatures.model_validate(report_features["parameters"])
    names = tuple(report_features["features"])
    matrix, purchases = engines.to_pandas(features_matrix), engines.to_pandas(primary_purchases)
    rows, values = _training_rows(matrix, names)
    _check_classes(rows)
    base_at = _columns_of_base(names, report_features["groups"], model)
    known = known_after(rows, model.undated)
    tasks = {"base": _waste_task("base", rows, values[:, base_at], model.base, model, seed)}
    tasks = tasks if model.entity_effect else {}
    days_task, scale = _days_task(rows, values, model, seed)
    if len(days_task.target):
        tasks["days"] = days_task
    fit = partial(fit_side_by_side, stopping_share=model.stopping_share, workers=model.workers)

    # First the models that need no other, then the classifier, which knows what the first ones left unexplained
    forward, _ = fit(tasks, {})
    refits = {
        name: (task, rounds_for_all(forward[name], task.settings, len(task.target))) for name, task in tasks.items()
    }
    classifier_task = _waste_task("classifier", rows, values, model.classifier, model, seed)
    if model.entity_effect:
        evidence = with_evidence(rows, _said(rows, forward["base"]), known)
        effects = household_effect(rows, evidence, model.effect)
        classifier_task = replace(classifier_task, matrix=np.hstack([values, effects]))
        values = classifier_task.matrix[:, : len(names)]  # a view: one copy is enough
    judged, boosters = fit({"classifier": classifier_task}, refits)
    forward |= judged
    rounds = rounds_for_all(forward["classifier"], model.classifier, len(rows))
    boosters |= fit({}, {"classifier": (classifier_task, rounds)})[1]

    calibration, out_of_fold, calibrated_by = calibrate_forward(
        classifier_task, forward["classifier"], rows[pc.HOUSEHOLD_ID].to_numpy(), model
    )
    points = {
        "half": 0.5,
        "confident": model.confident,
        "f1_optimal": f1_optimal(out_of_fold[calibrated_by], classifier_task.target[calibrated_by]),
    }
    # Binned tables and the classifier's own matrix, which nothing below needs
    for booster in boosters.values():
        booster.free_dataset()
    del classifier_task, tasks, refits
    days = None
    if "days" in forward:
        days = _days_to_event(rows, scale, days_task, forward["days"], model)
    said = _said(rows, forward.get("base"))
    if model.entity_effect:
        late = _late_features(rows, matrix, purchases, names, features)
        sums = sums_of_leaves(boosters["base"], late.to_numpy(dtype=np.float32)[:, base_at])
        said = pd.concat([said, pd.Series(NO_CALIBRATION.of_log_odds(sums), index=late.index)])
    history = _history(with_evidence(purchases, said, known), features, model)
    specification = WasteSpecification(
        features=features,
        names=names,
        effect=model.effect if model.entity_effect else None,
        days=days,
        operating_points=points,
        operating_point=model.operating_point,
        code_digest=report_features.get("code_sha256"),
    )
    inputs = input_columns(features, closed=set(purchases[pc.CATEGORY]) <= set(features.categories))
    metadata = Metadata(
        predictor=PREDICTOR,
        family=WastePredictor.family,
        task="binary classification, and days to the event",
        inputs=inputs,
        outputs=OUTPUTS,
        features=specification.columns,
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(
                pd.concat([rows[list(LEARNED)], pd.DataFrame(values, columns=list(names))], axis=1)
            ),
            rows=len(rows),
            groups=int(rows[pc.HOUSEHOLD_ID].nunique()),
            origin={str(name): int(count) for name, count in rows[pc.ORIGIN].value_counts().items()},
        ),
        seed=seed,
        **provenance,
    )
    predictor = WastePredictor(
        metadata,
        specification,
        (boosters["classifier"].model_to_string(), boosters["days"].model_to_string() if days else None),
        calibration,
        history,
        example=_example(rows, purchases, [column.name for column in inputs]),
    )
    predictions = _forward_table(rows, forward["classifier"], out_of_fold)
    account: dict[str, Any] = {
        "rows": len(rows),
        "wasted": int(rows[pc.IS_WASTED].sum()),
        "households": metadata.data.groups,
        "features": len(names),
        "rounds": {name: int(booster.num_trees()) for name, booster in sorted(boosters.items())},
        "cross_validation": _cross_validation(predictions, forward["classifier"]),
        "calibration": {
            "asked": model.calibration,
            **calibration.model_dump(mode="json"),
            "rows": int(calibrated_by.sum()),
            "first_fold": int(forward["classifier"].fold[calibrated_by].min()) if calibrated_by.any() else None,
        },
        "household_effect": _account_of_effect(rows, forward, history, model),
        "days": _account_of_days(rows, days_task, forward.get("days"), days),
        "operating_points": points,
        "importances": predictor.importances(),
    }
    logger.info(
        "Trained on %d rows; forward ROC-AUC %s, calibration %s.",
        len(rows), account["cross_validation"]["mean"].get("roc_auc"), calibration.method,
    )  # fmt: skip
    return predictor, predictions, account


def calibrate_forward(
    task: BoostingTask, forward: ForwardPredictions, groups: np.ndarray, model: PairModel
) -> tuple[BinaryCalibration, np.ndarray, np.ndarray]:
    """Fit the calibration to forward predictions.

    Args:
        task: The classifier's rows.
        forward: Its forward predictions.
        groups: The rows' households.
        model: With the method and the share of the folds that calibrate.

    Returns:
        The calibration; each row's probability by a calibration that did not see the row's household (NaN where no fold
        judged the row); and which rows the calibration was fitted to.

    Raises:
        RuntimeError: A row would calibrate a model that has learned from it or from later ones.
    """
    raw, actual = NO_CALIBRATION.of_log_odds(forward.sums), task.target > 0
    folds = np.unique(forward.fold[forward.fold > 0])
    used = np.isin(forward.fold, folds[len(folds) - math.ceil(model.calibration_share * len(folds)) :])
    if not (forward.trained_until[used] < task.times[used]).all():
        raise RuntimeError("A calibration must not be fitted to rows that its model has learned from.")
    calibration = fit_binary_calibration(raw[used], actual[used], model.calibration, groups=groups[used])
    parts, calibrated = parts_of(groups), np.full(len(raw), np.nan)
    # Not by fold: what one season teaches of the level is wrong in the next
    for part in np.unique(parts):
        own = (parts == part) & (forward.fold > 0)
        others = fit_binary_calibration(raw[used & ~own], actual[used & ~own], calibration.method)
        calibrated[own] = others.probability(raw[own])
    return calibration, calibrated, used


def f1_optimal(probability: np.ndarray, actual: np.ndarray) -> float:
    """The threshold with the largest F1; 0.5 where there is nothing to find.

    Args:
        probability: Shape (rows,).
        actual: 1 where positive.

    Returns:
        A threshold halfway between two probabilities.
    """
    known = ~np.isnan(probability)
    if not (actual[known] > 0).any():
        return 0.5
    table = operating_points.decision_table(probability[known], actual[known] > 0)
    score = 2 * table["caught"] / (table["routed"] + table["caught"].iloc[-1])
    return float(min(table["threshold"].iloc[int(score.argmax())], 1.0))


def _training_rows(matrix: pd.DataFrame, names: tuple[str, ...]) -> tuple[pd.DataFrame, np.ndarray]:
    """Facts and features of the labelled training rows, in one order whatever that of the matrix."""
    chosen = np.flatnonzero(((matrix[pc.SPLIT] == pc.TRAIN) & matrix[pc.IS_WASTED].notna()).to_numpy())
    facts = matrix.iloc[chosen][[name for name in matrix if name not in set(names)]]
    order = facts.reset_index(drop=True).sort_values([pc.PURCHASED_AT, pc.PURCHASE_ID]).index.to_numpy()
    values = matrix[list(names)].to_numpy(dtype=np.float32)[chosen[order]]
    return facts.iloc[order].reset_index(drop=True), values


def _check_classes(rows: pd.DataFrame) -> None:
    wasted = int(rows[pc.IS_WASTED].sum())
    if not 0 < wasted < len(rows):
        raise UserError(
            f"{PREDICTOR}.features_matrix: {wasted} of {len(rows)} training rows are wasted (column '{pc.IS_WASTED}'); "
            f"a classifier needs both kinds. Check {PREDICTOR}.label and {PREDICTOR}.split."
        )


def _columns_of_base(names: tuple[str, ...], groups: dict[str, list[str]], model: PairModel) -> list[int]:
    """Places of the base model's features; all of them if none would be left."""
    without = {name for group in model.base_without for name in groups.get(group, ())}
    return [place for place, name in enumerate(names) if name not in without] or list(range(len(names)))


def _times(rows: pd.DataFrame) -> np.ndarray:
    return rows[pc.PURCHASED_AT].to_numpy().astype("datetime64[us]")


def _waste_task(
    name: str, rows: pd.DataFrame, values: np.ndarray, settings: LightGBMSettings, model: PairModel, seed: int
) -> BoostingTask:
    times, target = _times(rows), rows[pc.IS_WASTED].to_numpy(dtype=np.float64)
    folds = expanding_folds(times, model.folds, model.gap_days, model.min_train_share)
    return BoostingTask(name, values, target, times, settings, "binary", seed, folds)


def _days_task(
    rows: pd.DataFrame, values: np.ndarray, model: PairModel, seed: int
) -> tuple[BoostingTask, EventScale | None]:
    """Days of the wasted items over their scale; no scale where there are no such items."""
    known = _dated(rows)
    dated = rows[known]
    days = dated[pc.DAYS_TO_WASTE].to_numpy(dtype=np.float64)
    scale = fit_scale(days, dated[pc.SHELF_LIFE_DAYS], dated[pc.CATEGORY]) if len(dated) else None
    target = days / scale.days(dated[pc.SHELF_LIFE_DAYS], dated[pc.CATEGORY]) if scale else days
    times = _times(dated)
    folds = expanding_folds(times, model.folds, model.gap_days, model.min_train_share)
    return BoostingTask("days", values[known], target, times, model.regressor, "regression_l1", seed, folds), scale


def _dated(rows: pd.DataFrame) -> np.ndarray:
    return ((rows[pc.IS_WASTED] == 1) & rows[pc.DAYS_TO_WASTE].notna()).to_numpy()


def _days_to_event(
    rows: pd.DataFrame, scale: EventScale | None, task: BoostingTask, forward: ForwardPredictions, model: PairModel
) -> DaysToEvent | None:
    if scale is None:
        return None
    judged = forward.fold > 0
    dated = rows[_dated(rows)][judged]
    interval = fit_interval(
        task.target[judged], forward.sums[judged], dated[pc.CATEGORY], dated[pc.HOUSEHOLD_ID], model.coverage
    )
    return DaysToEvent(scale=scale, interval=interval)


def _said(rows: pd.DataFrame, forward: ForwardPredictions | None) -> pd.Series:
    """Forward probability by purchase."""
    sums = np.full(len(rows), np.nan) if forward is None else forward.sums
    return pd.Series(NO_CALIBRATION.of_log_odds(sums), index=rows[pc.PURCHASE_ID].to_numpy()).dropna()


def _late_features(
    rows: pd.DataFrame,
    matrix: pd.DataFrame,
    purchases: pd.DataFrame,
    names: tuple[str, ...],
    features: WasteFeatures,
) -> pd.DataFrame:
    """Features, by purchase, of the purchases after the newest training row whose fate is known."""
    purchases = purchases.reset_index(drop=True)
    late = purchases[(purchases[pc.PURCHASED_AT] > rows[pc.PURCHASED_AT].max()) & purchases[pc.IS_WASTED].notna()]
    known = matrix[matrix[pc.PURCHASE_ID].isin(late[pc.PURCHASE_ID])].set_index(pc.PURCHASE_ID)[list(names)]
    rest = late[~late[pc.PURCHASE_ID].isin(known.index)]
    if not len(rest):
        return known
    # A few households at once: all of their purchases are computed, few are kept
    households = rest[pc.HOUSEHOLD_ID].unique()
    whole = purchases[purchases[pc.HOUSEHOLD_ID].isin(households)]
    found = [known]
    for some in np.array_split(households, math.ceil(len(whole) / ROWS_AT_ONCE)):
        part = whole[whole[pc.HOUSEHOLD_ID].isin(some)]
        kept = rest[rest[pc.HOUSEHOLD_ID].isin(some)]
        found.append(featurise(part, features).loc[kept.index, list(names)].set_axis(kept[pc.PURCHASE_ID]))
    return pd.concat(found)


def _history(purchases: pd.DataFrame, features: WasteFeatures, model: PairModel) -> pd.DataFrame:
    """The part of the past that the predictor keeps."""
    kept = purchases[[*history_columns(features), *EVIDENCE]]
    if model.history_days is not None:
        oldest = purchases[pc.PURCHASED_AT].max() - pd.Timedelta(days=model.history_days)
        kept = kept[purchases[pc.PURCHASED_AT] >= oldest]
    return kept


def _example(rows: pd.DataFrame, purchases: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """The newest training rows as input; missing values are None."""
    newest = purchases.set_index(pc.PURCHASE_ID).loc[rows[pc.PURCHASE_ID].tail(EXAMPLES), names]
    newest[pc.PURCHASED_AT] = newest[pc.PURCHASED_AT].map(lambda time: time.isoformat())
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in newest.to_dict(orient="records")
    ]


def _forward_table(rows: pd.DataFrame, forward: ForwardPredictions, out_of_fold: np.ndarray) -> pd.DataFrame:
    judged = forward.fold > 0
    table = rows.loc[judged, [pc.PURCHASE_ID, pc.HOUSEHOLD_ID, pc.DATE]].assign(
        fold=forward.fold[judged],
        trained_until=forward.trained_until[judged],
        is_wasted=rows.loc[judged, pc.IS_WASTED].astype(np.int64),
        probability=out_of_fold[judged],
        raw=NO_CALIBRATION.of_log_odds(forward.sums[judged]),
    )
    return table.reset_index(drop=True)


def _cross_validation(predictions: pd.DataFrame, forward: ForwardPredictions) -> dict[str, Any]:
    """Metrics by fold, of probabilities whose calibration did not see the fold; mean and standard deviation."""
    folds = [
        {
            "fold": int(str(fold)),
            "first": part[pc.DATE].min(),
            "last": part[pc.DATE].max(),
            "trained_until": part["trained_until"].iloc[0].isoformat(),
            "rows": len(part),
            "wasted": int(part[pc.IS_WASTED].sum()),
            "rounds": forward.rounds[int(str(fold)) - 1],
            **scores(part["probability"].to_numpy(), part[pc.IS_WASTED].to_numpy()),
        }
        for fold, part in predictions.groupby("fold")
    ]
    names = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "ece_l2_debiased", "calibration_slope")
    known = {name: [fold[name] for fold in folds if fold[name] is not None] for name in names}
    return {
        "folds": folds,
        "mean": {name: float(np.mean(values)) if values else None for name, values in known.items()},
        "std": {name: float(np.std(values)) if values else None for name, values in known.items()},
    }


def scores(probability: np.ndarray, actual: np.ndarray) -> dict[str, float | None]:
    """Metrics of probabilities; rankings are None where a class is missing."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    positive = actual.astype(bool)
    both = bool(0 < positive.sum() < len(positive))
    return {
        "roc_auc": float(roc_auc_score(positive, probability)) if both else None,
        "pr_auc": float(average_precision_score(positive, probability)) if both else None,
        **calibration_metrics(positive, probability, BINS),
    }


def _account_of_effect(
    rows: pd.DataFrame, forward: dict[str, ForwardPredictions], history: pd.DataFrame, model: PairModel
) -> dict[str, Any] | None:
    """How much the effect is worth: forward metrics of the model without and with it, both before calibration."""
    if not model.entity_effect:
        return None
    actual = rows[pc.IS_WASTED].to_numpy()
    judged = (forward["base"].fold > 0) & (forward["classifier"].fold > 0)
    found = {
        name: scores(NO_CALIBRATION.of_log_odds(forward[name].sums[judged]), actual[judged]) if judged.any() else {}
        for name in ("base", "classifier")
    }
    return {
        **model.effect.model_dump(mode="json"),
        "evidence": int(history[RESIDUAL].notna().sum()),
        "households": int(history.loc[history[RESIDUAL].notna(), pc.HOUSEHOLD_ID].nunique()),
        **{
            f"{metric}_{name}": values.get(metric)
            for name, values in found.items()
            for metric in ("roc_auc", "log_loss")
        },
    }


def _account_of_days(
    rows: pd.DataFrame, task: BoostingTask, forward: ForwardPredictions | None, days: DaysToEvent | None
) -> dict[str, Any]:
    """Forward errors of the days, beside those of the usual share of the scale."""
    dated = rows[_dated(rows)]
    account: dict[str, Any] = {"rows": len(dated)}
    if forward is None or days is None or not (forward.fold > 0).any():
        return account
    judged = forward.fold > 0
    part = dated[judged]
    actual = part[pc.DAYS_TO_WASTE].to_numpy(dtype=np.float64)
    own, category = part[pc.SHELF_LIFE_DAYS], part[pc.CATEGORY]
    median, lower, upper = days.days(forward.sums[judged], own, category)
    usual = float(np.median(task.target)) * days.scale.days(own, category)
    return {
        **account,
        "judged": int(judged.sum()),
        "mae": float(np.abs(actual - median).mean()),
        "median_ae": float(np.median(np.abs(actual - median))),
        "mae_of_usual_share": float(np.abs(actual - usual).mean()),
        "coverage": float(((actual >= lower) & (actual <= upper)).mean()),
        "rounds": list(forward.rounds),
    }
