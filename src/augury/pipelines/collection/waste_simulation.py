"""Simulate the purchases of households, with the true probability that each is wasted.

All that can be known at a purchase stands in the table, or follows from the rows before it; the one hidden trait, a
household's propensity, does not.
"""

import logging
import time
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.metrics_mapping import json_number
from augury.metrics.oracle import oracle_metrics
from augury.pipelines.collection.waste_hazards import (
    HORIZON,
    Fates,
    Floats,
    Ints,
    draw_fates,
    intercepts,
    median_waste_age,
    waste_probability,
)
from augury.pipelines.collection.waste_households import (
    MINUTES,
    Purchases,
    Scores,
    draw_households,
    draw_purchases,
    score_purchases,
)
from augury.pipelines.collection.waste_oracle import History, observable_probability
from augury.pipelines.collection.waste_presets import WasteCollection
from augury.predictors import purchase_columns as columns

LOGGER = logging.getLogger(__name__)
RATE_TOLERANCE = 0.0005
"""By how much a category's mean true probability may miss its target."""
MOST_ROUNDS = 6
"""Two are enough for thousands of purchases; of a handful, one more in a crowded house may shift a rate for good."""
RECENT_SHARE = 0.2
"""Share of the rows, the last by time, that the report also describes on their own."""
LEAK = "freshness_score"
"""Column of the preset ``leak``: looks like an observation at the purchase, but knows the outcome."""


