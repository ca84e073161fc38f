"""Simulated purchases: their rates, their truth, what they show and what they hide, and the presets."""

import datetime
import json
import logging

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import log_loss, roc_auc_score

from augury.metrics.oracle import oracle_metrics
from augury.pipelines.collection.waste_hazards import HORIZON, intercepts, waste_probability
from augury.pipelines.collection.waste_households import draw_households, draw_purchases, score_purchases
from augury.pipelines.collection.waste_presets import PROFILES, WasteCollection
from augury.pipelines.collection.waste_simulation import describe_purchases, simulate_purchases
from augury.predictors.purchase_columns import CATEGORIES, COLUMNS
from augury.schemas.purchases import Purchases

GATE = 0.85


def simulate(seed=1, **changes):
    return simulate_purchases(WasteCollection(**({"households": 150, "filter_oracle": False} | changes)), seed)


@pytest.fixture(scope="module")
def simulated():
    return simulate(households=400, filter_oracle=True)


@pytest.fixture(scope="module")
def purchases(simulated):
    return simulated[0]


@pytest.fixture(scope="module")
def report(simulated):
    return simulated[1]


@pytest.fixture(scope="module")
def wasted(purchases):
    return purchases["outcome"].eq("wasted").to_numpy()


def test_the_table_is_what_the_later_stages_read(purchases):
    assert list(purchases.columns) == list(COLUMNS)
    assert set(PROFILES) == set(CATEGORIES)
    Purchases.validate(purchases)
    assert len(purchases) == 40_000
    assert purchases.groupby("household_id").size().eq(100).all()
    assert purchases["purchase_id"].is_unique
    assert purchases["purchased_at"].is_monotonic_increasing
    assert purchases["purchased_at"].between("2018-01-01", "2020-01-01", inclusive="left").all()
    assert purchases["origin"].eq("simulated").all()
    assert not purchases.isna().any(axis=None)


def test_nothing_is_censored_and_nothing_outlives_its_horizon(purchases):
    stay = purchases["resolved_at"] - purchases["purchased_at"]
    horizon = pd.to_timedelta(HORIZON * purchases["shelf_life_days"], unit="D")
    assert (stay > pd.Timedelta(0)).all()
    assert (stay <= horizon + pd.Timedelta(minutes=1)).all()
    assert purchases["observed_until"].nunique() == 1
    assert (purchases["observed_until"] > purchases["purchased_at"] + horizon).all()


def test_each_category_is_wasted_at_its_rate(purchases, report):
    for name, rate in WasteCollection().waste_rates.items():
        rows = purchases[purchases["category"] == name]
        spread = np.sqrt((rows["true_probability"] * (1 - rows["true_probability"])).sum()) / len(rows)
        assert abs(rows["outcome"].eq("wasted").mean() - rate) < 3 * spread, name
        assert rows["true_probability"].mean() == pytest.approx(rate, abs=5e-4)
        assert report["categories"][name]["rate"] == pytest.approx(rows["outcome"].eq("wasted").mean())


def test_outcomes_follow_the_true_probabilities(purchases, wasted):
    true = purchases["true_probability"].to_numpy()
    for piece in np.array_split(np.argsort(true), 20):
        gap = (wasted[piece] - true[piece]).sum()
        assert abs(gap) < 4 * np.sqrt((true[piece] * (1 - true[piece])).sum())


