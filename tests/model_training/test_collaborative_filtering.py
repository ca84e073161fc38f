"""Choosing among recommenders: by validation alone, weights included, and the same after a kill."""

import json

import numpy as np
import pandas as pd
import pytest

from augury.checkpointing import Checkpoint, NoCheckpoints
from augury.errors import UserError
from augury.metrics.top_k import judge_scorer, mean_metrics
from augury.pipelines.model_training import collaborative_filtering
from augury.pipelines.model_training.collaborative_filtering import train_recommender
from augury.pipelines.model_training.recommender_baselines import RecommenderBaselines, rank_recommender_baselines
from augury.pipelines.model_training.recommender_models import RecommenderModel
from augury.pipelines.model_training.recommender_validation import blend_weights, validation_of
from augury.predictors.user_histories import Histories

USERS, ITEMS = 80, 50
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
SMALL = {
    "ease": {"l2": [5.0, 500.0], "half_life": [None, 2.0]},
    "item_knn": {"neighbours": [5, 20], "half_life": [None]},
    "ials": {"factors": 6, "epochs": 4, "unobserved_weight": [0.2], "regularisation": [0.01], "half_life": [None]},
    "neumf": {"embedding": 6, "epochs": 3, "layers": [6, 4], "stopping_users": 30},
}


@pytest.fixture(scope="module")
def tables():
    """Users walk round a circle of items, so that what comes next is near what came last."""
    random = np.random.default_rng(0)
    steps = random.choice([1, 2, 3], (USERS, 12))
    items = (random.integers(0, ITEMS, USERS)[:, None] + steps.cumsum(axis=1)) % ITEMS
    matrix = pd.DataFrame(
        {
            "user": np.repeat(np.arange(USERS), 12),
            "item": items.ravel(),
            "weight": np.float32(1),
            "timestamp": np.tile(np.arange(12), USERS),
            "split": np.tile([*["train"] * 10, "validation", "test"], USERS),
        }
    )
    held_out = matrix[matrix["split"] != "train"]
    negatives = [np.setdiff1d(np.arange(ITEMS), items[user])[::4] for user in held_out["user"]]
    return {
        "features_matrix": matrix,
        "features_negatives": held_out[["user", "split", "item"]].assign(negatives=negatives),
        "primary_users": pd.DataFrame({"user": range(USERS), "user_id": [f"u{user}" for user in range(USERS)]}),
        "primary_items": pd.DataFrame({"item": range(ITEMS), "item_id": [f"i{item}" for item in range(ITEMS)]}),
    }


def train(tables, checkpoints=None, **model):
    return train_recommender(
        **tables, report_data={"origin": "simulated"}, best_params={}, model=RecommenderModel(**SMALL | model), seed=1,
        training_checkpoints=checkpoints or NoCheckpoints(), provenance=PROVENANCE,
    )  # fmt: skip


def test_the_best_on_validation_is_chosen_and_fitted_again(tables):
    predictor, curves, account = train(tables)
    assert len(account["members"]["ease"]["tried"]) == 4
    best = max(account["members"]["ease"]["tried"], key=lambda row: row["value"])
    assert account["members"]["ease"]["chosen"] == {name: best[name] for name in ("l2", "half_life", "lasting")}
    assert best["half_life"] == 2.0  # the walk is where it has come last
    assert sum(account["weights"].values()) == pytest.approx(1)
    assert account["rows"] == predictor.metadata.data.rows == USERS * 11
    assert predictor.metadata.data.origin == {"simulated": USERS * 11}
    assert curves.empty
    assert json.loads(json.dumps(account))["validation"]["users"] == USERS
    matrix = tables["features_matrix"]
    test = matrix[matrix["split"] == "test"]
    found = mean_metrics(judge_scorer(predictor, test, predictor.seen), (10,))
    baselines = rank_recommender_baselines(
        tables["features_matrix"], tables["features_negatives"], tables["primary_items"],
        RecommenderBaselines(**{name: SMALL[name] | {"half_life": [None]} for name in ("ease", "item_knn", "ials")}), 1,
    )  # fmt: skip
    assert set(baselines["baseline"]) == {"popularity", "item_knn", "ease", "ials"}
    assert (baselines["split"] == "test").all()
    assert len(baselines) == 4 * USERS
    plain = {name: mean_metrics(rows, (10,))["ndcg_at_10"] for name, rows in baselines.groupby("baseline")}
    assert found["ndcg_at_10"] > max(plain.values()) + 0.1
    # Each baseline's list is its own order: the item of rank 0 is on top
    first = baselines[(baselines["full_rank"] == 0) & (baselines["full_ties"] == 0)]
    assert len(first)
    assert (first["top"].str[0] == first["item"]).all()


def test_the_test_rows_decide_nothing(tables):
    matrix = tables["features_matrix"]
    shuffled = matrix.copy()
    test = (matrix["split"] == "test").to_numpy()
    shuffled.loc[test, "item"] = (matrix.loc[test, "item"] + 17) % ITEMS
    first, second = (train(tables | {"features_matrix": table})[0] for table in (matrix, shuffled))
    users = np.arange(USERS, dtype=np.int32)
    assert (first.score_users(users) == second.score_users(users)).all()