def simulate_purchases(collection: WasteCollection, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Simulate purchases and what became of them.

    Args:
        collection: The households, the spreads of the model, and which oracles to compute.
        seed: Seed of the simulation.

    Returns:
        - Purchases with the canonical columns, ascending in time, each resolved; ``observable_probability`` is missing
          without the filter oracle. The preset ``leak`` adds ``freshness_score``.
        - Report: waste rates by category beside their targets, metrics of the oracles over all rows and over the last
          fifth by time, errors of the days oracle, and the speed.
    """
    began = time.perf_counter()
    households = draw_households(collection, seed)
    purchases = draw_purchases(households, collection, seed)
    scores = score_purchases(households, purchases, collection)
    uniform = np.random.default_rng([seed, 3]).random(purchases.minute.shape)
    fitted, fates = _resolve(purchases, scores, uniform, collection)
    resolved = _resolved(purchases, fates.age)
    waste = fitted + scores.propensity
    truth = {
        columns.TRUE_PROBABILITY: waste_probability(waste, scores.eaten),
        columns.TRUE_MEDIAN_DAYS: median_waste_age(waste, scores.eaten) * purchases.shelf_life_days,
    }
    simulated = time.perf_counter()
    if collection.filter_oracle:
        truth[columns.OBSERVABLE_PROBABILITY] = observable_probability(
            History(purchases.minute, resolved, purchases.shelf_life_days, fates.wasted, fates.step),
            fitted,
            collection.propensity_slope,
            scores.eaten,
            collection.filter_grid,
        )
    filtered = time.perf_counter()
    frame = _table(purchases, fates, resolved, truth, collection, seed)
    seconds = {"simulation": simulated - began + time.perf_counter() - filtered, "filter_oracle": filtered - simulated}
    report = describe_purchases(frame, collection)
    report |= {
        "seed": seed,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "rows_per_second": round(len(frame) / sum(seconds.values())),
    }
    _log(report)
    return frame, report


def _resolve(
    purchases: Purchases, scores: Scores, uniform: Floats, collection: WasteCollection
) -> tuple[Floats, Fates]:
    """Find the waste scores with their intercepts, but without the propensity, and all fates.

    Whether a house is crowded depends on the fates before, and so on the intercepts, which depend on who has a crowded
    house: they are found in turn, until each category's mean chance of waste is as asked. Drift comes on top.
    """
    rates = np.array([rate for _, rate in collection.rates])
    category = purchases.category
    rows = np.maximum(np.bincount(category.ravel(), minlength=len(rates)), 1)
    crowding = np.zeros(category.shape)
    for _ in range(MOST_ROUNDS):
        added = intercepts(scores.waste + crowding + scores.propensity, scores.eaten, category, rates)[category]
        crowding, fates = _choose_fates(purchases, scores.waste + added, scores, uniform, collection)
        chance = waste_probability(scores.waste + added + crowding + scores.propensity, scores.eaten).ravel()
        missed = np.bincount(category.ravel(), chance - rates[category.ravel()], minlength=len(rates)) / rows
        if np.abs(missed).max() < RATE_TOLERANCE:
            break
    if scores.drift.any():
        crowding, fates = _choose_fates(purchases, scores.waste + added + scores.drift, scores, uniform, collection)
    return scores.waste + added + scores.drift + crowding, fates


def _choose_fates(
    purchases: Purchases, waste: Floats, scores: Scores, uniform: Floats, collection: WasteCollection
) -> tuple[Floats, Fates]:
    """Draw all fates, and with them what crowding adds to the waste scores.

    The same uniform number gives an item one fate in a crowded house and one in any other. Both are drawn beforehand;
    all that remains to be done purchase by purchase is the choice.
    """
    score = waste + scores.propensity
    roomy = draw_fates(score, scores.eaten, uniform)
    matters = scores.crowded != 0
    full = Fates(*(values.copy() for values in vars(roomy).values()))
    drawn = draw_fates(score[matters] + scores.crowded[matters], scores.eaten[matters], uniform[matters])
    for values, others in zip(vars(full).values(), vars(drawn).values(), strict=True):
        values[matters] = others
    # Purchases by households: each purchase of all households is one contiguous row
    minute = np.ascontiguousarray(purchases.minute.T)
    if_roomy, if_full = (np.ascontiguousarray(_resolved(purchases, fates.age).T) for fates in (roomy, full))
    resolved, crowded = np.empty_like(minute), np.empty(minute.shape, dtype=bool)
    for number, now in enumerate(minute):
        at_home = ((minute[:number] < now) & (resolved[:number] >= now)).sum(axis=0)
        crowded[number] = at_home > collection.crowded_above
        resolved[number] = np.where(crowded[number], if_full[number], if_roomy[number])
    chosen = (np.where(crowded.T, *pair) for pair in zip(vars(full).values(), vars(roomy).values(), strict=True))
    return np.where(crowded.T, scores.crowded, 0.0), Fates(*chosen)


def _resolved(purchases: Purchases, age: Floats) -> Ints:
    """Minutes at which items reach an age given in shelf lives; at least one minute after the purchase."""
    return purchases.minute + np.maximum(np.ceil(age * purchases.shelf_life_days * MINUTES), 1).astype(np.int64)


def _table(
    purchases: Purchases,
    fates: Fates,
    resolved: Ints,
    truth: dict[str, Floats],
    collection: WasteCollection,
    seed: int,
) -> pd.DataFrame:
    shape = purchases.minute.shape
    household = np.broadcast_to(np.arange(shape[0])[:, None], shape)
    order = np.lexsort([household.ravel(), purchases.minute.ravel()])
    rows = len(order)
    start = np.datetime64(collection.start_date, "us")
    horizon = purchases.minute + np.ceil(HORIZON * purchases.shelf_life_days * MINUTES)
    # Nothing is censored: the record ends on the second midnight after the last horizon
    end = np.int64(horizon.max() // MINUTES + 2) * MINUTES

    def column(values: Any) -> Any:
        return values.ravel()[order]

    def times(minutes: Any) -> Any:
        return start + minutes * np.timedelta64(60_000_000, "us")

    def names(prefix: str, count: int) -> Any:
        return np.array([f"{prefix}{number:0{len(str(count))}}" for number in range(1, count + 1)], dtype=object)

    frame = pd.DataFrame(
        {
            columns.PURCHASE_ID: names(f"s{seed}-", rows),
            columns.HOUSEHOLD_ID: names("h", shape[0])[column(household)],
            columns.PURCHASED_AT: times(column(purchases.minute)),
            columns.CATEGORY: np.array(collection.categories, dtype=object)[column(purchases.category)],
            columns.HOUSEHOLD_SIZE: column(purchases.size),
            columns.SHELF_LIFE_DAYS: column(purchases.shelf_life_days),
            columns.QUANTITY: column(purchases.quantity),
            columns.PRICE: column(purchases.price),
            columns.DISCOUNT: column(purchases.discount),
            columns.IS_PLANNED: column(purchases.planned),
            columns.IS_BULK: column(purchases.bulk),
            columns.FRIDGE_TEMPERATURE_C: column(purchases.fridge_temperature),
            columns.GUESTS: column(purchases.guests),
            columns.OUTCOME: np.where(column(fates.wasted), columns.WASTED, columns.EATEN).astype(object),
            columns.RESOLVED_AT: times(column(resolved)),
            columns.OBSERVED_UNTIL: times(end),
            columns.ORIGIN: columns.SIMULATED,
            # The last bits of exponentials differ between machines, these digits do not
            **{name: np.round(column(truth[name]), 9) if name in truth else np.nan for name in columns.TRUTH},
        }
    )
    flags_and_counts = frame.select_dtypes(["bool", "int64"]).columns
    frame[flags_and_counts] = frame[flags_and_counts].astype(np.float64)
    if collection.preset == "leak":
        noise = 0.15 * np.random.default_rng([seed, 4]).standard_normal(shape)
        frame[LEAK] = np.round(np.clip(column(1 - 0.4 * fates.age - 0.4 * fates.wasted + noise), 0, 1), 3)
    return frame


def describe_purchases(purchases: pd.DataFrame, collection: WasteCollection) -> dict[str, Any]:
    """Describe simulated purchases and the oracles.

    Args:
        purchases: What :func:`simulate_purchases` returned.
        collection: Its parameters.

    Returns:
        Rates by category, metrics of the oracles (:func:`~augury.metrics.oracle.oracle_metrics`) as ``{oracle: {"all" |
        "recent": metrics}}``, and errors of the true median days of wasted purchases.
    """
    wasted = purchases[columns.OUTCOME].eq(columns.WASTED)
    recent = np.arange(len(purchases)) >= len(purchases) - np.ceil(RECENT_SHARE * len(purchases))
    found = purchases.assign(rate=wasted.astype(float)).groupby(columns.CATEGORY)[["rate", columns.TRUE_PROBABILITY]]
    of_category = found.mean().join(found.size().rename("rows"))
    names = {"full": columns.TRUE_PROBABILITY, "observable": columns.OBSERVABLE_PROBABILITY}
    parts = {"all": np.ones(len(purchases), dtype=bool), "recent": recent}
    kept = purchases[columns.RESOLVED_AT] - purchases[columns.PURCHASED_AT]
    days = kept[wasted].dt.total_seconds() / 86_400
    errors = (days - purchases[columns.TRUE_MEDIAN_DAYS][wasted]).abs()
    return {
        "preset": collection.preset,
        "spreads": dict(vars(collection.spreads)),
        "crowded_above": collection.crowded_above,
        "rows": len(purchases),
        "households": int(purchases[columns.HOUSEHOLD_ID].nunique()),
        "waste_rate": float(wasted.mean()),
        "categories": {
            name: {
                "target": rate,
                "rate": float(of_category["rate"][name]),
                "mean_true_probability": float(of_category[columns.TRUE_PROBABILITY][name]),
                "rows": int(of_category["rows"][name]),
            }
            for name, rate in collection.rates
            if name in of_category.index
        },
        "oracles": {
            oracle: {part: _oracle(purchases.loc[inside, column]) for part, inside in parts.items()}
            for oracle, column in names.items()
            if purchases[column].notna().any()
        },
        "days_oracle": {
            part: {
                "mae": json_number(errors[inside[wasted]].mean()),
                "median_ae": json_number(errors[inside[wasted]].median()),
            }
            for part, inside in parts.items()
        },
    }


def _oracle(probability: pd.Series) -> dict[str, float | None]:
    return {name: json_number(value) for name, value in oracle_metrics(probability.to_numpy()).items()}


def _log(report: dict[str, Any]) -> None:
    LOGGER.info(
        "%s purchases of %s households (preset %s), %.1f %% wasted, %s rows/s.",
        f"{report['rows']:,}",
        f"{report['households']:,}",
        report["preset"],
        100 * report["waste_rate"],
        f"{report['rows_per_second']:,}",
    )
    rates = ", ".join(f"{name} {of['rate']:.3f} ({of['target']:g})" for name, of in report["categories"].items())
    LOGGER.info("Waste rates (targets): %s", rates)
    for oracle, parts in report["oracles"].items():
        for part, metrics in parts.items():
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if value is not None)
            LOGGER.info("Oracle (%s, %s rows): %s", oracle, part, shown)