def test_the_table_says_all_but_the_propensity(purchases, report):
    """The truth again from the drawn purchases, with the crowding read off the published times alone."""
    collection = WasteCollection(households=400)
    households = draw_households(collection, 1)
    scores = score_purchases(households, drawn := draw_purchases(households, collection, 1), collection)
    of_household = purchases.sort_values(["household_id", "purchased_at"], kind="stable")
    shape = drawn.minute.shape
    bought, resolved = (of_household[name].to_numpy().reshape(shape) for name in ("purchased_at", "resolved_at"))
    at_home = (bought[:, None, :] < bought[:, :, None]) & (resolved[:, None, :] >= bought[:, :, None])
    crowded = at_home.sum(axis=2) > report["crowded_above"]
    assert 0.2 < crowded.mean() < 0.8
    score = scores.waste + np.where(crowded, scores.crowded, 0) + scores.propensity
    added = intercepts(score, scores.eaten, drawn.category, np.array(list(collection.waste_rates.values())))
    expected = waste_probability(score + added[drawn.category], scores.eaten)
    # The intercepts found here are those of the last crowding, the simulation's those of the one before
    np.testing.assert_allclose(of_household["true_probability"].to_numpy().reshape(shape), expected, atol=2e-3)


def test_crowding_matters_to_what_spoils_fast_only(purchases):
    collection = WasteCollection(households=50)
    households = draw_households(collection, 1)
    drawn = draw_purchases(households, collection, 1)
    scores = score_purchases(households, drawn, collection)
    assert (scores.crowded[drawn.shelf_life_days < 10] > 0).all()
    assert (scores.crowded[drawn.shelf_life_days >= 10] == 0).all()


def test_the_oracles_stand_in_order(purchases, wasted, report):
    rates = purchases["category"].map(WasteCollection().waste_rates)
    scores = [rates, purchases["observable_probability"], purchases["true_probability"]]
    areas = [roc_auc_score(wasted, score) for score in scores]
    losses = [log_loss(wasted, score) for score in scores]
    assert areas == sorted(areas) and areas[1] > areas[0] + 0.1
    assert losses == sorted(losses, reverse=True) and losses[1] < losses[0] - 0.05
    for oracle, area, loss in zip(("observable", "full"), areas[1:], losses[1:], strict=True):
        metrics = report["oracles"][oracle]["all"]
        assert metrics["roc_auc"] == pytest.approx(area, abs=0.008)
        assert metrics["log_loss"] == pytest.approx(loss, abs=0.01)
    for part in ("all", "recent"):
        assert report["oracles"]["observable"][part]["roc_auc"] < report["oracles"]["full"][part]["roc_auc"]
    recent = purchases.tail(8_000)["true_probability"].to_numpy()
    assert report["oracles"]["full"]["recent"] == pytest.approx(oracle_metrics(recent))


def test_the_median_days_of_the_wasted(purchases, wasted, report):
    days = (purchases["resolved_at"] - purchases["purchased_at"])[wasted].dt.total_seconds() / 86_400
    median = purchases["true_median_days"][wasted]
    assert abs((days < median).mean() - 0.5) < 4 * 0.5 / np.sqrt(wasted.sum())
    assert report["days_oracle"]["all"]["mae"] == pytest.approx((days - median).abs().mean())
    assert (days - median).abs().mean() < (days - days.median()).abs().mean() / 2


def test_the_same_seed_makes_the_same_table(purchases):
    again, _ = simulate(households=400)
    unknown = "observable_probability"
    pd.testing.assert_frame_equal(again.drop(columns=unknown), purchases.drop(columns=unknown))
    assert again[unknown].isna().all()
    other, _ = simulate(households=400, seed=2)
    assert (other["outcome"] != purchases["outcome"]).mean() > 0.2


def test_without_the_filter_oracle_only_the_full_one_is_reported():
    _, report = simulate(households=20)
    assert set(report["oracles"]) == {"full"}


def test_the_report_is_json_and_a_person_sees_the_oracles(caplog):
    with caplog.at_level(logging.INFO):
        _, report = simulate(households=5, items_per_household=20, filter_oracle=True)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["rows"] == 100 and report["rows_per_second"] > 0
    for wanted in ("Oracle (full, all rows): ", "Oracle (observable, recent rows): ", "roc_auc", "dairy"):
        assert wanted in caplog.text


