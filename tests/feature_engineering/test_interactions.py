"""Negatives: fixed, fair and new to their users; weights: the known formulas, from training rows only."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.feature_engineering.interactions import (
    InteractionFeatures,
    build_interaction_features,
    build_matrix,
    sample_negatives,
)


def pairs(users=40, items=60, each=12, seed=0):
    """Pairs of users with different items, two of each user held out."""
    random = np.random.default_rng(seed)
    item = np.concatenate([random.permutation(items)[:each] for _ in range(users)])
    return pd.DataFrame(
        {
            "user": np.repeat(np.arange(users, dtype=np.int32), each),
            "item": item.astype(np.int32),
            "timestamp": np.tile(np.arange(each), users) + 1_700_000_000,
            "order": np.tile(np.arange(each), users),
            "weight": random.integers(1, 9, users * each).astype(np.float32),
            "split": np.tile(["train"] * (each - 2) + ["validation", "test"], users),
        }
    )


def catalogue(items):
    return pd.DataFrame({"item": np.arange(items, dtype=np.int32)})


@settings(max_examples=40)
@given(
    users=st.integers(1, 12),
    items=st.integers(4, 80),
    each=st.integers(3, 40),
    count=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_negatives_are_different_items_that_the_user_has_in_no_split(users, items, each, count, seed):
    table = pairs(users, items, min(each, items), seed)
    found = sample_negatives(table, catalogue(items), InteractionFeatures(negatives=count), seed)
    held = table[table["split"] != "train"]
    key = ["split", "user", "item"]
    assert sorted(map(tuple, found[key].to_numpy())) == sorted(map(tuple, held[key].to_numpy()))
    owned = table.groupby("user")["item"].agg(set)
    for row in found.itertuples():
        negatives = row.negatives.tolist()
        assert row.negatives.dtype == np.int32
        assert len(set(negatives)) == len(negatives) == min(count, items - len(owned[row.user]))
        assert not owned[row.user].intersection(negatives)
        assert all(0 <= item < items for item in negatives)


@pytest.mark.parametrize("count", [5, 30])
def test_negatives_depend_on_the_pairs_and_the_seed_not_on_the_rows_order(count):
    table, features = pairs(), InteractionFeatures(negatives=count)
    found = sample_negatives(table, catalogue(60), features, 3)
    again = sample_negatives(table.sample(frac=1, random_state=1), catalogue(60), features, 3)
    pd.testing.assert_frame_equal(found, again)
    assert list(found["split"]) == ["validation"] * 40 + ["test"] * 40
    other = sample_negatives(table, catalogue(60), features, 4)
    assert any((one != two).any() for one, two in zip(found["negatives"], other["negatives"], strict=True))


@pytest.mark.parametrize("count", [6, 20])
def test_every_unseen_item_is_as_likely(count):
    """Both ways of drawing: the count of each item is binomial."""
    table = pairs(1, 60, 12)
    many = pd.concat([table.assign(user=np.int32(user)) for user in range(1_500)])
    found = sample_negatives(many, catalogue(60), InteractionFeatures(negatives=count), 5)
    counts = np.bincount(np.concatenate(found["negatives"].to_list()), minlength=60)
    unseen = np.setdiff1d(np.arange(60), table["item"])
    expected, chance = len(found) * count / len(unseen), count / len(unseen)
    assert counts[table["item"]].sum() == 0
    z = (counts[unseen] - expected) / math.sqrt(expected * (1 - chance))
    assert np.abs(z).max() < 4
    # Also the order within a row is random: the first negative is as likely any
    first = np.bincount([row[0] for row in found["negatives"]], minlength=60)[unseen]
    assert np.abs((first - len(found) / len(unseen)) / math.sqrt(len(found) / len(unseen))).max() < 4.5


def test_a_user_who_has_everything_has_no_negatives():
    table = pairs(3, 12, 12)
    matrix, negatives, report = build_interaction_features(table, catalogue(12), InteractionFeatures(), 1)
    assert negatives["negatives"].map(len).tolist() == [0] * 6
    assert report["negatives"] == {"asked": 99, "rows": 6, "rows_with_fewer": 6, "fewest": 0}
    assert len(matrix) == 36


def test_without_held_out_pairs_there_is_nothing_to_judge_by():
    with pytest.raises(UserError, match="no pair is held out"):
        sample_negatives(pairs().assign(split="train"), catalogue(60), InteractionFeatures(), 1)


def test_the_plain_matrix_is_what_came():
    table = pairs()
    matrix = build_matrix(table, catalogue(60), InteractionFeatures())
    pd.testing.assert_frame_equal(matrix, table[["user", "item", "weight", "timestamp", "split"]])
    report = build_interaction_features(table, catalogue(60), InteractionFeatures(), 1)[2]
    assert report["rows"] == {"train": 400, "validation": 40, "test": 40}
    assert (report["users"], report["items"]) == (40, 60)


@pytest.mark.parametrize("weighting", ["tf_idf", "bm25"])
def test_weights_follow_the_formulas(weighting):
    table = pairs()
    features = InteractionFeatures(weighting=weighting, bm25_k1=50.0, bm25_b=0.6)
    matrix = build_matrix(table, catalogue(60), features)
    train = table[table["split"] == "train"]
    mean = train.groupby("user")["weight"].sum().mean()
    for row, found in zip(table.itertuples(), matrix["weight"], strict=True):
        of_item, of_user = (train["item"] == row.item).sum(), train.loc[train["user"] == row.user, "weight"].sum()
        idf = 1 + math.log(41 / (1 + of_item))
        if weighting == "tf_idf":
            expected = math.sqrt(row.weight) * idf
        else:
            expected = row.weight * 51 / (row.weight + 50 * (0.4 + 0.6 * of_user / mean)) * idf
        assert math.isclose(found, expected, rel_tol=1e-5)


@pytest.mark.parametrize("weighting", ["none", "tf_idf", "bm25"])
def test_no_weight_of_training_depends_on_what_is_held_out(weighting):
    table, features = pairs(), InteractionFeatures(weighting=weighting)
    held = (table["split"] != "train").to_numpy()
    changed = table.assign(weight=np.where(held, np.float32(77), table["weight"]))
    changed.loc[held, "item"] = np.int32(59)
    before, after = (build_matrix(frame, catalogue(60), features) for frame in (table, changed))
    pd.testing.assert_frame_equal(before[~held], after[~held])
    assert (before["weight"] > 0).all()
    # A user or an item that training does not know gets a weight like any other
    cold = pd.concat([table, table.tail(1).assign(user=np.int32(40), item=np.int32(60))], ignore_index=True)
    assert build_matrix(cold, catalogue(61), features)["weight"].gt(0).all()
