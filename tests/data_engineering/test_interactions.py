"""Interactions: any spelling in; pairs out, each once, new to its user where it is tested, weighed by the past only."""

import hashlib
import math
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.pipelines.data_engineering.interaction_report import gini
from augury.pipelines.data_engineering.interaction_sources import InteractionSource
from augury.pipelines.data_engineering.interaction_split import InteractionSplit, tie_breakers
from augury.pipelines.data_engineering.interactions import prepare_interactions
from augury.pipelines.data_engineering.k_core import KCore, find_k_core
from augury.schemas.interactions import Interactions

NO_ITEMS = pd.DataFrame()
ALL = KCore(users=1, items=1)
SOURCE = InteractionSource(k_core=ALL)
START = pd.Timestamp("2025-03-01")
DAY = 86_400


def log(*events):
    """A raw table of (user, item, day[, type[, rating]])."""
    rows = [(*event, *(None, None))[:5] for event in events]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "day", "interaction_type", "implicit_rating"])
    return table.assign(timestamp=START + pd.to_timedelta(table.pop("day"), unit="D")).dropna(axis=1, how="all")


def random_log(rows=3_000, users=60, items=40, seed=0, moments=500):
    """Many repetitions and ties."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": random.integers(0, users, rows),
            "item_id": random.zipf(1.5, rows) % items,
            "timestamp": START + pd.to_timedelta(random.integers(0, moments, rows), unit="h"),
            "interaction_type": random.choice(["view", "click", "cart", "purchase"], rows),
            "implicit_rating": random.integers(1, 6, rows).astype(float),
        }
    )


def prepare(raw, source=SOURCE, split=None, items=NO_ITEMS, seed=3):
    return prepare_interactions(raw, items, source, split or InteractionSplit(), seed)


def named(raw, source=SOURCE, split=None, seed=3):
    """The pairs with their identifiers: user, item, split, weight, day, order."""
    primary, users, items, _ = prepare(raw, source, split, seed=seed)
    return pd.DataFrame(
        {
            "user": users["user_id"].to_numpy()[primary["user"]],
            "item": items["item_id"].to_numpy()[primary["item"]],
            "split": primary["split"],
            "weight": primary["weight"].astype(float),
            "day": (primary["timestamp"] - int(START.timestamp())) / DAY,
            "order": primary["order"],
        }
    )


def refusal(raw, source=SOURCE, split=None):
    with pytest.raises(UserError) as caught:
        prepare(raw, source, split)
    return str(caught.value)


def of_split(frame, name):
    return sorted(zip(*(frame.loc[frame["split"] == name, column] for column in ("user", "item")), strict=True))


# --- the split ---

WEEK = log(("ann", "a", 0), ("ann", "b", 1), ("ann", "c", 2), ("ann", "d", 3), ("bob", "a", 5), ("bob", "c", 4))


def test_the_last_item_is_the_test_and_the_one_before_the_validation():
    frame = named(WEEK)
    assert of_split(frame, "test") == [("ann", "d")]
    assert of_split(frame, "validation") == [("ann", "c")]
    # Two items are too few to hold any out
    assert of_split(frame, "train") == [("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "c")]
    assert frame["order"].tolist() == [0, 1, 2, 3, 0, 1]
    assert frame.loc[4:, "item"].tolist() == ["c", "a"]


def test_types_names_and_order_of_what_comes_out():
    primary, users, items, report = prepare(random_log())
    assert primary.dtypes.astype(str).to_dict() == {
        "user": "int32",
        "item": "int32",
        "timestamp": "int64",
        "order": "int64",
        "weight": "float32",
        "split": "object",
    }
    assert users.dtypes.astype(str).to_dict() == {"user": "int32", "user_id": "object", "interactions": "int64"}
    assert list(items) == ["item", "item_id", "interactions", "first_seen", "text", "category"]
    assert (users["user"] == range(len(users))).all()
    assert (items["item"] == range(len(items))).all()
    assert not primary.duplicated(["user", "item"]).any()
    pd.testing.assert_frame_equal(primary, primary.sort_values(["user", "order"], ignore_index=True))
    train = primary[primary["split"] == "train"]
    assert users["interactions"].tolist() == np.bincount(train["user"], minlength=len(users)).tolist()
    assert items["interactions"].tolist() == np.bincount(train["item"], minlength=len(items)).tolist()
    assert items["first_seen"].tolist() == primary.groupby("item")["timestamp"].min().tolist()
    assert items["text"].isna().all()
    assert sum(side["pairs"] for side in report["splits"].values()) == report["pairs"] == len(primary)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), repeats_at=st.sampled_from(["first", "last"]))
def test_each_split_follows_the_one_before_in_time(seed, repeats_at):
    primary, *_ = prepare(random_log(400, 12, 20, seed), InteractionSource(k_core=ALL, repeats_at=repeats_at))
    for _, rows in primary.groupby("user"):
        assert rows["timestamp"].is_monotonic_increasing
        words = rows["split"].tolist()
        expected = ["train"] * len(words)
        if len(words) >= 3:
            expected[-2:] = ["validation", "test"]
        assert words == expected


def test_a_test_item_is_new_to_its_user():
    raw = log(("ann", "a", 0), ("ann", "b", 1), ("ann", "c", 2), ("ann", "a", 3))
    assert of_split(named(raw), "test") == [("ann", "c")]
    # With the last meeting it is what was taken again, as if it had never been seen
    assert of_split(named(raw, InteractionSource(k_core=ALL, repeats_at="last")), "test") == [("ann", "a")]


def test_two_moments_divide_all_users_alike():
    raw = random_log(2_000, 80, 200, 5)
    primary, _, _, report = prepare(raw, split=InteractionSplit(kind="global_time", test_share=0.2))
    train, validation, test = (
        primary[primary["split"] == name]["timestamp"] for name in ("train", "validation", "test")
    )
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert len(test) / len(primary) == pytest.approx(0.2, abs=0.02)
    assert len(validation) / len(primary) == pytest.approx(0.1, abs=0.02)
    assert pd.Timestamp(report["split"]["test_from"]).timestamp() == test.min()


def test_who_is_cold_in_the_test_stays_and_is_counted():
    raw = log(*[("ann", f"i{day}", day) for day in range(18)], ("new", "i1", 18), ("ann", "born", 19))
    primary, users, items, report = prepare(raw, split=InteractionSplit(kind="global_time"))
    side = report["splits"]["test"]
    assert (side["pairs"], side["cold_users"], side["cold_items"]) == (2, 1, 1)
    assert (side["pairs_of_cold_users"], side["pairs_of_cold_items"]) == (1, 1)
    assert users.set_index("user_id")["interactions"].to_dict() == {"ann": 16, "new": 0}
    assert items.set_index("item_id")["interactions"]["born"] == 0
    assert (primary["split"] == "test").sum() == 2


def test_ties_are_broken_by_the_seed_or_by_the_file():
    raw = log(*[(f"u{user}", f"i{item:02d}", item // 10) for user in range(30) for item in range(20)])
    by_file = named(raw, split=InteractionSplit(ties="file"))
    assert {item for _, item in of_split(by_file, "test")} == {"i19"}
    drawn, other = of_split(named(raw), "test"), of_split(named(raw, seed=4), "test")
    assert drawn != other
    assert {item for _, item in drawn} <= {f"i{item}" for item in range(10, 20)}
    assert len({item for _, item in drawn}) > 5
    note = prepare(raw)[-1]["notes"][0]
    assert re.match("The last moment of 30 of 30 users has several items", note)


@pytest.mark.parametrize("kind", ["leave_last_out", "global_time", "random"])
def test_the_order_of_the_rows_does_not_matter(kind):
    raw, split = random_log(), InteractionSplit(kind=kind)
    shuffled = raw.sample(frac=1, random_state=1)
    for found, again in zip(prepare(raw, split=split)[:3], prepare(shuffled, split=split)[:3], strict=True):
        pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize("times", [None, 0, 1291733820])
def test_without_times_the_split_is_random_and_the_report_says_so(times):
    raw = random_log().drop(columns="timestamp")
    raw = raw if times is None else raw.assign(timestamp=times)
    primary, _, _, report = prepare(raw)
    assert report["split"] == {"asked": "leave_last_out", "used": "random", "ties": "random"}
    assert "random instead of leave_last_out" in report["notes"][0]
    assert not primary["timestamp"].any()
    sizes = primary.groupby("user")["split"].value_counts().unstack()
    assert (sizes[["validation", "test"]] == 1).all(axis=None)
    assert of_split(named(raw), "test") != of_split(named(raw, seed=4), "test")


def test_a_random_split_of_known_times_keeps_them():
    primary, *_ = prepare(random_log(), split=InteractionSplit(kind="random"))
    held = primary[primary["split"] == "test"]
    latest = primary.groupby("user")["timestamp"].max()
    assert (held["timestamp"].to_numpy() < latest[held["user"]].to_numpy()).mean() > 0.5


# --- weights ---


def weights(raw, **source):
    frame = named(raw, InteractionSource(k_core=ALL, **source))
    return {(user, item): weight for user, item, weight in frame[["user", "item", "weight"]].itertuples(index=False)}


SHOP = log(
    ("ann", "a", 0, "view", 0.5),
    ("ann", "a", 1, "Purchase", 5.0),
    ("ann", "a", 2, "click", 1.0),
    ("ann", "b", 3, "cart", 2.0),
    ("ann", "c", 4, "view", 3.0),
    ("ann", "d", 5, "wish", 4.0),
    ("ann", "e", 6, None, 2.5),
    ("ann", "f", 7, "view", None),
    ("ann", "g", 8, "view", 1.0),
)


@pytest.mark.parametrize(
    ("source", "of_a", "of_rest"),
    [
        ({}, 7.0, [3.0, 1.0, 1.0, 2.5, 1.0, 1.0]),
        ({"merge": "max"}, 4.0, [3.0, 1.0, 1.0, 2.5, 1.0, 1.0]),
        ({"merge": "last"}, 2.0, [3.0, 1.0, 1.0, 2.5, 1.0, 1.0]),
        ({"weigh_by": "rating"}, 6.5, [2.0, 3.0, 4.0, 2.5, 1.0, 1.0]),
        ({"weigh_by": "product"}, 0.5 + 20 + 2, [6.0, 3.0, 4.0, 2.5, 1.0, 1.0]),
        ({"type_weights": {"VIEW": 2.0}, "default_weight": 0.5}, 3.0, [0.5, 2.0, 0.5, 2.5, 2.0, 2.0]),
    ],
)
def test_weights_come_from_types_and_ratings(source, of_a, of_rest):
    found = weights(SHOP, **source)
    assert found["ann", "a"] == of_a
    assert [found["ann", item] for item in "bcdefg"] == of_rest


def test_types_without_a_weight_are_counted_or_set_aside():
    report = prepare(SHOP)[-1]
    assert report["types"]["wish"] == {"rows": 1, "weight": 1.0, "known": False}
    assert report["types"]["view"] == {"rows": 4, "weight": 1.0, "known": True}
    assert report["types"]["(none)"]["rows"] == 1
    assert "such as 'wish'" in report["notes"][-1]
    strict = InteractionSource(k_core=ALL, default_weight=None)
    report = prepare(SHOP, strict)[-1]
    assert report["set_aside"] == {"unknown_type": 1}
    assert report["set_aside_examples"] == {"unknown_type": "user 'ann' and item 'd'"}
    message = refusal(SHOP, strict.model_copy(update={"invalid": "refuse"}))
    assert "unknown_type" in message
    assert "1 row(s), for example user 'ann' and item 'd'" in message


def test_interactions_lose_half_their_weight_with_age():
    found = weights(SHOP, half_life_days=2.0, type_weights={"cart": 3.0, "view": 1.0})
    # Training ends on day 6; what is held out is younger than that, and does not weigh more
    assert found["ann", "e"] == 2.5
    assert found["ann", "b"] == pytest.approx(3.0 * 2 ** (-3 / 2))
    assert found["ann", "c"] == pytest.approx(0.5)
    assert found["ann", "a"] == pytest.approx(2 ** (-6 / 2) + 2 ** (-5 / 2) + 2 ** (-4 / 2))
    assert found["ann", "f"] == found["ann", "g"] == 1.0


@pytest.mark.parametrize("kind", ["leave_last_out", "global_time"])
@pytest.mark.parametrize("merge", ["sum", "max", "last"])
def test_no_weight_of_training_depends_on_what_came_later(kind, merge):
    raw = random_log(1_500, 30, 60, 2)
    source = InteractionSource(k_core=ALL, merge=merge, half_life_days=5.0)
    split = InteractionSplit(kind=kind, test_share=0.3)
    frame = named(raw, source, split)
    # When each user's training ends: at the first held-out pair
    held = frame[frame["split"] != "train"].groupby("user")["day"].min()
    ends = held if kind == "leave_last_out" else pd.Series(held.min(), index=frame["user"].unique())
    day = (raw["timestamp"] - START) / pd.Timedelta(days=1)
    later = (day > raw["user_id"].astype(str).map(ends)).to_numpy()
    assert later.sum() > 100
    changed = raw.copy()
    changed.loc[later, "interaction_type"] = "purchase"
    again = named(changed, source, split)
    train = frame["split"] == "train"
    pd.testing.assert_frame_equal(frame[train], again[train])
    assert not frame[~train].equals(again[~train])


def test_repeated_lines_are_one_event_but_without_times_many():
    raw = pd.concat([log(("ann", "a", 0), ("ann", "a", 0), ("ann", "b", 1), ("ann", "c", 2), ("ann", "d", 3))] * 2)
    assert weights(raw)["ann", "a"] == 1.0
    assert prepare(raw)[-1]["repeated_rows"] == 6
    assert weights(raw.drop(columns="timestamp"))["ann", "a"] == 4.0


# --- rows that make no sense ---


def test_rows_that_break_a_rule_are_counted_with_an_example():
    raw = random_log().astype({"user_id": object, "item_id": object})
    for row, (column, value) in enumerate(
        [("user_id", None), ("user_id", ""), ("item_id", " "), ("timestamp", pd.NaT), ("implicit_rating", 0.0)]
    ):
        raw.loc[row, column] = value
    source = InteractionSource(k_core=ALL, minimum_rating=2.0, weigh_by="rating")
    report = prepare(raw, source)[-1]
    low = (raw["implicit_rating"][5:] < 2).sum()
    expected = {"missing_user": 2, "missing_item": 1, "missing_time": int(raw["implicit_rating"][3] >= 2)}
    assert report["set_aside"] == {
        **{rule: rows for rule, rows in expected.items() if rows},
        "low_rating": low + 1 + (raw["implicit_rating"][3] < 2),
    }
    assert report["rows_read"] == len(raw)
    assert report["set_aside_examples"]["missing_user"].startswith("user 'missing' and item '")
    report = prepare(raw, InteractionSource(k_core=ALL, weigh_by="rating"))[-1]
    assert report["set_aside"]["no_weight"] == 1
    message = refusal(raw, InteractionSource(k_core=ALL, invalid="refuse"))
    assert "- missing_user: user_id is missing: 2 row(s)" in message


def test_columns_may_have_other_names():
    raw = WEEK.rename(columns={"user_id": "userId", "item_id": "movieId"})
    message = refusal(raw)
    assert "required column missing: 'user_id' (Did you mean 'userId'?)" in message
    renamed = InteractionSource(k_core=ALL, columns={"user_id": "userId", "item_id": "movieId"})
    pd.testing.assert_frame_equal(named(raw, renamed), named(WEEK))
    assert "there is no column 'user'" in refusal(raw, InteractionSource(columns={"user_id": "user"}))
    with pytest.raises(ValidationError, match="'users' is no canonical column"):
        InteractionSource(columns={"users": "userId"})
    cells = raw.assign(when=["soon", *raw["timestamp"].astype(str)[1:]]).drop(columns="timestamp")
    message = refusal(cells, renamed.model_copy(update={"columns": {**renamed.columns, "timestamp": "when"}}))
    assert "column 'when': must be a time" in message
    assert "1 row(s), for example 'soon'" in message


def test_only_the_asked_interval_is_read():
    frame = named(WEEK, InteractionSource(k_core=ALL, since="2025-03-02", until="2025-03-06"))
    assert frame["day"].min() == 1
    assert frame["day"].max() == 4


def test_what_cannot_be_split_is_refused():
    assert "no user has 3 different items" in refusal(log(("ann", "a", 0), ("bob", "a", 1)))
    assert "nothing is left of 6 pairs" in refusal(WEEK, InteractionSource())
    same = WEEK.assign(timestamp=[START, *[START + pd.Timedelta(days=1)] * 5])
    assert "too many lie in one moment" in refusal(same, split=InteractionSplit(kind="global_time"))
    with pytest.raises(ValidationError, match="leave no training"):
        InteractionSplit(test_share=0.6, validation_share=0.5)
    with pytest.raises(ValidationError, match="not finite and at least 0"):
        InteractionSource(type_weights={"view": -1.0})


# --- items ---


def test_texts_of_items_come_from_their_table():
    items = pd.DataFrame(
        {
            "item_id": ["a", "b", "b", "z", None],
            "text": [" Apples ", None, "Later", "Unknown", "x"],
            "category": ["fruit", 3, "x", "y", "z"],
        }
    )
    *_, found, report = prepare(WEEK, items=items)
    assert found["text"].tolist() == ["Apples", None, None, None]
    assert found["category"].tolist() == ["fruit", "3", None, None]
    assert report["items_table"] == {
        "rows": 5,
        "repeated": 1,
        "without_interactions": 1,
        "interactions_without_row": 2,
    }
    *_, found, _ = prepare(WEEK.assign(item_id=[1, 2, 3, 4, 1, 3]), items=pd.DataFrame({"item_id": [1.0, 4.0]}))
    assert found["item_id"].tolist() == ["1", "2", "3", "4"]
    with pytest.raises(UserError, match=r"recommendation\.items: required column missing"):
        prepare(WEEK, items=pd.DataFrame({"id": [1]}))


# --- the k-core ---


def naive_k_core(pairs, users, items):
    """One at a time, until nobody and nothing has to go."""
    left = set(pairs)
    while True:
        few = [
            pair
            for pair in left
            if sum(other[0] == pair[0] for other in left) < users or sum(other[1] == pair[1] for other in left) < items
        ]
        if not few:
            return left
        left.discard(min(few))


@settings(max_examples=25)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40),
    users=st.integers(1, 4),
    items=st.integers(1, 4),
)
def test_the_k_core_is_what_a_slow_loop_leaves(pairs, users, items):
    user, item = np.array(sorted(pairs)).T
    kept, rounds = find_k_core(user, item, KCore(users=users, items=items))
    assert set(zip(user[kept].tolist(), item[kept].tolist(), strict=True)) == naive_k_core(pairs, users, items)
    assert sum(of["interactions"] for of in rounds) == (~kept).sum()


def chain():
    """A block that holds together, and a tail of which each step holds the next one."""
    block = [(f"u{user}", f"i{item}", user + 4 * item) for user in range(4) for item in range(4)]
    tail = [("t1", "i1", 20), ("t1", "x1", 21), ("t1", "x2", 22), ("t2", "x2", 23)]
    return log(*block, *tail)


def test_the_rounds_of_the_k_core_are_reported():
    source = InteractionSource(k_core=KCore(users=2, items=2))
    primary, users, _, report = prepare(chain(), source)
    # t2 and x1 go first; then x2 has t1 alone; then t1 has i1 alone
    assert report["k_core"]["rounds"] == [
        {"users": 1, "items": 1, "interactions": 2},
        {"users": 0, "items": 1, "interactions": 1},
        {"users": 1, "items": 0, "interactions": 1},
    ]
    assert users["user_id"].tolist() == ["u0", "u1", "u2", "u3"]
    assert len(primary) == 16


def test_a_k_core_of_training_rows_leaves_the_test_alone():
    source = InteractionSource(k_core=KCore(users=2, items=2, counts="train"))
    primary, users, _, report = prepare(chain(), source)
    assert users["user_id"].tolist() == ["t1", "u0", "u1", "u2", "u3"]
    # t1 has one item each for the three splits, and one training row is not enough
    assert users["interactions"].tolist() == [0, 2, 2, 2, 2]
    assert report["splits"]["test"]["cold_users"] == 1
    assert (primary["split"] == "test").sum() == 5


# --- the report ---


def test_the_report_counts_what_is_there():
    raw = random_log()
    primary, users, items, report = prepare(raw)
    assert report["sparsity"] == pytest.approx(1 - len(primary) / (len(users) * len(items)))
    assert report["times"]["first"] == pd.to_datetime(primary["timestamp"].min(), unit="s").isoformat()
    events = raw.drop_duplicates(["user_id", "item_id", "timestamp", "interaction_type"])
    assert report["repeated_rows"] == len(raw) - len(events)
    assert report["merged_events"] == len(events) - len(primary)
    counts = np.sort(items["interactions"])[::-1]
    assert report["popularity"]["share_of_most_popular"] == pytest.approx(counts[:4].sum() / counts.sum())
    assert report["activity"]["most"] == users["interactions"].max()


def test_gini_is_the_mean_difference():
    counts = np.array([0, 1, 1, 4, 10])
    differences = np.abs(counts[:, None] - counts).sum()
    assert gini(counts) == pytest.approx(differences / (2 * len(counts) ** 2 * counts.mean()))
    assert gini(np.full(7, 3)) == pytest.approx(0)
    assert gini(np.zeros(3)) is None


# --- engines ---


def test_every_engine_gives_the_same(frame_engine):
    raw = random_log().astype({"item_id": str})
    raw.loc[:3, "interaction_type"] = None
    source = InteractionSource(k_core=KCore(users=5, items=3), half_life_days=3.0)
    native = frame_engine.make(raw)
    found = prepare(Interactions.validate(native), source)
    expected = prepare(raw, source)
    for frame, same in zip(found[:3], expected[:3], strict=True):
        pd.testing.assert_frame_equal(frame, same)
    assert found[3] == expected[3]
    if frame_engine.name == "spark":
        with pytest.raises(UserError, match="a Spark table has no order of rows"):
            prepare(native, split=InteractionSplit(ties="file"))


def test_known_answer_of_the_tie_breaker():
    """Another way to the same numbers: whole Python integers."""

    def digest(text):
        return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "little")

    mask = 2**64 - 1
    mixed = (digest("3:u:ann") + digest("3:i:b") * 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    identifiers = (np.array(["ann"], dtype=object), np.array(["a", "b"], dtype=object))
    found = tie_breakers(np.array([0, 0]), np.array([0, 1]), identifiers, 3)
    assert int(found[1]) == mixed ^ (mixed >> 31)


def test_half_lives_are_those_of_the_formula():
    frame = named(WEEK, InteractionSource(k_core=ALL, half_life_days=7.0))
    # The last training pair is bob's of day 5
    expected = {("ann", "a"): 5, ("ann", "b"): 4, ("ann", "c"): 3, ("ann", "d"): 2, ("bob", "a"): 0, ("bob", "c"): 1}
    for row in frame.itertuples():
        assert math.isclose(row.weight, 2 ** (-expected[row.user, row.item] / 7), rel_tol=1e-6)
    assert all(first <= second for first, second in pairwise(frame.loc[frame["user"] == "ann", "weight"]))
