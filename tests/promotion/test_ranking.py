"""Promotion of recommenders: paired on the same held-out pairs, whatever ids they know."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.metrics.top_k import seen_items
from augury.pipelines.promotion.ranking import RankingPromotion, decide_ranking

USERS, ITEMS = 300, 40
PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00"}
RULES = RankingPromotion(replicates=200, min_groups=5)


class Recommender:
    """Looks scores up, by codes of its own."""

    def __init__(self, scores, user_ids, item_ids, seen):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.user_index = {name: code for code, name in enumerate(user_ids)}
        self.item_ids = np.array(item_ids, dtype=object)
        self.seen = seen
        self.popularity = np.linspace(1, 0, len(item_ids), dtype=np.float32)
        self.metadata = SimpleNamespace(
            family="toy",
            created_at="2026-01-01T00:00:00+00:00",
            data=SimpleNamespace(fingerprint="f" * 64),
            git_commit=None,
        )

    def score_users(self, users):
        return self.scores[users]


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(2)
    liking = random.normal(size=(USERS, ITEMS))
    order = np.argsort(-(liking + random.gumbel(size=liking.shape) / 2), axis=1)[:, :6]
    matrix = pd.DataFrame(
        {
            "user": np.repeat(np.arange(USERS), 6).astype(np.int32),
            "item": order[:, [1, 2, 3, 4, 5, 0]].ravel().astype(np.int32),
            "split": (["train"] * 4 + ["validation", "test"]) * USERS,
        }
    )
    known = matrix[matrix["split"] != "test"]
    negatives = matrix[matrix["split"] == "test"].assign(negatives=[list(range(20))] * USERS)
    return SimpleNamespace(
        matrix=matrix,
        negatives=negatives,
        users=pd.DataFrame({"user_id": [f"u{code}" for code in range(USERS)]}),
        items=pd.DataFrame({"item_id": [f"i{code}" for code in range(ITEMS)]}),
        seen=seen_items(known["user"].to_numpy(), known["item"].to_numpy(), USERS, ITEMS),
        exact=liking,
        blurred=liking + 1.5 * random.normal(size=liking.shape),
    )


def known_as(data, scores):
    return Recommender(scores, data.users["user_id"], data.items["item_id"], data.seen)


@pytest.fixture
def decide(data, version):
    def run(champion, challenger, matrix=data.matrix, negatives=data.negatives, **rules):
        return decide_ranking(
            version(1, champion),
            version(2, challenger),
            matrix,
            negatives,
            data.users,
            data.items,
            PROVENANCE,
            RULES.model_copy(update=rules),
            3,
        )

    return run


def test_the_better_list_is_promoted_and_the_worse_kept_out(data, decide):
    exact, blurred = known_as(data, data.exact), known_as(data, data.blurred)
    found = decide(blurred, exact)
    assert found["verdict"] == "promoted"
    assert found["holdout"] == {"rows": USERS, "groups": USERS}
    main = found["main"]
    assert main["metric"] == "ndcg_at_10"
    assert main["improvement"] == pytest.approx(main["challenger"] - main["champion"])
    assert 0 < main["lower"] < main["improvement"]
    assert set(found["metrics"]) == {"ndcg_at_10", "hr_at_10", "sampled_ndcg_at_10", "sampled_hr_at_10"}
    assert decide(exact, blurred)["verdict"] == "kept"
    assert decide(exact, exact)["verdict"] == "kept"


def test_ndcg_is_that_of_a_loop(data, decide):
    found = decide(known_as(data, data.blurred), known_as(data, data.exact))
    gains = []
    for user in range(USERS):
        rows = data.matrix[data.matrix["user"] == user]
        item = rows.loc[rows["split"] == "test", "item"].item()
        others = [other for other in range(ITEMS) if other not in set(rows["item"])]
        rank = sum(data.exact[user, other] > data.exact[user, item] for other in others)
        gains.append(1 / np.log2(rank + 2) if rank < 10 else 0)
    assert found["main"]["challenger"] == pytest.approx(np.mean(gains))


def test_codes_of_its_own_change_nothing(data, decide):
    users, items = np.random.default_rng(0).permutation(USERS), np.random.default_rng(1).permutation(ITEMS)
    champion = Recommender(
        data.blurred[np.ix_(users, items)],
        data.users["user_id"].iloc[users],
        data.items["item_id"].iloc[items],
        data.seen[users][:, items],
    )
    exact = known_as(data, data.exact)
    assert decide(champion, exact)["metrics"] == decide(known_as(data, data.blurred), exact)["metrics"]


def test_users_and_items_that_the_champion_does_not_know(data, decide):
    fewer = Recommender(
        data.exact[:200, :30], data.users["user_id"][:200], data.items["item_id"][:30], data.seen[:200, :30]
    )
    found = decide(fewer, known_as(data, data.exact))
    assert found["verdict"] == "promoted"
    assert found["main"]["champion"] < found["main"]["challenger"]


def test_pairs_that_one_of_them_learned_from_are_left_out(data, decide):
    test = data.matrix[data.matrix["split"] == "test"].iloc[:100]
    leaked = data.seen + seen_items(test["user"].to_numpy(), test["item"].to_numpy(), USERS, ITEMS)
    champion = Recommender(data.blurred, data.users["user_id"], data.items["item_id"], leaked.tocsr())
    assert decide(champion, known_as(data, data.exact))["holdout"] == {"rows": 200, "groups": 200}
    everything = seen_items(data.matrix["user"].to_numpy(), data.matrix["item"].to_numpy(), USERS, ITEMS)
    champion.seen = everything
    found = decide(champion, known_as(data, data.exact))
    assert found["verdict"] == "incompatible"
    assert "has learned from every pair of the split 'test'" in found["reason"]


def test_a_lower_hit_rate_keeps_a_challenger_out(data, decide):
    """One that puts what it finds first, but finds it less often."""
    wanted = data.matrix.loc[data.matrix["split"] == "test", "item"].to_numpy()
    champion = np.tile(-np.arange(ITEMS, dtype=float), (USERS, 1))
    challenger = champion.copy()
    users = np.arange(USERS)
    champion[users, wanted] = -7.5  # behind eight others, of which some are seen
    challenger[users, wanted] = np.where(users % 2 == 0, 1.0, -30.5)
    found = decide(known_as(data, champion), known_as(data, challenger))
    assert found["main"]["improvement"] > 0
    assert found["verdict"] == "kept"
    assert "but HR@10" in found["reason"]


def test_without_negatives_only_the_full_ranking_is_compared(data, decide):
    found = decide(known_as(data, data.blurred), known_as(data, data.exact), negatives=data.negatives.iloc[:0])
    assert set(found["metrics"]) == {"ndcg_at_10", "hr_at_10"}
    assert found["verdict"] == "promoted"


def test_what_ranks_nothing_is_incompatible(data, decide):
    other = known_as(data, data.exact)
    stranger = SimpleNamespace(metadata=other.metadata)
    assert "the champion is of family 'toy', which ranks no items" in decide(stranger, other)["reason"]
    elsewhere = Recommender(data.exact, [f"x{code}" for code in range(USERS)], data.items["item_id"], data.seen)
    assert "the champion knows none of the 300 users" in decide(elsewhere, other)["reason"]


def test_a_split_without_rows_is_refused(data, decide):
    with pytest.raises(UserError, match=r"no row of the feature table has the split 'later'; there are: test, train"):
        decide(known_as(data, data.exact), known_as(data, data.exact), split="later")
