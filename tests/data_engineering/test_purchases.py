"""Purchases: any spelling in, rows that make no sense set aside, labels only of what had time to be wasted."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.pipelines.data_engineering.purchase_sources import RULES, PurchaseSource
from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
from augury.predictors import purchase_columns as pc
from augury.schemas.purchases import Purchases

START = pd.Timestamp("2025-01-01 10:00")
SOURCE, LABEL, SPLIT = PurchaseSource(), WasteLabel(), PurchaseSplit()
CATEGORIES = ("dairy", "produce", "canned")


def table(rows=400, seed=0, days=300):
    """Purchases of 300 days, observed for 100 more; every third one is wasted."""
    random = np.random.default_rng(seed)
    bought = START + pd.to_timedelta(np.sort(random.integers(0, days * 24 * 60, rows)), unit="min")
    shelf_life = random.choice([4.0, 10.0, 40.0], rows)
    wasted = np.arange(rows) % 3 == 0
    resolved = pd.Series(bought) + pd.to_timedelta(shelf_life * random.choice([0.25, 0.5, 1.25], rows), unit="D")
    return pd.DataFrame(
        {
            pc.PURCHASE_ID: [f"p{number:04d}" for number in range(rows)],
            pc.HOUSEHOLD_ID: random.choice(["ana", "bo", "Çelik"], rows),
            pc.PURCHASED_AT: bought.astype("datetime64[us]"),
            pc.CATEGORY: random.choice(CATEGORIES, rows),
            pc.HOUSEHOLD_SIZE: 2,
            pc.SHELF_LIFE_DAYS: shelf_life,
            pc.QUANTITY: random.integers(1, 5, rows),
            pc.PRICE: np.round(random.random(rows) * 5, 2),
            pc.DISCOUNT: random.choice([0.0, 0.25], rows),
            pc.IS_PLANNED: random.choice([True, False], rows),
            pc.OUTCOME: np.where(wasted, pc.WASTED, pc.EATEN).astype(object),
            pc.RESOLVED_AT: resolved.astype("datetime64[us]"),
            pc.OBSERVED_UNTIL: START.normalize() + pd.Timedelta(days=days + 100),
        }
    )


def prepare(raw, source=SOURCE, label=LABEL, split=SPLIT):
    return prepare_purchases(raw, source, label, split)


def refusal(raw, source=SOURCE, label=LABEL, split=SPLIT):
    with pytest.raises(UserError) as caught:
        prepare(raw, source, label, split)
    return str(caught.value)


def put(raw, column, row, value):
    values = raw[column].astype(object).tolist()
    values[row] = value
    return raw.assign(**{column: pd.Series(values, index=raw.index).infer_objects()})


# --- a whole table ---


def test_a_clean_table_is_kept_labelled_and_split():
    raw = table()
    primary, report = prepare(raw)
    assert list(primary) == list(pc.LABELLED)
    assert report["rows_read"] == report["rows"] == len(primary) == 400
    assert set(report["set_aside"]) == set(RULES)
    assert not any(report["set_aside"].values())
    assert primary[pc.IS_LABELLED].all()
    assert primary[pc.IS_WASTED].sum() == (raw[pc.OUTCOME] == pc.WASTED).sum()
    wasted = primary[pc.IS_WASTED] == 1
    took = (raw[pc.RESOLVED_AT] - raw[pc.PURCHASED_AT]).dt.total_seconds() / 86400
    np.testing.assert_allclose(primary.loc[wasted, pc.DAYS_TO_WASTE], took[wasted])
    assert primary.loc[~wasted, pc.DAYS_TO_WASTE].isna().all()
    assert (primary[pc.ORIGIN] == "measured").all()
    assert (primary[pc.DATE] == raw[pc.PURCHASED_AT].dt.strftime("%Y-%m-%d")).all()
    assert report["columns_missing"] == sorted(set(pc.COLUMNS) - set(raw))
    assert report["observed_until"] == {"time": "2026-02-05T00:00:00", "said_by": "column"}


def test_the_split_is_by_whole_days_with_a_gap():
    primary, report = prepare(table(2000))
    days = primary.groupby(pc.SPLIT)[pc.DATE].agg(["min", "max", "count"])
    assert days.loc["test", "count"] / 2000 == pytest.approx(0.2, abs=0.01)
    start = pd.Timestamp(days.loc["test", "min"])
    assert report["gap"]["before"] == days.loc["test", "min"]
    assert pd.Timestamp(days.loc["train", "max"]) < start - pd.Timedelta(days=14)
    assert start - pd.Timedelta(days=14) <= pd.Timestamp(days.loc["none", "min"])
    assert pd.Timestamp(days.loc["none", "max"]) < start
    for name in ("train", "test"):
        figures, rows = report["splits"][name], primary[primary[pc.SPLIT] == name]
        assert (figures["rows"], figures["wasted"]) == (len(rows), rows[pc.IS_WASTED].sum())
        assert (figures["first"], figures["last"]) == (rows[pc.DATE].min(), rows[pc.DATE].max())
    assert report["gap"]["rows"] == days.loc["none", "count"]
    by_category = {entry["category"]: entry["test"]["rows"] for entry in report["categories"]}
    assert by_category == primary[primary[pc.SPLIT] == "test"].groupby(pc.CATEGORY).size().to_dict()


def test_the_first_day_of_the_test_can_be_said():
    primary, report = prepare(table(), split=PurchaseSplit(test_start="2025-06-01", gap_days=0))
    assert report["gap"] == {
        "from": "2025-06-01",
        "before": "2025-06-01",
        "rows": 0,
        "wasted": 0,
        "waste_rate": None,
        "first": None,
        "last": None,
    }
    assert ((primary[pc.DATE] >= "2025-06-01") == (primary[pc.SPLIT] == "test")).all()


# --- rows that make no sense ---

BROKEN = {
    "missing_household": (pc.HOUSEHOLD_ID, None),
    "missing_time": (pc.PURCHASED_AT, pd.NaT),
    "unknown_category": (pc.CATEGORY, "pets"),
    "future_purchase": (pc.PURCHASED_AT, pd.Timestamp("2099-01-01")),
    "invalid_quantity": (pc.QUANTITY, 0),
    "negative_price": (pc.PRICE, -0.01),
    "invalid_shelf_life": (pc.SHELF_LIFE_DAYS, 0.0),
    "invalid_discount": (pc.DISCOUNT, 25.0),
    "invalid_household_size": (pc.HOUSEHOLD_SIZE, 0),
    "negative_guests": (pc.GUESTS, -1.0),
    "resolved_before_purchase": (pc.RESOLVED_AT, START - pd.Timedelta(days=1)),
    "duplicate_id": (pc.PURCHASE_ID, "p0001"),
}


def broken_table():
    """A table in which one row breaks each rule, and one breaks many."""
    raw = table().assign(guests=1.0)
    for number, (column, value) in enumerate(BROKEN.values()):
        raw = put(raw, column, 10 + number, value)
    for rule in ("unknown_category", "negative_price", "duplicate_id"):
        raw = put(raw, BROKEN[rule][0], 30, BROKEN[rule][1])
    return raw


def test_every_rule_has_a_case():
    assert set(BROKEN) == set(RULES)


def test_rows_that_break_rules_are_set_aside_and_counted_once():
    raw = broken_table()
    found, report = prepare(raw)
    # Row 30 is of an unknown category before anything else
    assert report["set_aside"] == dict.fromkeys(RULES, 1) | {"unknown_category": 2}
    assert report["rows_read"] == 400
    assert report["rows"] == len(found) == 400 - 13
    # Row 21 has the identifier of row 1
    gone = set(raw[pc.PURCHASE_ID]) - set(found[pc.PURCHASE_ID])
    assert gone == {f"p{number:04d}" for number in range(10, 21)}
    assert report["set_aside_examples"]["negative_price"] == "p0015"


def test_rows_that_break_rules_can_be_refused():
    message = refusal(broken_table(), PurchaseSource(invalid="refuse"))
    heading, *lines = message.splitlines()
    assert "food_waste.source.invalid is 'refuse'" in heading
    assert [line.split(":")[0] for line in lines] == [f"- {rule}" for rule in RULES]
    assert "- negative_price: price is negative: 1 row(s), for example purchase 'p0015'" in lines
    prepare(table(), PurchaseSource(invalid="refuse"))


def test_of_repeated_identifiers_the_earliest_purchase_is_kept_in_any_order():
    raw = table()
    again = raw.iloc[:60].copy()
    # A log that is delivered again once fates are known, one whose time differs, and true copies
    raw.loc[:19, [pc.OUTCOME, pc.RESOLVED_AT]] = [None, pd.NaT]
    again.loc[20:39, pc.PURCHASED_AT] -= pd.Timedelta(hours=1)
    both = pd.concat([raw, again])
    primary, report = prepare(both)
    assert report["set_aside"]["duplicate_id"] == 60
    assert report["set_aside_examples"] == {"duplicate_id": "p0000"}
    kept = primary.sort_values(pc.PURCHASE_ID, ignore_index=True)
    assert kept.loc[:19, pc.OUTCOME].notna().all()
    assert (kept.loc[20:39, pc.PURCHASED_AT] == again.loc[20:39, pc.PURCHASED_AT]).all()
    shuffled, _ = prepare(both.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(shuffled.sort_values(pc.PURCHASE_ID, ignore_index=True), kept)


def test_a_broken_copy_does_not_displace_a_good_row():
    raw = table()
    copy = raw.iloc[[5]].assign(price=-1.0, purchased_at=START - pd.Timedelta(days=9))
    primary, report = prepare(pd.concat([copy, raw]))
    assert report["set_aside"]["negative_price"] == 1
    assert report["set_aside"]["duplicate_id"] == 0
    assert primary.loc[primary[pc.PURCHASE_ID] == "p0005", pc.PRICE].item() == raw.loc[5, pc.PRICE]


def test_future_dates_are_measured_against_the_column_or_the_parameter():
    raw = put(table(), pc.PURCHASED_AT, 399, pd.Timestamp("2027-01-01"))
    raw = put(put(raw, pc.RESOLVED_AT, 399, pd.NaT), pc.OUTCOME, 399, None)
    assert prepare(raw)[1]["set_aside"]["future_purchase"] == 1
    bare = raw.drop(columns=pc.OBSERVED_UNTIL)
    _, report = prepare(bare)
    assert report["set_aside"]["future_purchase"] == 0
    assert report["observed_until"] == {"time": "2027-01-01T00:00:00", "said_by": "last time"}
    assert "cannot be told from others" in report["notes"][0]
    _, report = prepare(bare, PurchaseSource(observed_until="2026-02-05"))
    assert report["set_aside"]["future_purchase"] == 1
    assert report["observed_until"] == {"time": "2026-02-05T23:59:59.999999", "said_by": "parameter"}
    assert report["notes"] == []


def test_any_text_is_a_category_where_none_are_named():
    raw = put(table(), pc.CATEGORY, 0, "pets")
    primary, report = prepare(raw, PurchaseSource(categories=None))
    assert report["set_aside"]["unknown_category"] == 0
    assert report["categories_in_all"] == 4
    assert primary.loc[0, pc.CATEGORY] == "pets"


def test_categories_are_spelt_as_the_parameters_do():
    primary, report = prepare(table().assign(category=lambda raw: " " + raw[pc.CATEGORY].str.upper()))
    assert report["set_aside"]["unknown_category"] == 0
    assert set(primary[pc.CATEGORY]) == set(CATEGORIES)


# --- labels ---


def fates(label=LABEL, source=SOURCE, **columns):
    """Label one purchase of 2025-01-01 among clean ones: its fate as the table says it."""
    raw = table()
    one = {pc.SHELF_LIFE_DAYS: 10.0, pc.OBSERVED_UNTIL: raw.loc[0, pc.OBSERVED_UNTIL]}
    one |= {pc.PURCHASED_AT: START, pc.OUTCOME: None, pc.RESOLVED_AT: pd.NaT} | columns
    for column, value in one.items():
        raw = put(raw, column, 0, value)
    primary, report = prepare(raw, source, label)
    return primary.loc[0], report


@pytest.mark.parametrize(("days", "labelled"), [(15.99, False), (16.0, True), (30.0, True)])
@pytest.mark.parametrize("outcome", [pc.EATEN, pc.WASTED])
def test_a_fate_counts_when_the_horizon_has_passed_not_when_it_is_known(days, labelled, outcome):
    row, report = fates(
        outcome=outcome,
        resolved_at=START + pd.Timedelta(days=1),
        observed_until=START + pd.Timedelta(days=days),
    )
    assert bool(row[pc.IS_LABELLED]) is labelled
    assert row[pc.OUTCOME] == outcome, "it stays in the history"
    assert report["standings"] == {"labelled": 399 + labelled, "immature": 1 - labelled, "unresolved": 0}
    assert (row[pc.SPLIT] == "train") is labelled


def test_an_unknown_fate_is_unknown_unless_the_parameters_say_otherwise():
    row, report = fates()
    assert not row[pc.IS_LABELLED]
    assert np.isnan(row[pc.IS_WASTED])
    assert report["standings"]["unresolved"] == 1
    row, report = fates(WasteLabel(unresolved_as="eaten"))
    assert row[pc.IS_LABELLED]
    assert row[pc.IS_WASTED] == 0
    assert row[pc.OUTCOME] is None, "nobody saw it eaten"
    row, _ = fates(WasteLabel(unresolved_as="eaten"), observed_until=START + pd.Timedelta(days=15))
    assert not row[pc.IS_LABELLED], "it may still be wasted"


def test_a_fate_after_the_observation_is_unknown():
    row, _ = fates(
        outcome=pc.WASTED, resolved_at=START + pd.Timedelta(days=40), observed_until=START + pd.Timedelta(days=39)
    )
    assert row[pc.OUTCOME] is None
    assert pd.isna(row[pc.RESOLVED_AT])
    assert np.isnan(row[pc.IS_WASTED])


def test_horizons_without_a_shelf_life():
    late = {"outcome": pc.WASTED, "resolved_at": START + pd.Timedelta(days=2)}
    row, _ = fates(shelf_life_days=np.nan, observed_until=START + pd.Timedelta(days=3), **late)
    assert row[pc.IS_LABELLED], "nothing says how long it could have been wasted"
    default = WasteLabel(default_horizon_days=5)
    row, _ = fates(default, shelf_life_days=np.nan, observed_until=START + pd.Timedelta(days=3), **late)
    assert not row[pc.IS_LABELLED]
    row, _ = fates(default, shelf_life_days=np.nan, observed_until=START + pd.Timedelta(days=5), **late)
    assert row[pc.IS_LABELLED]


def test_a_longest_horizon_counts_what_is_wasted_within_it():
    label = WasteLabel(max_horizon_days=12)
    for days, wasted in ((11.9, 1), (12.1, 0)):
        row, _ = fates(
            label,
            outcome=pc.WASTED,
            resolved_at=START + pd.Timedelta(days=days),
            observed_until=START + pd.Timedelta(days=13),
        )
        assert row[pc.IS_LABELLED]
        assert row[pc.IS_WASTED] == wasted
        assert np.isnan(row[pc.DAYS_TO_WASTE]) == (not wasted)
        assert row[pc.OUTCOME] == pc.WASTED


def test_fates_as_a_number():
    raw = table()
    took = (raw[pc.RESOLVED_AT] - raw[pc.PURCHASED_AT]).dt.total_seconds() / 86400
    wasted = raw[pc.OUTCOME] == pc.WASTED
    numbers = raw.drop(columns=[pc.OUTCOME, pc.RESOLVED_AT]).assign(
        is_wasted=np.where(np.arange(400) % 50 == 7, np.nan, wasted), days_to_waste=took.where(wasted)
    )
    primary, report = prepare(numbers)
    whole, _ = prepare(raw)
    known = numbers["is_wasted"].notna()
    assert report["standings"]["unresolved"] == (~known).sum() == 8
    assert primary.loc[known, pc.OUTCOME].tolist() == raw.loc[known, pc.OUTCOME].tolist()
    # Of the wasted it is known when, of the others only that they were not wasted until their horizon ended
    pd.testing.assert_series_equal(
        primary.loc[known & wasted, pc.RESOLVED_AT], whole.loc[known & wasted, pc.RESOLVED_AT]
    )
    horizon = raw[pc.PURCHASED_AT] + pd.to_timedelta(raw[pc.SHELF_LIFE_DAYS] * 1.6, unit="D")
    assert (primary[pc.RESOLVED_AT] == horizon)[known & ~wasted].all()
    assert primary.loc[known & ~wasted, pc.DAYS_TO_WASTE].isna().all()


def test_a_wasted_item_without_a_date_teaches_no_days():
    row, _ = fates(outcome=pc.WASTED)
    assert row[pc.IS_WASTED] == 1
    assert np.isnan(row[pc.DAYS_TO_WASTE])
    assert row[pc.RESOLVED_AT] == START + pd.Timedelta(days=16)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 399))
def test_labels_do_not_depend_on_what_is_known_of_other_rows(seed, rows):
    raw = table(seed=seed)
    whole, _ = prepare(raw, split=PurchaseSplit(test_start="2025-09-01"))
    random = np.random.default_rng(seed)
    changed = raw.copy()
    changed.loc[random.choice(400, rows, replace=False), pc.OUTCOME] = random.choice([None, pc.EATEN, pc.WASTED])
    try:
        found, _ = prepare(changed, split=PurchaseSplit(test_start="2025-09-01"))
    except UserError as error:
        assert "split has" in str(error)  # everything has one fate
        return
    same = raw[pc.OUTCOME] == changed[pc.OUTCOME]
    pd.testing.assert_frame_equal(found[same], whole[same])


# --- any spelling ---


def test_a_csv_file_is_read_as_the_parquet_file():
    raw = table()
    expected, report = prepare(raw)
    text = raw.assign(is_planned=raw[pc.IS_PLANNED].map({True: "true", False: "False"})).to_csv(index=False)
    for read in (pd.read_csv(io.StringIO(text)), pd.read_csv(io.StringIO(text), dtype=str)):
        found, again = prepare(read)
        pd.testing.assert_frame_equal(found, expected)
        assert again == report


def test_columns_with_other_names_and_further_ones():
    raw = table()
    expected, _ = prepare(raw)
    renamed = raw.rename(columns={pc.HOUSEHOLD_ID: "customer", pc.PURCHASED_AT: "when", pc.OUTCOME: "fate"})
    columns = {pc.HOUSEHOLD_ID: "customer", pc.PURCHASED_AT: "when", pc.OUTCOME: "fate"}
    source = PurchaseSource(columns=columns, extra_columns=["store"])
    found, report = prepare(renamed.assign(store=np.arange(400) % 7, other="x"), source)
    assert list(found) == [*pc.LABELLED, "store"]
    pd.testing.assert_frame_equal(found[list(pc.LABELLED)], expected)
    assert found["store"].tolist() == [number % 7 for number in range(400)]
    assert report["columns"][pc.HOUSEHOLD_ID] == "customer"


def test_rows_without_identifiers_are_told_apart_by_what_they_say():
    raw = table().drop(columns=pc.PURCHASE_ID)
    primary, report = prepare(pd.concat([raw, raw.iloc[:3]]))
    assert report["set_aside"]["duplicate_id"] == 3
    assert primary[pc.PURCHASE_ID].is_unique
    shuffled, _ = prepare(raw.sample(frac=1, random_state=3))
    assert set(shuffled[pc.PURCHASE_ID]) == set(primary[pc.PURCHASE_ID])


def test_numbers_and_zones_are_read():
    raw = table()
    zoned = raw.assign(purchased_at=raw[pc.PURCHASED_AT].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    primary, _ = prepare(zoned.assign(household_id=(np.arange(400) % 3 + 17850.0)))
    assert (primary[pc.PURCHASED_AT] == raw[pc.PURCHASED_AT]).all()
    assert set(primary[pc.HOUSEHOLD_ID]) == {"17850", "17851", "17852"}


def test_only_purchases_of_the_interval_are_read():
    raw = table()
    first, end = START.normalize() + pd.Timedelta(days=50), START.normalize() + pd.Timedelta(days=250, hours=6)
    inside = (raw[pc.PURCHASED_AT] >= first) & (raw[pc.PURCHASED_AT] < end)
    source = PurchaseSource(since=first.date().isoformat(), until=end.isoformat())
    found, report = prepare(raw, source)
    expected, _ = prepare(raw[inside])
    pd.testing.assert_frame_equal(found, expected)
    assert report["rows_read"] == inside.sum() < len(raw)
    untimed = put(raw, pc.PURCHASED_AT, 0, None)
    assert prepare(untimed, source)[1]["set_aside"]["missing_time"] == 1


def test_pandas_and_spark_agree(frame_engine):
    raw = broken_table().drop(columns=pc.PURCHASE_ID).assign(store=1.5)
    raw = pd.concat([raw, raw.iloc[:40]]).assign(is_planned=lambda rows: rows[pc.IS_PLANNED].map({True: 1, False: 0}))
    source = PurchaseSource(extra_columns=["store"], until="2025-10-20")
    made = frame_engine.make(raw)
    assert Purchases.validate(made) is made
    native, report = prepare(made, source)
    expected, expected_report = prepare(raw, source)
    found = frame_engine.collect(native, pc.PURCHASE_ID)
    times = {name: "datetime64[us]" for name, kind in pc.LABELLED.items() if kind == "timestamp"}
    expected = expected.sort_values(pc.PURCHASE_ID, ignore_index=True)
    pd.testing.assert_frame_equal(found.astype(times), expected, check_exact=True)
    assert report == expected_report
    assert report["set_aside"]["duplicate_id"] == 28


# --- refusals ---


def test_missing_columns_come_with_near_matches():
    raw = table().rename(columns={pc.HOUSEHOLD_ID: "householdid", pc.OUTCOME: "outcom"})
    assert "'household_id' (Did you mean 'householdid' or 'household_size'?)" in refusal(raw)
    assert "food_waste.source.columns" in refusal(raw)
    message = refusal(raw.rename(columns={"householdid": pc.HOUSEHOLD_ID}))
    assert "what became of the purchases: 'outcome' (Did you mean 'outcom'?) or 'is_wasted'" in message
    message = refusal(table(), PurchaseSource(columns={"price": "prise"}))
    assert "no column 'prise', which food_waste.source.columns.price names. Did you mean 'price'?" in message
    assert "no column 'stoer'" in refusal(table().assign(store=1), PurchaseSource(extra_columns=["stoer"]))


def test_cells_that_cannot_be_read_are_refused():
    raw = put(put(table(), pc.PRICE, 3, "cheap"), pc.PRICE, 4, np.inf)
    raw = put(put(raw, pc.PURCHASED_AT, 5, "03/04/2025"), pc.OUTCOME, 6, "thrown")
    raw = put(put(raw, pc.IS_PLANNED, 7, "maybe"), pc.PURCHASE_ID, 8, None)
    heading, *lines = refusal(raw).splitlines()
    assert heading == "food_waste.purchases breaks its schema:"
    assert lines == [
        "- column 'purchase_id': must not be missing: 1 row(s), for example missing",
        "- column 'purchased_at': must be a time such as 2026-03-09 18:30:00: 1 row(s), for example '03/04/2025'",
        "- column 'price': must be a finite number: 2 row(s), for example 'cheap', inf",
        "- column 'is_planned': must be 0 or 1, or true or false: 1 row(s), for example 'maybe'",
        "- column 'outcome': must be 'eaten' or 'wasted', or missing: 1 row(s), for example 'thrown'",
    ]


def test_tables_of_which_nothing_is_left_are_refused():
    assert "no row that can be used" in refusal(table().head(0))
    message = refusal(table().assign(category="pets"))
    assert "- unknown_category: " in message
    assert "400 row(s)" in message


def test_splits_without_both_fates_are_refused():
    message = refusal(table(), split=PurchaseSplit(test_start="2027-01-01"))
    assert "the test split has no row" in message
    assert "food_waste.split" in message
    message = refusal(table().assign(outcome=pc.EATEN))
    assert "the train split has no wasted item" in message
    message = refusal(table().assign(outcome=None))
    assert "labelled purchases are of 0 day(s)" in message
    message = refusal(
        table().assign(observed_until=START + pd.Timedelta(days=300)), label=WasteLabel(horizon_shelf_lives=99)
    )
    assert "labelled purchases are of" in message or "split has" in message


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        (PurchaseSource, {"columns": {"prices": "p"}}, r"'prices' is no canonical column. Did you mean 'price'\?"),
        (PurchaseSource, {"extra_columns": ["quantity"]}, "the name of a canonical column"),
        (PurchaseSource, {"extra_columns": ["is_labelled"]}, "the name of a canonical column"),
        (PurchaseSource, {"columns": {"is_wasted": "binned"}, "extra_columns": ["binned"]}, "tells the fate"),
        (PurchaseSource, {"since": "2025-01-01'; DROP TABLE purchases; --"}, "valid date"),
        (PurchaseSource, {"since": "2025-02-01", "until": "2025-02-01"}, "must be before until"),
        (WasteLabel, {"horizon_shelf_lives": 0}, "greater than 0"),
        (PurchaseSplit, {"test_share": 1}, "less than 1"),
        (PurchaseSplit, {"gap": 3}, "Extra inputs"),
    ],
)
def test_parameters_that_are_refused(model, parameters, message):
    with pytest.raises(ValidationError, match=message):
        model(**parameters)