def test_without_refit_the_validation_rows_teach_nothing(tables):
    matrix = tables["features_matrix"]
    predictor, _, account = train(tables, kind="ease", refit=False)
    assert account["rows"] == USERS * 10
    only = train(tables | {"features_matrix": matrix[matrix["split"] == "train"]}, kind="ease", refit=False,
                 ease={"l2": [account["members"]["ease"]["chosen"]["l2"]], "half_life": [2.0]})[0]  # fmt: skip
    assert (predictor.mixture.members[0].weights == only.mixture.members[0].weights).all()
    # What users turned to since is known all the same
    assert len(predictor.histories.indices) == USERS * 11


def test_weights_of_a_blend(tables):
    matrix = tables["features_matrix"]
    rows = matrix[matrix["split"] == "train"]
    histories = Histories.from_pairs(
        *(rows[name].to_numpy() for name in ("user", "item", "weight", "timestamp")), (USERS, ITEMS)
    )
    pairs = matrix[matrix["split"] == "validation"]
    validation = validation_of(pairs, None, histories, 60, 10, 0)
    assert len(validation.users) == 60
    truth = np.zeros((60, ITEMS), dtype=np.float32)
    truth[np.arange(60), validation.pair_items] = 1
    random = np.random.default_rng(0)
    useless = random.normal(size=truth.shape).astype(np.float32)
    halves = [np.where((np.arange(60) % 2 == half)[:, None], truth, useless).astype(np.float32) for half in (0, 1)]
    assert validation.ndcg(truth) == 1
    weights, value = blend_weights(validation, [useless, *halves], 8)
    assert weights[0] == 0
    assert min(weights[1:]) > 0.2
    assert value > max(validation.ndcg(half) for half in halves) + 0.1


def test_a_network_goes_on_where_it_was_killed(tables):
    class Dying:
        """Every save kills the run; the checkpoint stays."""

        def __init__(self):
            self.found, self.deaths, self.cleared = None, 0, False

        def load(self, fingerprint):
            return self.found

        def save(self, fingerprint, tensors, state):
            import copy

            self.found = Checkpoint({name: value.copy() for name, value in tensors.items()}, copy.deepcopy(dict(state)))
            self.deaths += 1
            raise KeyboardInterrupt

        def clear(self):
            self.cleared = True

    model = {"kind": "blend", "members": ("ease", "neumf"), "sampled_weight": 0.0}
    unbroken, curves, _ = train(tables, **model)
    checkpoints, finished = Dying(), None
    while finished is None:
        assert checkpoints.deaths < 20
        try:
            finished = train(tables, checkpoints, **model)
        except KeyboardInterrupt:
            continue
    assert checkpoints.deaths >= 3
    assert checkpoints.cleared
    users = np.arange(USERS, dtype=np.int32)
    assert (finished[0].score_users(users) == unbroken.score_users(users)).all()
    assert (
        finished[1]["value"][finished[1]["name"] == "loss"].tolist()
        == curves["value"][curves["name"] == "loss"].tolist()
    )
    assert list(curves) == ["step", "epoch", "name", "value", "seconds"]
    assert {"loss", "validation_ndcg", "learning_rate", "samples_per_second"} == set(curves["name"])


def test_user_mistakes(tables):
    matrix = tables["features_matrix"]
    with pytest.raises(UserError, match="no row has the split 'train'"):
        train(tables | {"features_matrix": matrix[matrix["split"] == "test"]})
    strange = tables["primary_items"].assign(item_id=[f"i;{item}" for item in range(ITEMS)])
    with pytest.raises(UserError, match=r"must not contain ';'.*50 of 50 ids do, for example 'i;0'"):
        train(tables | {"primary_items": strange})
    with pytest.raises(UserError, match="no item has one"):
        train(tables, content="text", kind="ials")
    with pytest.raises(UserError, match="no tuned parameters"):
        train(tables, use_tuned=True)


def test_a_map_from_texts_is_learnt(tables, monkeypatch):
    angle = np.arange(ITEMS) / ITEMS * 2 * np.pi
    circle = np.column_stack([np.sin(angle), np.cos(angle)]).astype(np.float32)
    monkeypatch.setattr(collaborative_filtering, "embed", lambda _, texts: circle[[int(text) for text in texts]])
    items = tables["primary_items"].assign(text=[str(item) for item in range(ITEMS)])
    predictor = train(tables | {"primary_items": items}, content="text", kind="ials")[0]
    factors = predictor.mixture.members[0].items
    found = predictor.content.of_embeddings(circle)
    # Half a circle away is another taste, next door the same one
    assert ((found - factors) ** 2).sum() < 0.9 * (factors**2).sum()
    assert ((np.roll(found, 25, axis=0) - factors) ** 2).sum() > ((found - factors) ** 2).sum() * 1.3


def test_tuned_parameters_are_applied(tables):
    model = {"kind": "ease", "use_tuned": True}
    best = {"parameters": {"ease.l2": (7.0,), "ease.half_life": (3.0,)}}
    _, _, account = train_recommender(
        **tables, report_data={}, best_params=best, model=RecommenderModel(**SMALL | model), seed=1,
        training_checkpoints=NoCheckpoints(), provenance=PROVENANCE,
    )  # fmt: skip
    assert account["members"]["ease"]["chosen"]["l2"] == 7.0
