"""Judging a recommender: predictions of the holdout, metrics, baselines, slices, plots and the report."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.metrics.top_k import judge_scorer, seen_items
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.ranking import compare_baselines, evaluate_ranking, evaluate_slices
from augury.pipelines.evaluation.ranking_parameters import RankingEvaluation
from augury.pipelines.evaluation.ranking_plots import (
    plot_baselines,
    plot_popularity,
    plot_ranks,
    plot_sizes,
    plot_slices,
)
from augury.pipelines.evaluation.ranking_predictions import (
    age_labels,
    check_ranking_export,
    popularity_labels,
    predict_ranking_holdout,
)
from augury.pipelines.evaluation.ranking_report import ranking_report
from augury.predictors.contract import ColumnSpec, DataFacts, Metadata
from augury.predictors.recommendation import Recommender
from augury.predictors.recommender_scorers import FactorScorer, LeastSquares, Mixture
from augury.predictors.user_histories import Histories

USERS, ITEMS, DAY = 240, 90, 86_400
EVALUATION = RankingEvaluation(
    bootstrap_replicates=200, activity_edges=[1, 6, 9], item_age_days=[20, 60], min_slice_rows=5
)
METADATA = Metadata(
    predictor="recommendation",
    family="top_k_recommender",
    task="ranking: implicit top-k recommendation",
    inputs=(ColumnSpec(name="user_id", dtype="string", nullable=True),),
    outputs=(ColumnSpec(name="items", dtype="string"),),
    features=("user_id",),
    parameters={"kind": "blend"},
    data=DataFacts(fingerprint="f" * 64, rows=2000, groups=USERS, origin={"simulated": 2000}),
    versions={"numpy": np.__version__},
    seed=3,
    git_commit=None,
    created_at="2026-02-01T00:00:00+00:00",
)


class Table:
    """Scores that are looked up, with what an evaluation asks of a recommender."""

    def __init__(self, scores: Any) -> None:
        self.scores = np.asarray(scores, dtype=np.float32)
        self.metadata = METADATA
        self.user_index = {f"u{number}": number for number in range(USERS)}
        self.item_ids = np.array([f"i{number}" for number in range(ITEMS)])
        self.popularity = np.arange(ITEMS, 0, -1, dtype=np.float32)
        self.compared: list[Any] = []
        self.difference = 1e-6

    def score_users(self, users: Any) -> Any:
        return self.scores[users]

    def compare_onnx(self, users: Any, items: Any) -> dict[str, Any]:
        self.compared.append(np.column_stack([users, items]))
        return {"rows": len(users), "max_difference": self.difference, "members": {"ials": self.difference}}


@pytest.fixture(scope="module")
def world() -> Any:
    """Users who like one of three kinds of items; the last item of each is held out, the last user is cold."""
    random = np.random.default_rng(11)
    popularity = 1 / np.arange(1, ITEMS + 1) ** 0.7
    taste = np.where(np.arange(ITEMS) % 3 == (np.arange(USERS) % 3)[:, None], 1.6, 0.0)
    liking = np.log(popularity) + taste
    order = np.argsort(-(liking + random.gumbel(size=liking.shape)), axis=1)
    order = np.where(order == ITEMS - 1, order[:, [-1]], order)  # the last item is in nobody's training ...
    sizes = random.integers(5, 12, USERS)
    sizes[-1] = 1
    rows = [
        (user, int(item), place, sizes[user])
        for user in range(USERS)
        for place, item in enumerate(order[user, : sizes[user]])
    ]
    matrix = pd.DataFrame(rows, columns=["user", "item", "place", "size"]).astype(np.int32)
    matrix["split"] = np.select(
        [matrix["place"] == matrix["size"] - 1, matrix["place"] == matrix["size"] - 2], ["test", "validation"], "train"
    )
    matrix.loc[(matrix["user"] == 5) & (matrix["split"] == "test"), "item"] = ITEMS - 1  # ... but held out once
    matrix["timestamp"] = 1_700_000_000 + 10 * DAY * matrix["place"].astype(np.int64)
    train = matrix[matrix["split"] == "train"]
    users = pd.DataFrame(
        {
            "user_id": [f"u{number}" for number in range(USERS)],
            "interactions": np.bincount(train["user"], minlength=USERS),
        }
    )
    items = pd.DataFrame(
        {
            "item_id": [f"i{number}" for number in range(ITEMS)],
            "interactions": np.bincount(train["item"], minlength=ITEMS),
            "first_seen": np.where(np.arange(ITEMS) % 2, 1_700_000_000, 1_700_000_000 - 50 * DAY),
        }
    )
    held_out = matrix[matrix["split"] == "test"][["user", "item"]].reset_index(drop=True)
    seen = [set(part["item"]) for _, part in matrix.groupby("user")]
    negatives = held_out.assign(
        split="test",
        negatives=[
            random.choice([item for item in range(ITEMS) if item not in seen[user]], 20, replace=False).tolist()
            for user in held_out["user"]
        ],
    )
    negatives = pd.concat([negatives, negatives.assign(split="validation")], ignore_index=True)
    known = matrix[matrix["split"] != "test"]
    table = seen_items(known["user"].to_numpy(), known["item"].to_numpy(), USERS, ITEMS)
    predictor = Table(liking)
    rivals = {
        "popularity": np.broadcast_to(items["interactions"].to_numpy(), (USERS, ITEMS)),
        "constant": np.zeros((USERS, ITEMS)),
    }
    test_negatives = negatives[negatives["split"] == "test"]
    baselines = pd.concat(
        [
            judge_scorer(Table(scores), held_out, table, test_negatives, 20).assign(baseline=name, split="test")
            for name, scores in rivals.items()
        ],
        ignore_index=True,
    )
    return SimpleNamespace(
        matrix=matrix,
        users=users,
        items=items,
        negatives=negatives,
        predictor=predictor,
        baselines=baselines,
        seen=seen,
    )


def predict(world: Any, **changed: Any) -> pd.DataFrame:
    parts = {
        "predictor": world.predictor,
        "features_matrix": world.matrix,
        "features_negatives": world.negatives,
        "primary_users": world.users,
        "primary_items": world.items,
        "predictions_baselines": world.baselines,
        "evaluation": EVALUATION,
    }
    return predict_ranking_holdout(**(parts | changed))


@pytest.fixture(scope="module")
def predictions(world: Any) -> pd.DataFrame:
    return predict(world)


@pytest.fixture(scope="module")
def metrics(world: Any, predictions: pd.DataFrame) -> dict[str, Any]:
    return evaluate_ranking(predictions, world.items, {"n_train": 2000, "onnx": {"rows": 3}}, EVALUATION, 3)


@pytest.fixture(scope="module")
def baselines(world: Any, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    return compare_baselines(predictions, world.items, EVALUATION, 3)


def test_every_user_has_a_row_with_the_places_of_a_loop(world, predictions):
    assert predictions["user"].tolist() == list(range(USERS))
    for row in predictions[:-1].sample(20, random_state=0).itertuples():
        scores = world.predictor.scores[row.user]
        others = [item for item in range(ITEMS) if item not in world.seen[row.user]]
        assert row.full_rank == sum(scores[item] > scores[row.item] for item in others)
        best = sorted([*others, row.item], key=lambda item: -scores[item])
        assert row.top.tolist() == best[: len(row.top)]
    assert set(predictions["sampled_negatives"]) == {20}


def test_a_user_without_history_is_judged_by_what_is_popular(predictions):
    last = predictions.iloc[-1]
    assert last["top"].tolist() == list(range(20))
    assert last["full_rank"] == last["item"]


def test_baselines_keep_their_pairs_whatever_their_order(world, predictions):
    shuffled = predict(world, predictions_baselines=world.baselines.sample(frac=1, random_state=0))
    numbers = [name for name in predictions if not name.endswith("top")]
    pd.testing.assert_frame_equal(predictions[numbers], shuffled[numbers])
    expected = world.baselines[world.baselines["baseline"] == "popularity"]["full_rank"].tolist()
    assert predictions["popularity_full_rank"].tolist() == expected


def test_slices_of_the_holdout(world, predictions):
    last = predictions.iloc[-1]
    assert (last["activity"], last["cold_user"]) == ("0", True)
    assert predictions.loc[5, ["popularity", "cold_item"]].tolist() == ["cold", True]
    assert set(predictions["activity"]) <= {"0", "1 to 5", "6 to 8", "9 or more"}
    assert set(predictions["item_age"]) == {"20 to 60 days", "60 days or more"} | (
        {"0 to 20 days"} if (predictions["item_age"] == "0 to 20 days").any() else set()
    )


def test_without_times_ages_are_unknown(world):
    found = predict(world, features_matrix=world.matrix.drop(columns="timestamp"))
    assert set(found["item_age"]) == {"unknown"}
    assert set(predict(world, features_matrix=world.matrix.assign(timestamp=0))["item_age"]) == {"unknown"}
    assert age_labels(np.array([0.0, np.nan]), [1]).tolist() == ["0 to 1 days", "unknown"]


def test_thirds_of_the_interactions():
    assert popularity_labels(np.array([10, 10, 10])).tolist() == ["head", "middle", "tail"]
    assert popularity_labels(np.array([0, 0])).tolist() == ["cold", "cold"]


def test_data_of_another_training_are_refused(world):
    with pytest.raises(UserError, match="trained on 240 users, but the present data have 239"):
        predict(world, primary_users=world.users.iloc[:-1])
    with pytest.raises(UserError, match="trained on 90 items, but the present data have 90, or the same in another"):
        predict(world, primary_items=world.items.iloc[::-1])


def test_nothing_held_out_is_refused(world):
    with pytest.raises(UserError, match="no row has the split 'test'"):
        predict(world, features_matrix=world.matrix[world.matrix["split"] != "test"])


def test_a_baseline_that_lacks_pairs_is_refused(world):
    with pytest.raises(UserError, match="'popularity' must rank every held-out pair; it lacks 1 of 240"):
        predict(world, predictions_baselines=world.baselines.iloc[1:])


def test_metrics_are_means_over_users(predictions, metrics):
    ranks = predictions["full_rank"].to_numpy()
    for size in (5, 10, 20):
        within = ranks < size
        assert metrics[f"hr_at_{size}"] == metrics[f"recall_at_{size}"] == pytest.approx(within.mean())
        gains = np.where(within, 1 / np.log2(ranks + 2), 0)
        assert metrics[f"ndcg_at_{size}"] == pytest.approx(gains.mean())
        lower, upper = metrics["intervals"][f"ndcg_at_{size}"]
        assert lower < metrics[f"ndcg_at_{size}"] < upper
    assert metrics["mrr"] == pytest.approx((1 / (ranks + 1)).mean())
    sampled = predictions["sampled_rank"].to_numpy()
    assert metrics["sampled_hr_at_10"] == pytest.approx((sampled < 10).mean())
    assert metrics["sampled_ndcg_at_10"] > metrics["ndcg_at_10"]
    assert metrics["sampled_negatives"] == 20
    counts = ("n_test", "n_test_groups", "n_cold", "n_cold_users", "n_cold_items")
    assert [metrics[name] for name in counts] == [USERS, USERS, 2, 1, 1]
    assert metrics["onnx_rows"] == 3
    json.dumps(metrics, allow_nan=False)


def test_lists_are_judged_as_a_whole(world, predictions, metrics):
    lists = np.stack([items[:10] for items in predictions["top"]])
    assert metrics["coverage_at_10"] == len(np.unique(lists)) / ITEMS
    order = world.items["interactions"].rank().to_numpy() - 0.5
    bias = (order[lists].mean(axis=1) - order[predictions["item"]]) / ITEMS
    assert metrics["popularity_bias_at_10"] == pytest.approx(bias.mean())
    assert metrics["popularity_bias_at_10"] > 0.05


def test_pairs_that_training_does_not_know_are_counted_and_told_apart(predictions, metrics):
    warm = predictions[~(predictions["cold_user"] | predictions["cold_item"])]["full_rank"]
    expected = np.where(warm < 10, 1 / np.log2(warm + 2), 0).mean()
    assert metrics["warm_ndcg_at_10"] == pytest.approx(expected)


def test_leads_are_paired(world, predictions, baselines, metrics):
    model, *others = baselines
    assert (model["model"], model["kind"], model["ndcg_at_10_above"]) == ("model", "model", None)
    assert [row["model"] for row in others] == ["popularity", "constant"]
    for row in others:
        lead = metrics[f"ndcg_at_10_above_{row['model']}"]
        assert row["ndcg_at_10_above"] == pytest.approx(lead)
        assert lead == pytest.approx(model["ndcg_at_10"] - row["ndcg_at_10"])
    width = np.diff(metrics["intervals"]["ndcg_at_10_above_popularity"])
    assert width < np.diff([model["ndcg_at_10_lower"], model["ndcg_at_10_upper"]]) * 1.3
    json.dumps(baselines, allow_nan=False)


def test_a_constant_baseline_is_at_chance(world, predictions, baselines):
    constant = baselines[-1]
    candidates = ITEMS - np.array([len(items) for items in world.seen]) + 1
    assert constant["hr_at_10"] == pytest.approx((10 / candidates).mean(), rel=0.01)
    assert constant["sampled_hr_at_10"] == pytest.approx(10 / 21)


def test_slices_add_up(predictions, metrics):
    rows = evaluate_slices(predictions, EVALUATION, 3)
    for column in ("activity", "popularity", "item_age"):
        inside = [row for row in rows if row["slice"] == column]
        assert sum(row["n"] for row in inside) == USERS
        total = sum(row["n"] * row["ndcg_at_10"] for row in inside)
        assert total / USERS == pytest.approx(metrics["ndcg_at_10"])
    labels = [row["value"] for row in rows if row["slice"] == "activity"]
    assert labels == ["0", "1 to 5", "6 to 8", "9 or more"]
    merged = evaluate_slices(predictions, EVALUATION.model_copy(update={"min_slice_rows": 70}), 3)
    assert [row["value"] for row in merged if row["slice"] == "activity"][-1] == "(other)"
    # A column of one value says nothing
    warm = evaluate_slices(predictions.assign(cold_user=False), EVALUATION, 3)
    assert {row["slice"] for row in rows} - {row["slice"] for row in warm} == {"cold_user"}


def test_several_held_out_items_of_a_user_share_the_ideal(world):
    matrix = world.matrix.assign(split=world.matrix["split"].replace("validation", "test"))
    known = matrix[matrix["split"] == "train"]
    table = seen_items(known["user"].to_numpy(), known["item"].to_numpy(), USERS, ITEMS)
    pairs = matrix.loc[matrix["split"] == "test", ["user", "item"]]
    baselines = judge_scorer(Table(world.predictor.scores), pairs, table, None, 20).assign(baseline="same")
    found = predict(world, features_matrix=matrix, predictions_baselines=baselines)
    assert len(found) > USERS
    metrics = evaluate_ranking(found, world.items, {"n_train": 1}, EVALUATION, 3)
    assert metrics["hr_at_10"] > metrics["recall_at_10"]
    assert metrics["ndcg_at_10_above_same"] == 0


def test_without_negatives_there_is_no_sampled_metric(world):
    empty = world.negatives.iloc[:0]
    baselines = world.baselines.assign(sampled_rank=np.nan)
    found = predict(world, features_negatives=empty, predictions_baselines=baselines)
    metrics = evaluate_ranking(found, world.items, {"n_train": 1}, EVALUATION, 3)
    assert metrics["sampled_ndcg_at_10"] is None
    assert "sampled_ndcg_at_10" not in metrics["intervals"]
    rows = compare_baselines(found, world.items, EVALUATION, 3)
    assert rows[0]["sampled_ndcg_at_10"] is None
    plot_baselines(rows, EVALUATION)


def test_the_export_is_compared_on_held_out_pairs(world):
    found = check_ranking_export(world.predictor, world.matrix, EVALUATION.model_copy(update={"export_pairs": 50}), 3)
    assert found["onnx"] == {"rows": 50, "max_difference": 1e-6, "max_difference_ials": 1e-6}
    assert found["n_train"] == 2000
    pairs = {tuple(pair) for pair in world.predictor.compared[-1].tolist()}
    held_out = world.matrix[world.matrix["split"] == "test"]
    assert pairs <= set(zip(held_out["user"], held_out["item"], strict=True))
    other = Table(world.predictor.scores)
    other.difference = 0.5
    with pytest.raises(ValueError, match=r"differs from the model by up to 0\.5"):
        check_ranking_export(other, world.matrix, EVALUATION, 3)


def test_a_real_recommender_is_judged_by_its_scores(world, predictions):
    known = world.matrix[world.matrix["split"] != "test"]
    codes = [known[name].to_numpy() for name in ("user", "item")]
    histories = Histories.from_pairs(
        *codes, np.ones(len(known), dtype=np.float32), known["timestamp"].to_numpy(), (USERS, ITEMS)
    )
    factors = FactorScorer(world.predictor.scores, np.eye(ITEMS, dtype=np.float32), LeastSquares(0.1, 0.1))
    recommender = Recommender(
        METADATA,
        Mixture([factors], [1.0]),
        histories,
        world.predictor.popularity,
        world.users["user_id"].tolist(),
        world.items["item_id"].tolist(),
    )
    found = predict(world, predictor=recommender)
    assert found["full_rank"].tolist() == predictions["full_rank"].tolist()
    facts = check_ranking_export(recommender, world.matrix, EVALUATION, 3)
    assert facts["onnx"]["rows"] == USERS
    assert facts["onnx"]["max_difference_ials"] < 1e-5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 7}, "must be one of the sizes: 5, 10, 20"),
        ({"sizes": [10, 5]}, "ascend"),
        ({"sizes": [0, 10]}, "above 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        RankingEvaluation.model_validate(parameters)


def test_the_gate_names_its_protocol(metrics):
    rows = judge(
        metrics, Gates.model_validate({"sampled_ndcg_at_10": {"min": 0.1}, "ndcg_at_10_above_constant": {"min": 0}})
    )
    assert [row["verdict"] for row in rows] == ["pass", "pass"]


@pytest.fixture(scope="module")
def figures(world: Any, predictions: pd.DataFrame, metrics: Any, baselines: Any) -> dict[str, Any]:
    return {
        "sizes": plot_sizes(predictions, metrics, EVALUATION),
        "baselines": plot_baselines(baselines, EVALUATION),
        "popularity": plot_popularity(predictions, world.items, EVALUATION),
        "slices": plot_slices(evaluate_slices(predictions, EVALUATION, 3), EVALUATION),
        "ranks": plot_ranks(predictions, EVALUATION),
    }


def test_plots_draw_the_numbers(figures, metrics, baselines, predictions):
    model = figures["sizes"].data[-1]
    assert list(model.y) == [metrics[f"ndcg_at_{size}"] for size in (5, 10, 20)]
    assert [trace.name for trace in figures["sizes"].data] == ["popularity", "constant", "model"]
    full, sampled = figures["baselines"].data
    ordered = sorted(baselines, key=lambda row: -row["ndcg_at_10"])
    assert list(full.x) == [row["ndcg_at_10"] for row in ordered]
    assert list(sampled.x) == [row["sampled_ndcg_at_10"] for row in ordered]
    bars, line = figures["ranks"].data
    assert sum(bars.y) == pytest.approx(1)
    assert bars.y[0] == (predictions["full_rank"] < 1).mean()
    assert line.name == "popularity (best baseline)"
    for trace in figures["popularity"].data:
        assert sum(trace.y) == pytest.approx(1)
    assert sum(len(trace.x) for trace in figures["slices"].data) > 6


def test_the_report_says_which_protocol_is_which(world, figures, metrics, baselines, predictions):
    page = ranking_report(
        world.predictor,
        metrics,
        judge(metrics, Gates.model_validate({"sampled_ndcg_at_10": {"min": 0.5}})),
        baselines,
        evaluate_slices(predictions, EVALUATION, 3),
        EVALUATION,
        report_data={"rows_read": 7},
        **{f"plot_{name}": figure for name, figure in figures.items()},
    )
    for words in (
        "NDCG@10, full ranking",
        "Sampled negatives (the 99-negatives protocol): for comparison with the literature only",
        "among 20 random items",
        "2 of 240 held-out pairs have a user or an item without training",
        "What was kept and what was left out",
        "Where the held-out items stand",
    ):
        assert words in page, words


@pytest.mark.parametrize("signs", [(1, -1), (-1, 1)])
def test_a_disagreement_of_the_protocols_is_pointed_out(world, metrics, baselines, signs):
    rows = [dict(row) for row in baselines]
    rows[1] |= {"ndcg_at_10_above": 0.02 * signs[0], "sampled_ndcg_at_10_above": 0.01 * signs[1]}
    words = "the two protocols disagree whether the model is better than popularity."
    assert words in ranking_report(world.predictor, metrics, [], rows, [], EVALUATION)
    assert "disagree" not in ranking_report(world.predictor, metrics, [], baselines, [], EVALUATION)