@pytest.mark.parametrize("size", [{"households": 1, "items_per_household": 1}, {"households": 3, "days": 28}])
def test_small_simulations_work(size):
    purchases, report = simulate(**size, filter_oracle=True)
    assert len(purchases) == report["rows"] == size["households"] * size.get("items_per_household", 100)
    assert purchases["observable_probability"].between(0, 1).all()


def test_the_default_lets_good_models_pass_the_gate_and_hard_none():
    areas = {}
    for preset in ("easy", "default", "hard"):
        _, report = simulate(households=200, preset=preset, filter_oracle=True)
        areas[preset] = report["oracles"]["observable"]["all"]["roc_auc"]
    assert areas["hard"] < GATE - 0.01
    assert GATE + 0.02 < areas["default"] < areas["easy"]


def test_drift_shifts_everybody_after_its_day():
    rates = {}
    for preset in ("default", "drift"):
        purchases, _ = simulate(preset=preset)
        late = purchases["purchased_at"] >= pd.Timestamp("2018-01-01") + pd.Timedelta(days=600)
        wasted = purchases["outcome"].eq("wasted")
        rates[preset] = wasted[~late].mean(), wasted[late].mean()
        if preset == "default":
            before = purchases[~late]
        else:
            pd.testing.assert_frame_equal(
                purchases[~late].drop(columns="observed_until"), before.drop(columns="observed_until")
            )
    assert abs(rates["default"][1] - rates["default"][0]) < 0.04
    assert rates["drift"][1] > rates["default"][1] + 0.06


def test_the_leak_beats_the_oracle():
    purchases, report = simulate(preset="leak")
    assert list(purchases.columns) == [*COLUMNS, "freshness_score"]
    assert purchases["freshness_score"].between(0, 1).all()
    wasted = purchases["outcome"].eq("wasted")
    stale = roc_auc_score(wasted, -purchases["freshness_score"])
    assert stale > report["oracles"]["full"]["all"]["roc_auc"] + 0.02
    clean, _ = simulate(preset="default")
    pd.testing.assert_frame_equal(purchases[list(COLUMNS)], clean)


def test_rates_and_spreads_can_be_chosen():
    chosen, report = simulate(waste_rates={"meat": 0.5, "dairy": 0.1}, spread_propensity=0.0)
    assert set(chosen["category"]) == {"meat", "dairy"}
    assert report["categories"]["meat"]["mean_true_probability"] == pytest.approx(0.5, abs=1e-3)
    assert report["spreads"] == {"propensity": 0.0, "item": 1.0, "interaction": 1.5}
    hidden, _ = simulate(spread_propensity=0.0, filter_oracle=True)
    np.testing.assert_allclose(hidden["observable_probability"], hidden["true_probability"], atol=1e-8)


def test_dates_are_those_asked_for():
    purchases, _ = simulate(households=30, start_date=datetime.date(2021, 3, 1), days=60)
    assert purchases["purchased_at"].between("2021-03-01", "2021-04-30", inclusive="left").all()
    description = describe_purchases(purchases, WasteCollection(households=30))
    assert description["households"] == 30


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"households": -1}, "households"),
        ({"items_per_household": 0}, "items_per_household"),
        ({"preset": "medium"}, "'easy', 'default', 'hard', 'drift' or 'leak'"),
        ({"waste_rates": {"dairy": 1.2}}, "waste_rates must lie between 0 and 0.8, not dairy: 1.2"),
        ({"waste_rates": {"fish": 0.2}}, "fish"),
        ({"waste_rates": {}}, "waste_rates"),
        ({"preset": "drift", "days": 500}, "drift_day 600"),
        ({"households": 1_000_000, "items_per_household": 100}, "households x items_per_household"),
        ({"filter_grid": 2}, "filter_grid"),
        ({"house_holds": 3}, "house_holds"),
    ],
)
def test_wrong_parameters_are_refused(wrong, named):
    with pytest.raises(ValidationError, match=named):
        WasteCollection(**wrong)
