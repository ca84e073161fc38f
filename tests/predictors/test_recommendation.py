"""The recommender as it is served: the contract, filters, new users, new items, and the exported graphs."""

import numpy as np
import pandas as pd
import pytest

from augury.checkpointing import NoCheckpoints
from augury.errors import InputError, UserError
from augury.pipelines.model_training.collaborative_filtering import train_recommender
from augury.pipelines.model_training.recommender_models import RecommenderModel
from augury.predictors import content_map, load_predictor
from augury.predictors.checks import check_predictor
from augury.predictors.content_map import ContentMap, fit_content_map
from augury.predictors.recommendation import Recommender
from augury.predictors.recommender_scorers import SPREAD, Mixture, NeuralScorer, PopularityScorer, standardised
from augury.predictors.user_histories import Histories, Recency

USERS, ITEMS = 60, 40
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
SMALL = {
    "ease": {"l2": [10.0], "half_life": [None, 4.0]},
    "item_knn": {"neighbours": [10], "half_life": [None]},
    "ials": {"factors": 6, "epochs": 4, "unobserved_weight": [0.2], "regularisation": [0.01], "half_life": [None]},
    "gmf": {"embedding": 4, "epochs": 1, "layers": [4]},
    "mlp": {"embedding": 4, "epochs": 1, "layers": [6, 4]},
    "neumf": {"embedding": 4, "epochs": 2, "layers": [6, 4], "stopping_users": 20},
}


