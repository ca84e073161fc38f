"""CPU seconds of the features of purchases, beside plain pandas scripts for ten of them, in the same run.

python benchmarks/waste_features.py [--households 1000] [--items 100]: simulated purchases. The peers are what one would
write first: a loop over households with masks (`groupby`), and sorted joins (`merge_asof`). Both give the same numbers
as the features do, which is checked.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from augury.pipelines.collection.waste_presets import WasteCollection
from augury.pipelines.collection.waste_simulation import simulate_purchases
from augury.predictors.waste_features import WasteFeatures, feature_names, featurise

REPEATS = 3
DAY = np.timedelta64(1, "D")
FEATURES = WasteFeatures(exclude=())
COMPARED = [
    "history_purchases",
    "history_resolved",
    "history_waste_rate",
    "history_waste_rate_30d",
    "history_unresolved_share",
    "history_days_since_waste",
    "category_resolved",
    "category_waste_rate",
    "stock_items",
    "stock_servings",
]


def shrunk(wasted: pd.Series, resolved: pd.Series, towards: pd.Series | float) -> pd.Series:
    """A rate that leans towards another one."""
    weight = FEATURES.prior_weight
    return (wasted + weight * towards) / (resolved + weight)


def with_groupby(purchases: pd.DataFrame) -> pd.DataFrame:
    """Ten features by masks, household by household."""

    def of_household(rows: pd.DataFrame) -> pd.DataFrame:
        bought, resolved = rows["purchased_at"].to_numpy(), rows["resolved_at"].to_numpy()
        wasted, quantity = (rows["outcome"] == "wasted").to_numpy(), rows["quantity"].to_numpy()
        category = rows["category"].to_numpy()
        found = []
        for now, kind in zip(bought, category, strict=True):
            past, known = bought < now, resolved < now
            recent, alike, home = known & (resolved >= now - 30 * DAY), known & (category == kind), past & ~known
            wastes = resolved[known & wasted]
            since = (now - wastes.max()) / DAY if len(wastes) else np.nan
            found.append(
                (
                    *(past.sum(), known.sum(), (known & wasted).sum(), recent.sum(), (recent & wasted).sum(), since),
                    *(alike.sum(), (alike & wasted).sum(), home.sum(), quantity[home].sum()),
                )
            )
        names = [
            "past",
            "known",
            "wasted",
            "recent",
            "recent_wasted",
            "since",
            "alike",
            "alike_wasted",
            "home",
            "stock",
        ]
        return pd.DataFrame(found, columns=names, index=rows.index)

    counts = pd.concat([of_household(rows) for _, rows in purchases.groupby("household_id")]).loc[purchases.index]
    return derived(counts)


def with_merge_asof(purchases: pd.DataFrame) -> pd.DataFrame:
    """Ten features by running totals and sorted joins."""
    rows = purchases.assign(row=np.arange(len(purchases)), wasted=(purchases["outcome"] == "wasted").astype(float))
    asked = rows[["row", "household_id", "category", "purchased_at"]].sort_values("purchased_at")

    def looked_up(time: str, by: list[str], shift: int = 0) -> pd.DataFrame:
        events = rows.sort_values(time)
        grouped = events.groupby(by)
        last = events[time].where(events["wasted"] > 0).groupby([events[name] for name in by]).ffill()
        totals = events[[time, *by]].assign(
            n=grouped.cumcount() + 1, w=grouped["wasted"].cumsum(), q=grouped["quantity"].cumsum(), last=last
        )
        moments = asked.assign(at=asked["purchased_at"] - shift * DAY)
        joined = pd.merge_asof(
            moments, totals.rename(columns={time: "at"}), on="at", by=by, allow_exact_matches=False
        ).sort_values("row", ignore_index=True)
        return joined.fillna({"n": 0, "w": 0, "q": 0})

    past, known = looked_up("purchased_at", ["household_id"]), looked_up("resolved_at", ["household_id"])
    before = looked_up("resolved_at", ["household_id"], shift=30)
    alike = looked_up("resolved_at", ["household_id", "category"])
    counts = pd.DataFrame(
        {
            "past": past["n"],
            "known": known["n"],
            "wasted": known["w"],
            "recent": known["n"] - before["n"],
            "recent_wasted": known["w"] - before["w"],
            "since": (past["purchased_at"] - known["last"]).dt.total_seconds() / 86_400,
            "alike": alike["n"],
            "alike_wasted": alike["w"],
            "home": past["n"] - known["n"],
            "stock": past["q"] - known["q"],
        }
    )
    return derived(counts.set_axis(purchases.index))


def derived(counts: pd.DataFrame) -> pd.DataFrame:
    """The ten features of ten counts."""
    rate = shrunk(counts["wasted"], counts["known"], FEATURES.prior_rate)
    columns = [
        counts["past"],
        counts["known"],
        rate,
        shrunk(counts["recent_wasted"], counts["recent"], rate),
        (counts["past"] - counts["known"]) / counts["past"].where(counts["past"] > 0),
        counts["since"],
        counts["alike"],
        shrunk(counts["alike_wasted"], counts["alike"], rate),
        counts["home"],
        counts["stock"],
    ]
    return pd.concat(columns, axis=1).set_axis(COMPARED, axis=1)


def measure(task: Callable[[pd.DataFrame], pd.DataFrame], purchases: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """CPU seconds, the best of some repeats, and the result."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        found = task(purchases)
        best = min(best, time.process_time() - start)
    return best, found


def show(name: str, features: int, seconds: float, rows: int) -> None:
    """Print a line."""
    each = 1e6 * seconds / features / rows
    print(f"{name:20} {features:3} features {seconds:7.2f} s CPU {each:6.2f} us a feature and row")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--households", type=int, default=1000)
    parser.add_argument("--items", type=int, default=100)
    given = parser.parse_args()
    collection = WasteCollection(households=given.households, items_per_household=given.items)
    purchases, _ = simulate_purchases(collection, 42)
    print(f"{len(purchases):,} purchases of {given.households:,} households")
    ours, features = measure(lambda rows: featurise(rows, FEATURES), purchases)
    show("augury featurise", len(feature_names(FEATURES)), ours, len(purchases))
    for name, task in {"pandas groupby": with_groupby, "pandas merge_asof": with_merge_asof}.items():
        cost, found = measure(task, purchases)
        show(name, len(COMPARED), cost, len(purchases))
        for column in COMPARED:
            np.testing.assert_allclose(features[column], found[column], rtol=1e-4, atol=1e-3, err_msg=column)
    print("The peers' features are the same.")


if __name__ == "__main__":
    main()
