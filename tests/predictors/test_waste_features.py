"""Features of purchases: a recomputation row by row, and that nothing of the future or of others gets in."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.predictors import purchase_columns as pc
from augury.predictors.waste_features import (
    GROUPS,
    WasteFeatures,
    code_digest,
    feature_descriptions,
    feature_names,
    featurise,
)

START = pd.Timestamp("2025-02-03")
NORMS = [
    {"category": "dairy", "month": "2025-03", "servings_per_head": 2.0, "shelf_life_days": 8.0},
    {"category": "dairy", "month": "2025-04", "servings_per_head": None, "shelf_life_days": 4.0},
    {"category": "meat", "month": "2024-12", "servings_per_head": 1.5, "shelf_life_days": 2.0},
]
FEATURES = WasteFeatures(norms=NORMS, exclude=())


def day(number):
    return START + pd.Timedelta(days=number)


def purchases(*records):
    """Canonical rows of records that say what matters; times are days since the start."""
    plain = {"household": "h1", "at": 0.0, "category": "dairy", "outcome": None, "resolved": None}
    rows = []
    for number, record in enumerate(records):
        row = plain | record
        rows.append(
            {
                pc.PURCHASE_ID: f"p{number}",
                pc.HOUSEHOLD_ID: row.pop("household"),
                pc.PURCHASED_AT: day(row.pop("at")),
                pc.RESOLVED_AT: pd.NaT if row["resolved"] is None else day(row["resolved"]),
                **{name: value for name, value in row.items() if name != "resolved"},
            }
        )
    frame = pd.DataFrame(rows)
    times = {name: frame[name].astype("datetime64[us]") for name in (pc.PURCHASED_AT, pc.RESOLVED_AT)}
    return frame.assign(**times)


def random_purchases(rows, households=4, seed=0, missing=0.1):
    """Rows with every oddity: ties, missing cells, fates that are unknown, come late, or come before the purchase."""
    random = np.random.default_rng(seed)

    def some(values):
        return np.where(random.random(rows) < missing, np.nan, values)

    bought = START + pd.to_timedelta(random.integers(0, 24 * 120, rows), unit="h")
    shelf_life = np.round(np.exp(random.normal(2.3, 1.2, rows)), 1) + 0.5
    days = np.round(shelf_life * random.random(rows) * 1.6, 2)
    fate = random.choice(np.array([pc.EATEN, pc.EATEN, pc.WASTED, None], dtype=object), rows)
    unknown = np.array([text is None for text in fate])
    resolved = pd.Series(bought) + pd.to_timedelta(np.where(random.random(rows) < 0.02, -3.0, days), unit="D")
    return pd.DataFrame(
        {
            pc.PURCHASE_ID: [f"p{number}" for number in range(rows)],
            pc.HOUSEHOLD_ID: random.choice([f"h{number}" for number in range(households)], rows),
            pc.PURCHASED_AT: bought.astype("datetime64[us]"),
            pc.CATEGORY: random.choice(["dairy", "produce", "canned", "pets"], rows),
            pc.HOUSEHOLD_SIZE: some(random.integers(1, 7, rows)),
            pc.SHELF_LIFE_DAYS: some(shelf_life),
            pc.QUANTITY: some(np.round(random.gamma(2, 2, rows) + 0.1, 1)),
            pc.PRICE: some(np.round(random.gamma(2, 2, rows), 2)),
            pc.DISCOUNT: some(random.choice([0.0, 0.0, 0.1, 0.5], rows)),
            pc.IS_PLANNED: some(random.integers(0, 2, rows)),
            pc.IS_BULK: some(random.integers(0, 2, rows)),
            pc.FRIDGE_TEMPERATURE_C: some(np.round(random.normal(5, 1.5, rows), 1)),
            pc.GUESTS: some(random.poisson(0.3, rows)),
            pc.OUTCOME: fate,
            pc.RESOLVED_AT: resolved.where(~unknown & (random.random(rows) > 0.05)).astype("datetime64[us]"),
            pc.TRUE_PROBABILITY: random.random(rows),
        }
    )


# --- recomputation ---


def mean(values):
    return sum(values) / len(values) if values else math.nan


def divided(above, below):
    return above / below if below else math.nan


def days_between(late, early):
    return (late - early).total_seconds() / 86400


def known(rows, column):
    return [row[column] for row in rows if not pd.isna(row[column])]


def rate(rows, towards, weight=5.0):
    return (sum(row["outcome"] == "wasted" for row in rows) + weight * towards) / (len(rows) + weight)


def unit_price(row):
    return row["price"] / (row["quantity"] if row["quantity"] > 0 else 1.0)


def life_class(row):
    return None if pd.isna(row["shelf_life_days"]) else sum(row["shelf_life_days"] >= end for end in (4, 10, 30, 180))


def naive(table):
    """The features that need the past, one row at a time, as their descriptions say."""
    rows = table.to_dict("records")
    for row in rows:
        if not pd.isna(row["resolved_at"]):
            row["resolved_at"] = max(row["resolved_at"], row["purchased_at"])
    return pd.DataFrame([naive_row(row, rows) for row in rows], index=table.index)


def naive_row(row, rows):
    now = row["purchased_at"]
    past = [other for other in rows if other["household_id"] == row["household_id"] and other["purchased_at"] < now]
    resolved = [other for other in past if other["outcome"] in ("eaten", "wasted") and other["resolved_at"] < now]
    wasted = [other for other in resolved if other["outcome"] == "wasted"]
    eaten = [other for other in resolved if other["outcome"] == "eaten"]
    kind = [other for other in past if other["category"] == row["category"]]
    kind_resolved = [other for other in resolved if other["category"] == row["category"]]
    kind_wasted = [other for other in wasted if other["category"] == row["category"]]
    base = rate(resolved, 0.25)
    found = {
        "history_purchases": len(past),
        "history_resolved": len(resolved),
        "history_waste_rate": base,
        "history_wasted_servings_rate": (sum(known(wasted, "quantity")) + 5 * 0.25)
        / (sum(known(resolved, "quantity")) + 5),
        "history_same_plan_waste_rate": rate([other for other in resolved if same_plan(other, row)], base),
        "history_unresolved_share": divided(len(past) - len(resolved), len(past)),
        "history_days_since_waste": since(now, known(wasted, "resolved_at")),
        "history_days_since_eaten": since(now, known(eaten, "resolved_at")),
        "history_days_known": days_between(now, min(known(past, "purchased_at"))) if past else math.nan,
        "history_days_to_resolution": mean([stay(other) for other in resolved]),
        "history_relative_age": mean(relative_ages(resolved)),
        "history_relative_age_eaten": mean(relative_ages(eaten)),
        "history_planned_share": mean(known(past, "is_planned")),
        "history_bulk_share": mean(known(past, "is_bulk")),
        "history_days_per_trip": interval(sorted({other["purchased_at"] for other in past})),
        "category_resolved": len(kind_resolved),
        "category_waste_rate": rate(kind_resolved, base),
        "category_days_since_purchase": since(now, known(kind, "purchased_at")),
        "category_days_since_waste": since(now, known(kind_wasted, "resolved_at")),
        "category_days_per_purchase": interval(sorted(other["purchased_at"] for other in kind)),
        "category_share": divided(len(kind), len(past)),
        "category_quantity_ratio": row["quantity"] / mean(known(kind, "quantity")),
        "category_relative_age": mean(relative_ages(kind_resolved)),
        "category_days_to_resolution": mean([stay(other) for other in kind_resolved]),
        "category_similar_life_waste_rate": rate(
            [other for other in resolved if life_class(other) == life_class(row)], base
        ),
        "price_to_household": unit_price(row) / mean([price for price in map(unit_price, past) if price == price]),
        "price_to_category": unit_price(row)
        / mean([price for price in map(unit_price, kind) if not math.isnan(price)]),
        "price_discounted_share": mean([discount > 0 for discount in known(past, "discount")]),
    }
    for days in (30, 90):
        start = now - pd.Timedelta(days=days)
        found[f"history_waste_rate_{days}d"] = rate(
            [other for other in resolved if other["resolved_at"] >= start], base
        )
    return found | naive_stock(row, past)


def naive_stock(row, past):
    now = row["purchased_at"]
    home = [other for other in past if not other["resolved_at"] < now and now <= assumed_gone(other)]
    kind = [other for other in home if other["category"] == row["category"]]
    dated = [other for other in home if not pd.isna(other["shelf_life_days"])]
    left = [other["shelf_life_days"] - days_between(now, other["purchased_at"]) for other in dated]
    soon = [other for other, days in zip(dated, left, strict=True) if 0 <= days < 3]
    eaters = row["household_size"] + (0 if pd.isna(row["guests"]) else row["guests"])
    stocked = servings(home)
    together = (0 if math.isnan(stocked) else stocked) + row["quantity"]
    return {
        "stock_items": len(home),
        "stock_servings": stocked,
        "stock_servings_per_head": stocked / row["household_size"],
        "stock_servings_with_this": together / eaters,
        "stock_life_days": mean(left),
        "stock_days_at_home": mean([days_between(now, other["purchased_at"]) for other in home]),
        "stock_category_items": len(kind),
        "stock_category_servings_per_head": servings(kind) / row["household_size"],
        "stock_expiring_items": len(soon),
        "stock_overdue_items": sum(days < 0 for days in left),
        "stock_days_since_trip": since(now, known(past, "purchased_at")),
    }


def same_plan(other, row):
    return str(other["is_planned"]) == str(row["is_planned"])


def since(now, times):
    return days_between(now, max(times)) if times else math.nan


def interval(times):
    return divided(days_between(times[-1], times[0]), len(times) - 1) if times else math.nan


def stay(row):
    return days_between(row["resolved_at"], row["purchased_at"])


def relative_ages(rows):
    return [stay(row) / row["shelf_life_days"] for row in rows if not pd.isna(row["shelf_life_days"])]


def assumed_gone(row):
    days = 365 if pd.isna(row["shelf_life_days"]) else 2 * row["shelf_life_days"]
    return row["purchased_at"] + pd.Timedelta(days=days)


def servings(rows):
    return sum(known(rows, "quantity")) if known(rows, "quantity") or not rows else math.nan


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_features_of_the_past_are_those_of_a_plain_loop(missing):
    table = random_purchases(400, seed=int(missing * 10), missing=missing)
    expected, found = naive(table), featurise(table, FEATURES)
    past = {name for name in found if name.split("_")[0] in ("history", "category", "stock")}
    assert past <= set(expected)
    assert len(past) > 35
    for name in expected:
        # Sums are of whole millionths
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
        assert found[name].nunique() > 3, name


def test_features_of_the_row_itself():
    one = featurise(
        purchases(
            {
                "at": 5.4,  # a Saturday, 9:36
                "category": "meat",
                "household_size": 2.0,
                "shelf_life_days": 4.0,
                "quantity": 6.0,
                "price": 9.0,
                "discount": 0.2,
                "is_planned": 0.0,
                "is_bulk": 1.0,
                "fridge_temperature_c": 7.0,
                "guests": 1.0,
            }
        ),
        FEATURES,
    ).iloc[0]
    expected = {
        "item_shelf_life_days": 4,
        "item_log_shelf_life": math.log(4),
        "item_quantity": 6,
        "item_household_size": 2,
        "item_quantity_per_head": 3,
        "item_quantity_per_eater": 2,
        "item_daily_need_per_head": 0.75,
        "item_quantity_to_usual": 2,
        "item_shelf_life_to_usual": 2,
        "item_is_planned": 0,
        "item_is_bulk": 1,
        "item_unplanned_quantity_per_head": 3,
        "item_fridge_temperature_c": 7,
        "item_fridge_heat_exposure": 0.75,
        "item_guests": 1,
        "item_guests_per_head": 0.5,
        "item_category_meat": 1,
        "item_category_dairy": 0,
        "season_weekday": 5,
        "season_is_weekend": 1,
        "season_hour": 9,
        "season_year_sin": math.sin(2 * math.pi * 38 / 366),
        "season_half_year_cos": math.cos(4 * math.pi * 38 / 366),
        "price_paid": 9,
        "price_per_serving": 1.5,
        "price_discount": 0.2,
        "price_is_discounted": 1,
        "price_weekend_discount": 0.2,
        "price_short_life_discount": 0.05,
        "stock_items": 0,
        "stock_servings": 0,
        "history_waste_rate": 0.25,
    }
    for name, value in expected.items():
        assert one[name] == pytest.approx(value, rel=1e-6), name
    assert math.isnan(one["price_to_household"])
    assert math.isnan(one["history_days_since_waste"])


def test_a_row_is_compared_with_what_was_usual_when_its_month_began():
    days = [0.0, 26.0, 56.9, 57.0, 500.0]  # February 3rd, March 1st, March 31st, April 1st, long after
    table = purchases(*({"at": at, "household_size": 2.0, "quantity": 8.0, "shelf_life_days": 16.0} for at in days))
    found = featurise(table, FEATURES)
    np.testing.assert_array_equal(found["item_quantity_to_usual"], [np.nan, 2, 2, np.nan, np.nan])
    np.testing.assert_array_equal(found["item_shelf_life_to_usual"], [np.nan, 2, 2, 4, 4])
    assert featurise(table.assign(category="canned"), FEATURES)["item_shelf_life_to_usual"].isna().all()
    assert featurise(table, WasteFeatures())["item_shelf_life_to_usual"].isna().all()


# --- nothing gets in ---


@st.composite
def changed_futures(draw):
    """A table, the number of one of its rows, and the same table with another future and other households."""
    rows = draw(st.integers(2, 40))
    table = random_purchases(rows, households=2, seed=draw(st.integers(0, 10_000)))
    at = draw(st.integers(0, rows - 1))
    row, random = table.iloc[at], np.random.default_rng(draw(st.integers(0, 10_000)))
    other = table.copy()
    mine, now = other[pc.HOUSEHOLD_ID] == row[pc.HOUSEHOLD_ID], row[pc.PURCHASED_AT]
    visible = mine & (other[pc.PURCHASED_AT] < now)
    seen = visible & (other[pc.RESOLVED_AT] < now)
    # The fates of all that was not resolved before, the row's own among them
    fates = random.choice(np.array([pc.EATEN, pc.WASTED, None], dtype=object), rows)
    later = pd.Series(now + pd.to_timedelta(random.integers(0, 1000, rows), unit="h")).astype("datetime64[us]")
    later = later.where(random.random(rows) < 0.7)
    other[pc.OUTCOME] = other[pc.OUTCOME].where(seen, fates)
    other[pc.RESOLVED_AT] = other[pc.RESOLVED_AT].where(seen, later)
    # Everything else of rows that it cannot see; some of them go, others come
    hidden = ~visible & (np.arange(rows) != at)
    for name in (pc.QUANTITY, pc.PRICE, pc.SHELF_LIFE_DAYS, pc.DISCOUNT):
        other[name] = other[name].where(~hidden, random.gamma(2, 2, rows))
    new = random_purchases(10, households=3, seed=draw(st.integers(0, 10_000)))
    new = new[(new[pc.HOUSEHOLD_ID] != row[pc.HOUSEHOLD_ID]) | (new[pc.PURCHASED_AT] >= now)]
    other = pd.concat([other[~(hidden & (random.random(rows) < 0.3))], new.rename(index=lambda number: -1 - number)])
    return table, at, other.sample(frac=1, random_state=1)


@settings(max_examples=60, deadline=None)
@given(changed_futures())
def test_no_later_event_and_no_other_household_changes_a_feature(case):
    table, at, other = case
    before, after = featurise(table, FEATURES).loc[at], featurise(other, FEATURES).loc[at]
    assert before.to_numpy().tobytes() == after.to_numpy().tobytes(), (before != after).pipe(lambda s: s[s].index)


def test_the_leak_test_would_see_a_leak():
    """The same change in the visible past does change features."""
    table = purchases(
        {"at": 0, "outcome": "wasted", "resolved": 3.0}, {"at": 1, "quantity": 2.0}, {"at": 9, "quantity": 1.0}
    )
    before = featurise(table, FEATURES).iloc[2]
    eaten = featurise(table.assign(outcome=["eaten", None, None]), FEATURES).iloc[2]
    assert before["history_waste_rate"] == pytest.approx(2.25 / 6)
    assert eaten["history_waste_rate"] == pytest.approx(1.25 / 6)
    more = featurise(table.assign(quantity=[math.nan, 4.0, 1.0]), FEATURES).iloc[2]
    assert more["stock_servings"] == 4


def test_an_item_that_is_resolved_at_the_moment_of_the_purchase_or_later_is_at_home():
    for resolved, at_home in ((5.0, 1), (7.0, 1), (4.999, 0)):
        table = purchases(
            {"at": 0, "outcome": "wasted", "resolved": resolved, "shelf_life_days": 9.0}, {"at": 5.0, "outcome": None}
        )
        found = featurise(table, FEATURES).iloc[1]
        assert found["stock_items"] == at_home
        assert found["history_resolved"] == 1 - at_home
        assert found["history_days_since_waste"] == pytest.approx(0.001, rel=1e-3) or at_home


def test_rows_of_the_same_moment_do_not_see_one_another():
    table = purchases(
        {"at": 0, "category": "meat"},
        {"at": 2, "quantity": 3.0},
        {"at": 2, "quantity": 5.0, "outcome": "eaten", "resolved": 2.0},
        {"at": 2, "quantity": 7.0},
    )
    found = featurise(table, FEATURES)
    assert found["history_purchases"].tolist() == [0, 1, 1, 1]
    assert found["stock_items"].tolist() == [0, 1, 1, 1]
    assert found["category_days_since_purchase"].isna().all()
    assert found["history_resolved"].tolist() == [0, 0, 0, 0]


def test_the_order_of_the_rows_does_not_matter():
    table = random_purchases(500, seed=3)
    found = featurise(table, FEATURES)
    shuffled = table.sample(frac=1, random_state=5)
    assert featurise(shuffled, FEATURES).loc[table.index].to_numpy().tobytes() == found.to_numpy().tobytes()


def test_a_row_with_its_history_is_served_as_in_the_whole_table():
    table = random_purchases(300, households=3, seed=8)
    whole = featurise(table, FEATURES)
    for at in range(0, 300, 7):
        row = table.iloc[at]
        past = table[(table[pc.HOUSEHOLD_ID] == row[pc.HOUSEHOLD_ID]) & (table[pc.PURCHASED_AT] < row[pc.PURCHASED_AT])]
        asked = table.loc[[at], list(pc.KNOWN_AT_PURCHASE)]
        served = featurise(pd.concat([past.drop(columns=pc.TRUE_PROBABILITY), asked]), FEATURES).loc[at]
        assert served.to_numpy().tobytes() == whole.loc[at].to_numpy().tobytes()


def test_households_in_pieces_are_as_all_at_once():
    table = random_purchases(300, households=5, seed=9)
    pieces = [featurise(piece, FEATURES) for _, piece in table.groupby(pc.HOUSEHOLD_ID)]
    assert pd.concat(pieces).loc[table.index].to_numpy().tobytes() == featurise(table, FEATURES).to_numpy().tobytes()


def test_rows_without_a_household_have_no_past():
    table = purchases({"household": None}, {"household": None, "at": 3}, {"at": 4}, {"at": 5})
    assert featurise(table, FEATURES)["history_purchases"].tolist() == [0, 0, 0, 1]


def test_neither_truth_nor_fate_is_a_feature():
    names = feature_names(WasteFeatures(extra_columns=("x",)))
    assert len(names) >= 50
    table = random_purchases(60, seed=2).assign(x=1.0)
    last = table[pc.PURCHASED_AT] == table.groupby(pc.HOUSEHOLD_ID)[pc.PURCHASED_AT].transform("max")
    secrets = dict.fromkeys((*pc.TRUTH, pc.IS_WASTED, pc.DAYS_TO_WASTE), 1000000.0)
    changed = table.assign(
        **{name: table.get(name, pd.Series(0.0, table.index)).mask(last, value) for name, value in secrets.items()}
    )
    changed[pc.OUTCOME] = changed[pc.OUTCOME].mask(last, pc.WASTED)
    features = WasteFeatures(extra_columns=("x",))
    pd.testing.assert_frame_equal(featurise(changed, features), featurise(table, features))


# --- parameters and missing columns ---


def test_required_columns_are_enough():
    table = random_purchases(50)[[pc.HOUSEHOLD_ID, pc.PURCHASED_AT, pc.CATEGORY]]
    found = featurise(table, FEATURES)
    assert list(found) == list(feature_names(FEATURES))
    assert (found.dtypes == np.float32).all()
    assert found["history_purchases"].max() > 3
    for name in ("item_shelf_life_days", "price_paid", "history_planned_share", "stock_life_days"):
        assert found[name].isna().all(), name


def test_a_table_without_rows_has_no_features_of_rows():
    assert featurise(random_purchases(5).head(0), FEATURES).shape == (0, len(feature_names(FEATURES)))


def test_groups_can_be_switched_off():
    table = random_purchases(40)
    whole = featurise(table, FEATURES)
    for group in GROUPS:
        features = WasteFeatures(groups=(group,), norms=NORMS, exclude=())
        assert all(name.startswith(f"{group}_") for name in feature_names(features))
        pd.testing.assert_frame_equal(featurise(table, features), whole[list(feature_names(features))])
    assert feature_names(WasteFeatures(groups=("stock", "item"))) == feature_names(
        WasteFeatures(groups=("item", "stock"))
    )


def test_features_can_be_left_out():
    table = random_purchases(60, seed=3)
    left_out = ("history_days_known", "item_category_meat", "stock_items")
    found = featurise(table, FEATURES.model_copy(update={"exclude": left_out}))
    pd.testing.assert_frame_equal(found, featurise(table, FEATURES).drop(columns=list(left_out)))


def test_every_feature_is_described_once():
    described = feature_descriptions(FEATURES)
    assert tuple(described) == GROUPS
    names = [name for group in described.values() for name in group]
    assert len(names) == len(set(names))
    assert all(text for group in described.values() for text in group.values())


def test_extra_columns_become_features_of_the_item():
    table = random_purchases(20).assign(store=np.arange(20.0))
    found = featurise(table, WasteFeatures(extra_columns=("store",)))
    assert found["item_store"].tolist() == list(range(20))
    with pytest.raises(UserError, match=r"no column 'store'.*food_waste.features.extra_columns"):
        featurise(table.drop(columns="store"), WasteFeatures(extra_columns=("store",)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"extra_columns": ["is_wasted"]}, "a column of the table itself"),
        ({"extra_columns": ["true_probability"]}, "a column of the table itself"),
        ({"extra_columns": ["log_shelf_life"]}, "a feature 'item_log_shelf_life' already"),
        ({"extra_columns": ["category_meat"]}, "a feature 'item_category_meat' already"),
        ({"categories": ["meat", "meat"]}, "nothing twice"),
        ({"windows_days": [0]}, "1 or more"),
        ({"norms": [{"category": "meat", "month": "2025"}]}, "should match pattern"),
        ({"norms": [{"category": "meat", "month": "2025-01", "shelf_life_days": 0}]}, "greater than 0"),
        ({"groups": []}, "at least 1"),
        ({"exclude": ["history_days_knwon"]}, "no feature 'history_days_knwon'. Did you mean 'history_days_known'"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    with pytest.raises(ValidationError, match=message):
        WasteFeatures(**parameters)


def test_the_digest_is_that_of_the_code():
    assert len(code_digest()) == 64
    assert code_digest() == code_digest()
