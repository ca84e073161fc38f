"""The simulated shop: the promised size and shape, and tastes that can be learnt, up to what an oracle knows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from augury.pipelines.collection.interaction_catalogue import NOUNS, STYLES
from augury.pipelines.collection.interaction_simulation import (
    KINDS,
    InteractionSimulation,
    create_synthetic_interactions,
    oracle_scores,
)
from augury.schemas.interactions import Interactions, Items

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "01_raw" / "recommendation"


@pytest.fixture(scope="module")
def sample():
    return pd.read_parquet(FOLDER / "interactions.parquet")


@pytest.fixture(scope="module")
def items():
    return pd.read_parquet(FOLDER / "items.parquet")


@pytest.fixture(scope="module")
def configured():
    """Parameters and seed of the committed sample."""
    file = ROOT / "conf/base/parameters/recommendation.yml"
    parameters = yaml.safe_load(file.read_text())["recommendation"]
    return InteractionSimulation.model_validate(parameters["collection"]), parameters["seed"]


def first_meetings(table):
    """Each user's different items, by the time of the first meeting."""
    return table.drop_duplicates(["user_id", "item_id"])


def full_ranks(scores, seen, held):
    """Rank of each user's held-out item among those not seen; ties count half."""
    scores = np.where(seen, -np.inf, scores)
    positive = scores[np.arange(len(held)), held][:, None]
    return (scores > positive).sum(axis=1) + ((scores == positive).sum(axis=1) - 1) / 2


def ndcg(ranks):
    return np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean()


def test_the_parameters_make_the_committed_tables(sample, items, configured):
    again, texts = create_synthetic_interactions(*configured)
    pd.testing.assert_frame_equal(again, sample, check_exact=True)
    pd.testing.assert_frame_equal(texts, items)


def test_the_committed_tables_are_valid_and_of_the_promised_size(sample, items):
    Interactions.validate(sample)
    Items.validate(items)
    assert len(sample) >= 60_000
    assert sample["user_id"].nunique() == 1_500
    assert len(items) == items["item_id"].nunique() == 1_000
    assert first_meetings(sample).groupby("user_id").size().min() >= 15
    assert (FOLDER / "interactions.parquet").stat().st_size < 1e6
    assert (FOLDER / "items.parquet").stat().st_size < 1e5


def test_times_ascend_and_kinds_deepen(sample):
    assert sample["timestamp"].is_monotonic_increasing
    assert set(sample["interaction_type"]) == set(KINDS)
    share = sample["interaction_type"].value_counts(normalize=True)
    assert share["view"] > 0.5
    assert share["purchase"] > 0.05
    assert (first_meetings(sample)["interaction_type"] == "view").all()
    rating = sample.groupby("interaction_type")["implicit_rating"].mean()
    assert rating[list(KINDS)].is_monotonic_increasing
    assert sample["implicit_rating"].between(0.5, 5).all()


def test_popularity_is_skewed_and_items_are_born(sample):
    first = first_meetings(sample)
    counts = first["item_id"].value_counts()
    assert counts.iloc[:100].sum() / counts.sum() > 0.3
    born = first.groupby("item_id")["timestamp"].min()
    late = (born > sample["timestamp"].min() + pd.Timedelta(days=60)).mean()
    assert 0.1 < late < 0.4


def test_descriptions_name_category_and_style(items):
    adjectives = {word for pair in STYLES for word in pair}
    for row in items.itertuples():
        text = row.text.lower()
        assert row.category in text
        assert any(noun in text for noun in NOUNS[row.category])
        assert sum(word in text for word in adjectives) >= 2
    assert items["category"].value_counts().max() < 100


@pytest.fixture(scope="module")
def judged(sample, items, configured):
    """NDCG@10 in full ranking of each user's last item, by popularity, EASE, and the true utilities."""
    users, user_ids = pd.factorize(first_meetings(sample)["user_id"])
    first = first_meetings(sample).assign(user=users)
    item = pd.Index(items["item_id"]).get_indexer(first["item_id"])
    last = ~first.duplicated("user", keep="last").to_numpy()
    held = np.empty(len(user_ids), dtype=int)
    held[users[last]] = item[last]
    seen = np.zeros((len(user_ids), len(items)))
    seen[users[~last], item[~last]] = 1
    # EASE (Steck 2019)
    gram = seen.T @ seen
    gram[np.diag_indices(len(items))] += 200
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scores, names, columns = oracle_scores(*configured)
    truth = scores[pd.Index(names).get_indexer(user_ids)]
    assert columns.tolist() == items["item_id"].tolist()
    candidates = {"popularity": np.broadcast_to(seen.sum(axis=0), seen.shape), "ease": seen @ weights, "oracle": truth}
    return {name: ndcg(full_ranks(found, seen > 0, held)) for name, found in candidates.items()}


def test_tastes_can_be_learnt_but_not_all_of_them(judged):
    assert judged["ease"] > 1.5 * judged["popularity"]
    assert judged["oracle"] > 1.5 * judged["ease"]
    assert judged["popularity"] > 1.5 * 10 / 1_000 * 0.4544  # the expected NDCG@10 of a random order


def test_every_seed_is_another_shop_and_the_same_seed_the_same():
    small = InteractionSimulation(users=30, items=80, months=3, least_items=5, mean_items=8)
    table, texts = create_synthetic_interactions(small, 1)
    again, _ = create_synthetic_interactions(small, 1)
    pd.testing.assert_frame_equal(table, again)
    assert not table.equals(create_synthetic_interactions(small, 2)[0])
    assert len(texts) == 80
    counts = first_meetings(table).groupby("user_id").size()
    assert len(counts) == 30
    assert counts.min() >= 5
    assert table["timestamp"].max() < pd.Timestamp("2025-01-01") + pd.Timedelta(days=91)


def test_tastes_drift():
    """With drift, what a user took first says less about what comes last."""

    def agreement(drift):
        changes = {"users": 300, "items": 200, "drift": drift, "style": 0.0, "popularity": 0.0, "born_later": 0.0}
        table, texts = create_synthetic_interactions(InteractionSimulation(**changes), 5)
        first = first_meetings(table).merge(texts, on="item_id")
        month = (first["timestamp"] - first["timestamp"].min()).dt.days // 30
        shares = [
            pd.crosstab(first["user_id"][inside], first["category"][inside], normalize="index")
            for inside in (month < 4, month >= 8)
        ]
        both = shares[0].index.intersection(shares[1].index)
        return (shares[0].loc[both] * shares[1].loc[both]).sum(axis=1).mean()

    assert agreement(1.0) < 0.8 * agreement(0.0)


def test_impossible_shops_are_refused():
    with pytest.raises(ValidationError, match=r"mean_items \(10\) must be at least least_items \(15\)"):
        InteractionSimulation(mean_items=10)
    with pytest.raises(ValidationError, match="at most half of the items that are on sale"):
        InteractionSimulation(items=20)
