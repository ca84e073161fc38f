"""Tuning of the recommender: what folds hold out, their scores computed another way, and training with the best."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.checkpointing import NoCheckpoints
from augury.errors import UserError
from augury.parameters import value_at, with_tuned
from augury.pipelines.model_training.collaborative_filtering import train_recommender
from augury.pipelines.model_training.neural_collaborative_filtering import fit_network
from augury.pipelines.model_training.recommender_models import RecommenderModel
from augury.pipelines.tuning import recommender_search
from augury.pipelines.tuning.racing import TransientStudies
from augury.pipelines.tuning.recommender_search import RecommenderProblem, RecommenderTuning, recommender_folds
from augury.pipelines.tuning.single_values import with_single_values

USERS, ITEMS, LENGTH = 60, 40, 10
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
SMALL = {
    "members": ["ease", "ials"],
    "ease": {"l2": [500.0, 5.0], "half_life": [None, 2.0]},
    "ials": {"factors": 4, "epochs": 2, "unobserved_weight": [0.2], "regularisation": [0.01], "half_life": [None]},
    "neumf": {"embedding": 4, "epochs": 2, "layers": [6, 4], "stopping_users": 30},
}
SPACE = {
    "ease.l2": ["float", 0.5, 1000, "log"],
    "ials.regularisation": ["float", 0.001, 1, "log"],
    "neumf.layers": ["categorical", [4, "6x4", "8x4"]],
    "neumf.batch_size": ["categorical", ["auto", 64]],
}


@pytest.fixture(scope="module")
def matrix():
    """Users walk round a circle of items; the last item is the test, the one before it the validation."""
    random = np.random.default_rng(0)
    steps = random.choice([1, 2, 3], (USERS, LENGTH))
    items = (random.integers(0, ITEMS, USERS)[:, None] + steps.cumsum(axis=1)) % ITEMS
    return pd.DataFrame(
        {
            "user": np.repeat(np.arange(USERS), LENGTH),
            "item": items.ravel(),
            "weight": np.float32(1),
            "timestamp": np.tile(np.arange(LENGTH), USERS),
            "split": np.tile([*["train"] * (LENGTH - 2), "validation", "test"], USERS),
        }
    )


CATALOGUE = pd.DataFrame({"item": range(ITEMS), "item_id": [f"i{item}" for item in range(ITEMS)]})


def known(matrix):
    return matrix[matrix["split"] != "test"]


def tune(matrix, model=None, **changes):
    tuning = RecommenderTuning.model_validate({"trials": 4, "space": SPACE} | changes)
    model = RecommenderModel.model_validate(SMALL | (model or {}))
    return recommender_search.tune_recommender(matrix, CATALOGUE, model, tuning, 3, TransientStudies())


def problem_of(matrix, kind, folds=2, **changes):
    model = with_single_values(RecommenderModel.model_validate(SMALL | {"kind": kind} | changes))
    rows = recommender_folds(known(matrix), ITEMS, folds, 1000, 3)
    return RecommenderProblem(rows, model, tuple(model.chosen()), "ndcg_at_10", 3, "data")


def untimed(outcome):
    """An outcome without what a clock says."""
    best, trials, report = outcome
    clocks = {"fit_cpu_seconds", "cpu_seconds_per_trial", "wall_seconds"}
    summary = {name: value for name, value in report["summary"].items() if name not in clocks}
    table = trials.drop(columns="fit_cpu_seconds").fillna(-1.0).to_dict("list")
    return best, table, report | {"summary": summary}


# --- folds ---


def table_of(*histories, validation=()):
    rows = [
        {"user": user, "item": item, "weight": np.float32(1), "timestamp": time, "split": "train"}
        for user, items in enumerate(histories)
        for time, item in enumerate(items)
    ]
    table = pd.DataFrame(rows)
    table.loc[[list(zip(table["user"], table["item"], strict=True)).index(pair) for pair in validation], "split"] = (
        "validation"
    )
    return table


def test_each_fold_holds_out_an_earlier_item():
    table = table_of([0, 1, 2, 3], [3, 2, 1, 0], [1, 2], [2], validation=[(0, 3), (1, 0)])
    first, second = recommender_folds(table.sample(frac=1, random_state=1), 4, 2, 100, 0)
    assert [first.histories.row(user).tolist() for user in range(4)] == [[0, 1, 2], [1, 2, 3], [1], [2]]
    assert first.positives.to_numpy().tolist() == [[0, 3], [1, 0], [2, 2]]
    assert [first.earlier.row(user).tolist() for user in range(4)] == [[0, 1], [2, 3], [1], [2]]
    assert list(zip(first.choice.users[first.choice.pair_users], first.choice.pair_items, strict=True)) == [
        (0, 2), (1, 1),
    ]  # fmt: skip
    assert [second.histories.row(user).tolist() for user in range(4)] == [[0, 1], [2, 3], [1], [2]]
    assert second.positives.to_numpy().tolist() == [[0, 2], [1, 1]]


def test_of_one_moment_validation_is_the_last():
    table = table_of([0, 1, 2], [0, 1, 2], validation=[(0, 0), (1, 1)]).assign(timestamp=0)
    (fold,) = recommender_folds(table, 3, 1, 100, 0)
    assert fold.positives.to_numpy().tolist() == [[0, 0], [1, 1]]


@given(
    histories=st.lists(st.lists(st.integers(0, 6), unique=True, min_size=1, max_size=6), min_size=1, max_size=8),
    folds=st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_nothing_later_than_the_held_out_item_is_learned_from(histories, folds):
    try:
        found = recommender_folds(table_of(*histories), 7, folds, 100, 0)
    except UserError as error:
        assert "no user with an item to hold out" in str(error)
        return
    for number, fold in enumerate(found):
        for user, item in fold.positives.to_numpy().tolist():
            at = histories[user].index(item)
            assert at == len(histories[user]) - 1 - number
            assert set(fold.histories.row(user).tolist()) == set(histories[user][:at])
            assert set(fold.earlier.row(user).tolist()) == set(histories[user][: max(at - 1, 1)])


def test_a_fold_of_ease_is_scored_as_by_hand(matrix):
    problem = problem_of(matrix, "ease", ease={"l2": [500.0], "half_life": [None]})
    for fold in range(2):
        chosen = matrix.groupby("user", sort=True)["item"].apply(list)
        learned = np.zeros((USERS, ITEMS))
        for user, items in chosen.items():
            learned[user, items[: LENGTH - 2 - fold]] = 1
        inverse = np.linalg.inv(learned.T @ learned + 7.5 * np.eye(ITEMS))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        scores = learned @ weights
        gains = []
        for user, items in chosen.items():
            held_out = items[LENGTH - 2 - fold]
            rivals = scores[user, learned[user] == 0]
            rank = (rivals > scores[user, held_out] + 1e-9).sum()
            gains.append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
        assert problem.evaluate({"ease.l2": 7.5}, fold) == pytest.approx(np.mean(gains), abs=1e-4)
    assert problem.fold_costs == [USERS * (LENGTH - 2), USERS * (LENGTH - 3)]


def test_a_network_is_stopped_by_the_item_before_the_held_out_one(matrix):
    problem = problem_of(matrix, "neumf")
    fold = recommender_folds(known(matrix), ITEMS, 1, 1000, 3)[0]
    model = RecommenderModel.model_validate(SMALL | {"neumf": SMALL["neumf"] | {"layers": [4], "negatives": 2}})
    judge = fold.choice.part(30).judge
    fitted = fit_network("neumf", fold.earlier, model.neumf, 3, judge, NoCheckpoints()).scorer
    users = np.arange(USERS)
    scores = fitted.scores(users, fold.histories)
    scores[fold.histories.table().toarray() > 0] = -np.inf
    own = scores[users, fold.positives["item"]][:, None]
    ranks = (scores > own).sum(axis=1)
    expected = np.where(ranks < 10, 1 / np.log2(ranks + 2.0), 0).mean()
    assert problem.evaluate({"neumf.layers": 4, "neumf.negatives": 2}, 0) == pytest.approx(expected, abs=1e-12)


# --- the test rows ---


def test_nothing_in_the_test_rows_changes_anything(matrix):
    changed = matrix.copy()
    test = (changed["split"] == "test").to_numpy()
    changed.loc[test, ["item", "timestamp"]] = (changed.loc[test, ["item", "timestamp"]] + 17) % ITEMS
    expected = untimed(tune(matrix))
    assert untimed(tune(changed)) == expected
    # And the validation rows do matter
    held_out = (changed["split"] == "validation").to_numpy()
    changed.loc[held_out, "item"] = (changed.loc[held_out, "item"] + 17) % ITEMS
    assert untimed(tune(changed))[1] != expected[1]


def test_folds_that_are_given_test_rows_refuse(matrix):
    with pytest.raises(UserError, match=r"60 of 600 rows .* for example one of 'test'"):
        recommender_folds(matrix, ITEMS, 2, 100, 0)
    with pytest.raises(UserError, match="no training rows to tune on"):
        tune(matrix[matrix["split"] == "test"])


# --- the search ---


def test_a_blend_is_tuned_as_a_whole_from_its_best_candidates(matrix):
    best, trials, report = tune(matrix, trials=8)
    assert list(best["parameters"]) == ["ease.l2", "ials.regularisation"]
    # A walk is where it has come last; its best candidates are the first trial
    folds = recommender_folds(known(matrix), ITEMS, 2, 1000, 3)
    model = with_single_values(RecommenderModel.model_validate(SMALL))
    chosen = recommender_search.with_best_candidates(model, ("ease", "ials"), folds[-1], 3)
    assert chosen.ease.half_life == (2.0,)
    assert chosen.ease.l2 == (5.0,) != SMALL["ease"]["l2"][:1]
    assert report["default"]["parameters"] == {"ease.l2": 5.0, "ials.regularisation": 0.01}
    single = {kind: problem_of(matrix, kind).evaluate({}, 0) for kind in ("ease", "ials")}
    assert trials["fold_1"].iloc[0] > max(single.values())
    assert best["score"] == trials.loc[trials["state"] == "complete", "value"].max() >= best["default_score"]
    json.dumps(report)


def test_the_result_does_not_depend_on_the_workers(matrix):
    outcomes = [untimed(tune(matrix, {"kind": "neumf"}, workers=workers, delta=None)) for workers in (1, 3)]
    assert outcomes[0] == outcomes[1]
    problem = problem_of(matrix, "neumf")
    points = [{"neumf.embedding": size} for size in (2, 5, 3, 4)]
    alone = [problem.evaluate(point, 1) for point in points]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda point: problem.evaluate(point, 1), points)) == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ({}, {"kind": "neumf"}, "'recommendation.tuning.kind' is 'neumf', .* kind is 'blend' of ease, ials"),
        ({}, {"space": {"eas.l2": ["float", 1, 2]}}, r"'recommendation.tuning.space.eas.l2': only .*'ease'"),
        ({}, {"space": {"ease.l3": ["float", 1, 2]}}, r"no parameter 'ease.l3'\. There are: .*ease.l2"),
        ({}, {"space": {"ease.l2": ["float", -1, 2]}}, r"'recommendation.tuning.space.ease.l2'.*greater than 0"),
        ({"kind": "popularity"}, {}, "space' is empty"),
        ({}, {"folds": 20}, r"fold \d+ of 20 has no user with an item to hold out"),
    ],
)
def test_what_cannot_be_tuned_is_refused(matrix, model, changes, message):
    with pytest.raises(UserError, match=message):
        tune(matrix, model, **changes)


# --- training with what was found ---


def train(matrix, model, best_params):
    held_out = matrix.loc[matrix["split"] != "train", ["user", "split", "item"]]
    return train_recommender(
        matrix, held_out.iloc[:0].assign(negatives=[]), pd.DataFrame({"user_id": [f"u{u}" for u in range(USERS)]}),
        CATALOGUE, {}, best_params, RecommenderModel.model_validate(SMALL | model), 3, NoCheckpoints(), PROVENANCE,
    )  # fmt: skip


def test_training_takes_the_tuned_candidates(matrix):
    best = yaml.safe_load(yaml.safe_dump(tune(matrix, kind="ease")[0]))
    assert list(best["parameters"]) == ["ease.l2"]
    ((l2,),) = best["parameters"].values()
    for use in (True, False):
        predictor, _, account = train(matrix, {"kind": "ease", "use_tuned": use}, best)
        tried = {row["l2"] for row in account["members"]["ease"]["tried"]}
        assert tried == ({l2} if use else {500.0, 5.0})
        assert (predictor.metadata.parameters["ease"]["l2"] == [l2]) == use
    with pytest.raises(UserError, match=r"'recommendation\.model\.use_tuned' is true"):
        train(matrix, {"use_tuned": True}, {})


def test_training_takes_the_tuned_network(matrix):
    best = {"parameters": {"neumf.layers": [8, 4], "neumf.embedding": 3}}
    predictor = train(matrix, {"kind": "neumf", "use_tuned": True}, best)[0]
    shapes = {name: value.shape for name, value in predictor.mixture.members[0].tensors().items()}
    assert shapes["layer_0_user"] == (8, 3)
    assert shapes["layer_1"] == (4, 8)


def test_widths_are_searched_as_text_and_stored_as_a_list(matrix):
    space = {"neumf.layers": ["categorical", ["6x4", "8x4"]]}
    best, trials, _ = tune(matrix, {"kind": "neumf"}, trials=3, space=space, fixed={"neumf.epochs": 1})
    assert set(trials["param:neumf.layers"]) <= {"6x4", "8x4"}
    assert best["parameters"]["neumf.layers"] in ([6, 4], [8, 4])
    model = with_tuned(RecommenderModel(use_tuned=True), best, True)
    assert list(value_at(model, "neumf.layers")) == best["parameters"]["neumf.layers"]


# --- lists as single values ---


@given(
    l2=st.lists(st.floats(0.1, 1e4), min_size=1, max_size=3),
    layers=st.lists(st.integers(1, 512), min_size=1, max_size=4),
    half_life=st.lists(st.none() | st.floats(0.5, 50), min_size=1, max_size=3),
)
@settings(max_examples=12, deadline=None)
def test_a_model_with_single_values_is_the_same_model(l2, layers, half_life):
    model = RecommenderModel.model_validate(
        {"ease": {"l2": l2, "half_life": half_life}, "neumf": {"layers": layers}, "members": ["ease"]}
    )
    form = with_single_values(model)
    assert {name: getattr(form, name) for name in RecommenderModel.model_fields} == dict(model)
    again = type(form).model_validate(form.model_dump())
    assert dict(again) == dict(form)
    shown = form.model_dump()
    assert shown["neumf"]["layers"] == ("x".join(map(str, layers)) if len(layers) > 1 else layers[0])
    assert shown["ease"]["l2"] == (tuple(l2) if len(l2) > 1 else l2[0])