def tables(seed=0):
    """Users of two tastes, each of half of the items; the last two of a user are held out."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        own = np.arange(ITEMS) % 2 == user % 2
        chance = np.where(own, 8.0, 1.0)
        for place, item in enumerate(random.choice(ITEMS, 12, replace=False, p=chance / chance.sum())):
            split = "train" if place < 10 else ("validation", "test")[place - 10]
            rows.append((user, item, 1.0 + (item % 3 == 0), 1000 + place, split))
    matrix = pd.DataFrame(rows, columns=["user", "item", "weight", "timestamp", "split"])
    held_out = matrix[matrix["split"] != "train"]
    negatives = [np.setdiff1d(np.arange(ITEMS), matrix.loc[matrix["user"] == user, "item"])[:9]
                 for user in held_out["user"]]  # fmt: skip
    return (
        matrix,
        held_out[["user", "split", "item"]].assign(negatives=negatives),
        pd.DataFrame({"user": range(USERS), "user_id": [f"user {user}" for user in range(USERS)]}),
        pd.DataFrame({"item": range(ITEMS), "item_id": [f"i{item}" for item in range(ITEMS)]}),
    )


def train(**model):
    return train_recommender(
        *tables(), {}, {}, RecommenderModel.model_validate(SMALL | model), 3, NoCheckpoints(), PROVENANCE
    )


@pytest.fixture(scope="module")
def predictor():
    # Given weights: on so little data, a search might leave a member out
    parts = [train(kind=kind)[0] for kind in ("ease", "item_knn", "ials", "neumf")]
    members = [part.mixture.members[0] for part in parts]
    one = parts[0]
    return Recommender(
        one.metadata, Mixture(members, [0.4, 0.2, 0.2, 0.2]), one.histories, one.popularity, list(one.user_ids),
        list(one.item_ids), example=one.example,
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    return pd.DataFrame(
        {
            "user_id": [*(f"user {user}" for user in range(0, 60, 6)), "nobody", "nobody", None, None],
            "history": [None, "i0;i2", *[None] * 8, None, "i1; i3;unheard of", "i4", None],
            "k": [None, 1, 5, 40, *[None] * 10],
        }
    )


def test_it_keeps_the_contract(predictor, asked, tmp_path):
    check_predictor(predictor, asked, tmp_path)


@pytest.mark.parametrize("kind", ["popularity", "gmf", "mlp"])
def test_every_kind_survives_its_directory(kind, asked, tmp_path):
    predictor = train(kind=kind)[0]
    predictor.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load_predictor(tmp_path / "model").predict(asked), predictor.predict(asked))


def test_lists_are_the_best_unseen_items(predictor):
    scores = predictor.score_users(np.arange(USERS, dtype=np.int32))
    assert np.isfinite(scores).all()
    table = predictor.recommend_all(5)
    for user in range(0, USERS, 7):
        unseen = np.setdiff1d(np.arange(ITEMS), predictor.histories.row(user))
        best = unseen[np.argsort(-scores[user][unseen], kind="stable")][:5]
        assert [name for name, _ in predictor.recommend([f"user {user}"], 5)[0]] == [f"i{item}" for item in best]
        own = table[table["user_id"] == f"user {user}"]
        assert own["item_id"].tolist() == [f"i{item}" for item in best]
        assert own["rank"].tolist() == [1, 2, 3, 4, 5]
    everything = predictor.recommend(["user 0"], 1000)[0]
    assert len(everything) == ITEMS - len(predictor.histories.row(0))
    assert len(predictor.recommend(["user 0"], 1000, filter_seen=False)[0]) == ITEMS


def test_allow_and_deny(predictor):
    allowed = ["i1", "i5", "i7", "i9", "unheard of"]
    found = predictor.recommend(["user 3", "nobody"], allow=allowed, deny=["i5"], filter_seen=False)
    assert [sorted(name for name, _ in row) for row in found] == [["i1", "i7", "i9"]] * 2
    assert predictor.recommend(["user 3"], allow=[]) == [[]]
    with pytest.raises(InputError, match="'k' must be at least 1"):
        predictor.recommend(["user 3"], 0)


def test_strangers_are_shown_what_is_popular(predictor):
    counts = np.bincount(predictor.histories.indices, minlength=ITEMS)
    expected = [f"i{item}" for item in np.argsort(-counts, kind="stable")[:4]]
    for user in ("nobody", None):
        assert [name for name, _ in predictor.recommend([user], 4)[0]] == expected
    assert [name for name, _ in predictor.fold_in(["unheard of"], 4)] == expected


def test_a_known_user_without_a_history_is_shown_what_is_popular():
    for kind in ("gmf", "ease"):
        part = train(kind=kind)[0]
        nothing = Histories.from_pairs(*(np.zeros(0, dtype=int) for _ in range(4)), (USERS, ITEMS))
        one = Recommender(
            part.metadata, part.mixture, nothing, part.popularity, list(part.user_ids), list(part.item_ids)
        )
        assert one.recommend(["user 3"], 4) == one.recommend(["nobody"], 4)


def test_a_folded_in_history_gets_the_list_of_its_user():
    for kind in ("ease", "item_knn", "ials"):
        predictor = train(kind=kind, item_knn=SMALL["item_knn"] | {"shrinkage": [0.5]})[0]
        # Weights of a told history are 1, so compare with users who have none but those
        plain = Histories(
            predictor.histories.indptr, predictor.histories.indices,
            np.ones_like(predictor.histories.weights), predictor.histories.ages, ITEMS,
        )  # fmt: skip
        for user in (0, 1, 17):
            row = plain.take(np.array([user]))
            oldest_first = row.indices[np.argsort(-row.ages)]
            found = predictor.fold_in([f"i{item}" for item in oldest_first], 5)
            scores = predictor.mixture.scores(None, row)[0]
            scores[row.indices] = -np.inf
            assert [name for name, _ in found] == [f"i{item}" for item in np.argsort(-scores, kind="stable")[:5]]


def test_folding_in_a_known_user_finds_about_the_users_own_factors():
    predictor = train(kind="ials")[0]
    member = predictor.mixture.members[0]
    np.testing.assert_allclose(member.fold_in(predictor.histories), member.users, atol=2e-3)


def test_what_is_told_counts_as_seen_and_changes_the_list(predictor):
    told = ["i0", "i2", "i4", "i6"]
    frame = pd.DataFrame({"user_id": ["user 1"], "history": [";".join(told)], "k": [30]})
    items = predictor.predict(frame)["items"][0].split(";")
    assert not set(items) & set(told)
    assert items != [item for item in predictor.predict(frame.drop(columns="history"))["items"][0].split(";")
                     if item not in told]  # fmt: skip


def test_graphs_score_as_the_members_do(predictor):
    users, items = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    found = predictor.compare_onnx(users, items)
    assert set(found["members"]) == {"ials", "neumf"}
    assert found["rows"] == USERS * ITEMS
    assert found["max_difference"] < 1e-5


def test_a_graph_of_other_weights_is_noticed(predictor):
    other = train(kind="neumf", neumf=SMALL["neumf"] | {"epochs": 1})[0]
    other._graphs = {"neumf": predictor.graphs["neumf"]}
    assert other.compare_onnx(np.arange(USERS), np.zeros(USERS, dtype=int))["max_difference"] > 1e-2


def test_new_items_are_placed_by_their_texts(predictor, monkeypatch):
    member = predictor.mixture.members[2]
    # An encoder that knows the taste of an item, and nothing else
    taste = np.eye(2, dtype=np.float32)[np.arange(ITEMS) % 2]
    content = fit_content_map("made up", taste, member.items, np.ones(ITEMS), 1e-6)
    np.testing.assert_allclose(content.of_embeddings(taste[:1])[0], member.items[::2].mean(axis=0), atol=1e-4)
    texts = {"about even things": 0, "about odd things": 1}
    monkeypatch.setattr(content_map, "embed", lambda _, rows: np.eye(2, dtype=np.float32)[[texts[t] for t in rows]])
    with pytest.raises(UserError, match="content=text"):
        predictor.with_items({"new": "about even things"})
    known = Recommender(
        predictor.metadata, predictor.mixture, predictor.histories, predictor.popularity, list(predictor.user_ids),
        list(predictor.item_ids), ContentMap("made up", content.weights),
    )  # fmt: skip
    extended = known.with_items({"even": "about even things"}).with_items({"odd": "about odd things"})
    scores = extended.score_users(np.arange(USERS, dtype=np.int32))
    assert scores.shape == (USERS, ITEMS + 2)
    np.testing.assert_array_equal(scores[:, :ITEMS], known.score_users(np.arange(USERS, dtype=np.int32)))
    likes_even = np.arange(USERS) % 2 == 0
    assert ((scores[:, ITEMS] > scores[:, ITEMS + 1]) == likes_even).mean() > 0.9
    assert {"even", "odd"} <= {name for row in extended.recommend(["user 0", "nobody"], 99) for name, _ in row}
    with pytest.raises(UserError, match="known already"):
        extended.with_items({"even": "about odd things"})


def test_a_score_does_not_depend_on_who_else_asks(predictor):
    users = np.arange(USERS, dtype=np.int32)
    together = predictor.score_users(users)
    alone = np.concatenate([predictor.score_users(users[[user]]) for user in users])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_ties_go_to_the_smaller_code():
    histories = Histories.from_pairs(*(np.zeros(0, dtype=int) for _ in range(4)), (1, 6))
    scorer = PopularityScorer(np.array([1, 3, 3, 2, 3, 0], dtype=np.float32))
    predictor = train(kind="popularity")[0]
    one = Recommender(predictor.metadata, Mixture([scorer], [1]), histories, scorer.popularity, ["u"], list("abcdef"))
    assert [name for name, _ in one.recommend(["u"], 2)[0]] == ["b", "c"]
    assert one.recommend_all(4)["item_id"].tolist() == ["b", "c", "e", "d"]


def a_network_beside_a_linear_member(items, seed=0):
    random = np.random.default_rng(seed)
    network = NeuralScorer(
        "gmf",
        {
            "gmf_users": random.normal(size=(3, 4)).astype(np.float32),
            "gmf_items": random.normal(size=(items, 4)).astype(np.float32),
            "gmf_output": np.ones(4, dtype=np.float32),
            "bias": np.zeros(1, dtype=np.float32),
        },
    )
    popular = PopularityScorer(random.normal(size=items).astype(np.float32))
    histories = Histories.from_pairs(np.arange(3), np.arange(3), np.ones(3, np.float32), np.zeros(3), (3, items))
    return network, popular, histories


def test_among_few_items_a_network_sees_all():
    network, popular, histories = a_network_beside_a_linear_member(40)
    users = np.arange(3, dtype=np.int32)
    found = Mixture([popular, network], [0.5, 0.5], reranked=20).scores(users, histories)
    both = [standardised(member.scores(users, histories)) for member in (popular, network)]
    np.testing.assert_allclose(found, 0.5 * both[0] + 0.5 * both[1], atol=1e-6)


def test_among_many_items_a_network_orders_the_best_of_the_others():
    network, popular, histories = a_network_beside_a_linear_member(900)
    users = np.arange(3, dtype=np.int32)
    found = Mixture([popular, network], [0.7, 0.3], reranked=300).scores(users, histories)
    linear = standardised(popular.scores(users, histories))
    logits = network.scores(users, histories)
    some = logits[:, np.linspace(0, 899, SPREAD).round().astype(int)]
    whole = 0.7 * linear + 0.3 * (logits - some.mean(axis=1, keepdims=True)) / some.std(axis=1, keepdims=True)
    for row in range(3):
        best = set(np.argsort(-linear[row])[:300])
        top = np.argsort(-found[row])[:10]
        assert best.issuperset(top)
        assert list(top) == [item for item in np.argsort(-whole[row]) if item in best][:10]
        behind = np.array(sorted(set(range(900)) - best))
        assert (np.argsort(found[row, behind], kind="stable") == np.argsort(linear[row, behind], kind="stable")).all()
    alone = Mixture([popular, network], [0.7, 0.3], reranked=300).scores(users[1:2], histories.take(np.array([1])))
    assert (alone[0] == found[1]).all()


def test_networks_alone_see_all_items():
    network, _, histories = a_network_beside_a_linear_member(90)
    users = np.arange(3, dtype=np.int32)
    found = Mixture([network, network], [0.5, 0.5], reranked=10).scores(users, histories)
    np.testing.assert_allclose(found, standardised(network.scores(users, histories)), atol=1e-6)


def test_standardised_rows():
    scores = np.random.default_rng(0).normal(3, 2, (4, 30)).astype(np.float32)
    found = standardised(np.vstack([scores, np.full((1, 30), 7, dtype=np.float32)]))
    np.testing.assert_allclose(found[:4], (scores - scores.mean(1)[:, None]) / scores.std(1)[:, None], atol=1e-5)
    assert (found[4] == 0).all()


def test_ages_count_what_came_later():
    users, items = np.array([0, 0, 1, 0, 1]), np.array([4, 2, 1, 3, 0])
    times = np.array([30, 10, 5, 20, 5])
    found = Histories.from_pairs(users, items, np.ones(5), times, (2, 5))
    assert found.indices.tolist() == [2, 3, 4, 0, 1]
    assert found.ages.tolist() == [2, 1, 0, 0, 1]  # of one moment, the later row is the newer one
    table = found.table(Recency(1.0, 0.5)).toarray()
    np.testing.assert_allclose(table[0], [0, 0, 0.5 + 0.5 / 4, 0.5 + 0.5 / 2, 1])
    more = found.take(np.array([0])).extended([1, 3])
    assert more.indices.tolist() == [1, 2, 3, 4]
    assert more.ages.tolist() == [1, 3, 0, 2]
    assert Histories.of_list([3, 1, 3], 5).ages.tolist() == [1, 0]
