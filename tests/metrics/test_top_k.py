import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import InputError
from augury.metrics import top_k

SIZES = (1, 3, 5)


class Table:
    """A scorer that looks its scores up."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.asked = []

    def score_users(self, users):
        self.asked.append(len(users))
        return self.scores[users]


def random_case(seed, users=12, items=15, levels=4, tests=1):
    """Coarse scores with many ties; each user has seen a third of the items, and has `tests` held-out ones."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, size=(users, items)).astype(np.float32)
    orders = np.argsort(generator.random((users, items)), axis=1)
    held_out = orders[:, :tests]
    seen = orders[:, tests : tests + items // 3]
    table = top_k.seen_items(np.repeat(np.arange(users), seen.shape[1]), seen.ravel(), users, items)
    positives = pd.DataFrame({"user": np.repeat(np.arange(users), tests), "item": held_out.ravel()})
    return scores, positives, table, seen


def all_orders(scores, candidates):
    """Every order of the candidates that their scores allow, equally likely."""
    levels = sorted({scores[item] for item in candidates}, reverse=True)
    groups = [[item for item in candidates if scores[item] == level] for level in levels]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [item for part in parts for item in part]


def naive_metrics(order, wanted, size):
    places = sorted(order.index(item) for item in wanted)
    within = [place for place in places if place < size]
    ideal = sum(1 / math.log2(place + 2) for place in range(min(len(wanted), size)))
    return {
        f"hr_at_{size}": float(bool(within)),
        f"ndcg_at_{size}": sum(1 / math.log2(place + 2) for place in within) / ideal,
        f"recall_at_{size}": len(within) / len(wanted),
        "mrr": 1 / (places[0] + 1),
    }


@pytest.mark.parametrize("tests", [1, 2, 3])
def test_metrics_are_the_mean_over_all_orders_of_tied_items(tests):
    scores, positives, table, seen = random_case(seed=tests, users=6, items=9, levels=3, tests=tests)
    judged = top_k.judge_scorer(Table(scores), positives, table, k=3)
    found = top_k.frame_metrics(judged, SIZES)
    for user in range(6):
        candidates = [item for item in range(9) if item not in seen[user]]
        wanted = positives.loc[positives["user"] == user, "item"].tolist()
        for size in SIZES:
            orders = [naive_metrics(order, wanted, size) for order in all_orders(scores[user], candidates)]
            for name in orders[0]:
                expected = np.mean([order[name] for order in orders])
                assert found.loc[user, name] == pytest.approx(expected), (user, name)


@pytest.mark.parametrize("seed", range(3))
def test_places_are_those_of_a_loop(seed):
    scores, positives, table, seen = random_case(seed)
    judged = top_k.judge_scorer(Table(scores), positives, table, k=4)
    for row in judged.itertuples():
        own = scores[row.user, row.item]
        others = [scores[row.user, item] for item in range(15) if item not in seen[row.user] and item != row.item]
        assert row.full_ties == sum(other == own for other in others)
        assert row.full_rank == sum(other > own for other in others) + row.full_ties / 2
        candidates = sorted(set(range(15)) - set(seen[row.user]), key=lambda item: (-scores[row.user, item], item))
        assert row.top.tolist() == candidates[:4]


@settings(max_examples=25, deadline=None)
@given(users=st.integers(1, 20), items=st.integers(4, 40), tests=st.integers(1, 2), k=st.integers(1, 12))
def test_constant_scores_are_as_good_as_chance(users, items, tests, k):
    _, positives, table, seen = random_case(users, users=users, items=items, tests=tests)
    judged = top_k.judge_scorer(Table(np.full((users, items), 3.0)), positives, table, k=k)
    found = top_k.mean_metrics(judged, [k])
    candidates = items - seen.shape[1]
    assert found[f"recall_at_{k}"] == pytest.approx(min(k / candidates, 1))
    if tests == 1:
        assert found["mrr"] == pytest.approx(np.mean(1 / np.arange(1, candidates + 1)))


def test_constant_scores_are_as_good_as_chance_among_sampled_items():
    positives = pd.DataFrame({"user": [0, 1], "item": [0, 1]})
    negatives = positives.assign(negatives=[list(range(100, 199)), list(range(200, 299))])
    table = top_k.seen_items(np.array([0]), np.array([5]), 2, 300)
    judged = top_k.judge_scorer(Table(np.zeros((2, 300))), positives, table, negatives, k=10)
    assert judged["sampled_rank"].tolist() == [49.5, 49.5]
    assert top_k.mean_metrics(judged, [10], top_k.SAMPLED)["hr_at_10"] == pytest.approx(0.1)
    # Mid ranks alone would say that no such list ever holds the item
    assert (judged["sampled_rank"] >= 10).all()


def test_repeated_negatives_and_the_positive_itself_do_not_count():
    scores = np.array([[5.0, 9.0, 5.0, 1.0, 7.0]])
    positives = pd.DataFrame({"user": [0], "item": [0]})
    negatives = positives.assign(negatives=[[1, 1, 0, 2, 3]])
    judged = top_k.judge_scorer(Table(scores), positives, top_k.seen_items([], [], 1, 5), negatives, k=2)
    assert judged["sampled_negatives"].tolist() == [3]
    assert judged["sampled_rank"].tolist() == [1.5]  # item 1 above, item 2 at it
    assert judged["full_rank"].tolist() == [2.5]


def test_a_pair_without_negatives_has_no_sampled_rank():
    scores, positives, table, _ = random_case(3)
    negatives = positives.iloc[[1]].assign(negatives=[[2, 3]])
    judged = top_k.judge_scorer(Table(scores), positives, table, negatives)
    assert judged["sampled_rank"].notna().tolist() == [row == 1 for row in range(len(positives))]
    assert len(top_k.frame_metrics(judged, [5], top_k.SAMPLED)) == 1


def test_sampled_items_of_one_user_are_averaged_not_mixed():
    found = top_k.user_metrics(np.array([7, 7]), np.array([0.0, 3.0]), np.array([0, 0]), [2], apart=True)
    assert found["hr_at_2"].tolist() == [0.5]
    assert found["ndcg_at_2"].tolist() == [0.5]
    assert found["mrr"].tolist() == pytest.approx([(1 + 1 / 4) / 2])
    together = top_k.user_metrics(np.array([7, 7]), np.array([0.0, 3.0]), np.array([0, 0]), [2])
    assert together["hr_at_2"].tolist() == [1.0]
    assert together["mrr"].tolist() == [1.0]


def test_blocks_and_the_order_of_pairs_change_nothing(monkeypatch):
    scores, positives, table, _ = random_case(4, users=30, tests=2)
    whole = top_k.judge_scorer(Table(scores), positives, table, k=5)
    monkeypatch.setattr(top_k, "CELLS_AT_ONCE", 15 * 4)
    scorer = Table(scores)
    parts = top_k.judge_scorer(scorer, positives.sample(frac=1, random_state=0), table, k=5).sort_index()
    assert max(scorer.asked) == 4
    assert sum(scorer.asked) == 30  # no user is scored twice
    pd.testing.assert_frame_equal(whole.drop(columns="top"), parts.drop(columns="top"))
    assert [row.tolist() for row in whole["top"]] == [row.tolist() for row in parts["top"]]


def test_the_list_is_shorter_where_there_are_fewer_candidates():
    table = top_k.seen_items(np.array([0, 0, 0]), np.array([0, 1, 1]), 1, 4)
    assert table.nnz == 2
    found = top_k.top_items(np.array([[9, 8, 2, 2]], dtype=np.float32), 6, table)
    assert found.tolist() == [[2, 3, -1, -1, -1, -1]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(wrong):
    scores, positives, table, _ = random_case(5)
    scores[3, 7] = wrong
    with pytest.raises(InputError, match=r"scores must be finite; 1 of 180 are not, for example item 7 in row 3"):
        top_k.judge_scorer(Table(scores), positives, table)


def test_scores_of_another_shape_are_refused():
    scores, positives, table, _ = random_case(6)
    with pytest.raises(InputError, match=r"12 users and 15 items have the shape \(12, 14\)"):
        top_k.judge_scorer(Table(scores[:, :-1]), positives, table)


def test_a_held_out_item_that_was_seen_is_refused():
    scores, positives, table, seen = random_case(7)
    positives.loc[4, "item"] = seen[4, 0]
    with pytest.raises(InputError, match="1 of 12 are, for example item"):
        top_k.judge_scorer(Table(scores), positives, table)


def test_negatives_of_two_splits_are_refused():
    scores, positives, table, _ = random_case(8)
    negatives = pd.concat([positives, positives.iloc[[2]]]).assign(negatives=lambda rows: [[0]] * len(rows))
    with pytest.raises(InputError, match="1 are repeated, for example user 2"):
        top_k.judge_scorer(Table(scores), positives, table, negatives)


def test_ranks_without_known_ties_still_count_halves():
    found = top_k.user_metrics(np.array([0]), np.array([9.5]), None, [10])
    assert found["hr_at_10"].tolist() == [0.5]
