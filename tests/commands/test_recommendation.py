"""`python -m augury predict recommendation`: a list for everybody, known or not; mistakes in one line."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError
from augury.metrics.top_k import seen_items, top_items
from augury.predictors import content_map
from augury.predictors.content_map import ContentMap
from augury.predictors.contract import DataFacts, Metadata
from augury.predictors.recommendation import INPUTS, OUTPUTS, Recommender
from augury.predictors.recommender_scorers import FactorScorer, LeastSquares, Mixture
from augury.predictors.user_histories import Histories

USERS, ITEMS, FACTORS = 30, 25, 4
METADATA = Metadata(
    predictor="recommendation",
    family="top_k_recommender",
    task="ranking: implicit top-k recommendation",
    inputs=INPUTS,
    outputs=OUTPUTS,
    features=("user_id",),
    parameters={},
    data=DataFacts(fingerprint="f" * 64, rows=120, groups=USERS, origin={"simulated": 120}),
    versions={},
    seed=0,
    git_commit=None,
    created_at="2026-02-01T00:00:00+00:00",
)


@pytest.fixture(scope="module")
def recommender():
    """Factors; everybody has turned to four items, the last user to none."""
    random = np.random.default_rng(4)
    items = random.normal(size=(ITEMS, FACTORS)).astype(np.float32)
    chosen = np.argsort(random.random((USERS - 1, ITEMS)), axis=1)[:, :4]
    users = np.repeat(np.arange(USERS - 1), 4)
    ones = np.ones(len(users), dtype=np.float32)
    histories = Histories.from_pairs(users, chosen.ravel(), ones, np.arange(len(users)), (USERS, ITEMS))
    ials = FactorScorer(np.zeros((USERS, FACTORS), dtype=np.float32), items, LeastSquares(0.1, 0.1, 1.0))
    ials.users = ials.fold_in(histories)
    weights = np.vstack([np.eye(FACTORS), np.zeros(FACTORS)]).astype(np.float32)
    return Recommender(
        METADATA,
        Mixture([ials], [1.0]),
        histories,
        np.linspace(1, 0, ITEMS, dtype=np.float32),
        [f"user_{code}" for code in range(USERS)],
        [f"item_{code}" for code in range(ITEMS)],
        ContentMap("scratch", weights),
    )


@pytest.fixture(scope="module")
def model(recommender, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "recommendation"
    recommender.save(folder)
    return folder


@pytest.fixture
def ask(model):
    """A function that runs the command in this process."""

    def run(*arguments: str):
        command = ["predict", "recommendation", "--model", str(model), *arguments]
        return CliRunner().invoke(cli, command, catch_exceptions=False)

    return run


def answers(done) -> list[dict]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def listed(answer: dict) -> list[str]:
    return [entry["item_id"] for entry in answer["items"]]


def expected_lists(recommender, k):
    users = recommender.histories
    scores = recommender.mixture.scores(np.arange(USERS, dtype=np.int32), users)
    seen = seen_items(np.repeat(np.arange(USERS), np.diff(users.indptr)), users.indices, USERS, ITEMS)
    return [[f"item_{item}" for item in row] for row in top_items(scores, k, seen).tolist()]


def test_several_users_get_their_own_lists_without_what_they_have_seen(ask, recommender):
    found = answers(ask("user_1", "user_7", "--k", "6", "--json"))
    expected = expected_lists(recommender, 6)
    assert [listed(answer) for answer in found] == [expected[1], expected[7]]
    assert [(answer["known_user"], answer["based_on"], answer["notes"]) for answer in found] == [
        (True, "history", [])
    ] * 2


def test_seen_items_may_be_asked_for(ask, recommender):
    (answer,) = answers(ask("user_3", "--k", str(ITEMS), "--include-seen", "--json"))
    assert len(set(listed(answer))) == ITEMS
    (without,) = answers(ask("user_3", "--k", str(ITEMS), "--json"))
    seen = {f"item_{item}" for item in recommender.histories.row(3)}
    assert set(listed(answer)) - set(listed(without)) == seen
    assert without["notes"] == [f"There are only {ITEMS - 4} candidates for {ITEMS} places."]


@pytest.mark.parametrize(
    ("user", "known", "note"),
    [
        ("nobody", False, "Training did not know the user 'nobody': these are the most popular items."),
        (f"user_{USERS - 1}", True, f"Training knew no item of the user 'user_{USERS - 1}': these are"),
    ],
)
def test_users_without_a_history_are_shown_what_is_popular(ask, user, known, note):
    (answer,) = answers(ask(user, "--k", "3", "--json"))
    assert listed(answer) == ["item_0", "item_1", "item_2"]
    assert (answer["known_user"], answer["based_on"]) == (known, "popularity")
    assert answer["notes"][0].startswith(note)


def test_items_may_be_allowed_and_denied(ask, tmp_path):
    file = tmp_path / "allowed.txt"
    file.write_text("item_3\n\nitem_4\nitem_5\nitem_99\n")
    (answer,) = answers(ask("nobody", "--allow", str(file), "--deny", "item_4; item_7", "--json"))
    assert listed(answer) == ["item_3", "item_5"]
    assert "1 of 4 of the allowed items are unknown and do not count: 'item_99'." in answer["notes"]
    (answer,) = answers(ask("nobody", "--deny", "item_0", "--k", "1", "--json"))
    assert listed(answer) == ["item_1"]


def test_a_new_user_is_taken_in_by_what_they_have_turned_to(ask, recommender):
    row = recommender.histories.row(2)
    (answer,) = answers(ask("--history", ";".join(f"item_{item}" for item in row), "--k", "6", "--json"))
    assert answer["based_on"] == "history"
    assert listed(answer) == expected_lists(recommender, 6)[2]


def test_a_history_of_unknown_items_falls_back_to_what_is_popular(ask):
    (answer,) = answers(ask("--history", "x;y", "--k", "2", "--json"))
    assert listed(answer) == ["item_0", "item_1"]
    assert answer["notes"] == [
        "2 of 2 of the history are unknown and do not count: 'x', 'y'.",
        "No item of the history is known: these are the most popular items.",
    ]


def test_a_new_item_finds_its_users_and_its_neighbours(ask, recommender, monkeypatch):
    """Its text is embedded as the factors of item 8, so it is wanted by those who want that one."""
    factors = recommender.mixture.members[0].items
    monkeypatch.setattr(content_map, "embed", lambda encoder, texts: np.repeat(factors[[8]], len(texts), axis=0))
    (answer,) = answers(ask("--new-item", "a text", "--k", "5", "--json"))
    assert answer["similar_items"][0] == {"item_id": "item_8", "similarity": pytest.approx(1)}
    users = [int(entry["user_id"].removeprefix("user_")) for entry in answer["users"]]
    places = [entry["place"] for entry in answer["users"]]
    assert places == sorted(places)
    scores = recommender.mixture.scores(np.arange(USERS, dtype=np.int32), recommender.histories)
    for user, place in zip(users, places, strict=True):
        unseen = np.setdiff1d(np.arange(ITEMS), recommender.histories.row(user))
        better = sum(scores[user, item] > scores[user, 8] + 1e-4 for item in unseen)
        assert place in (better + 1, better + 2)  # item 8 itself stands beside it
    assert USERS - 1 not in users
    shown = ask("--new-item", "a text", "--k", "2").output
    assert "Users who would have it highest on their lists" in shown
    assert "Items that it resembles" in shown


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_all_users_in_a_file(ask, recommender, tmp_path, kind):
    path = tmp_path / "new folder" / f"recs.{kind}"
    done = ask("--all-users", "--k", "4", "--out", str(path))
    assert f"{4 * USERS} recommendations for {USERS} users" in done.output
    found = {
        "parquet": pd.read_parquet,
        "csv": pd.read_csv,
        "jsonl": lambda file: pd.read_json(file, lines=True),
    }[kind](path)
    assert found.columns.tolist() == ["user_id", "rank", "item_id", "score"]
    lists = found.groupby("user_id", sort=False)["item_id"].agg(list)
    assert lists.tolist()[:-1] == expected_lists(recommender, 4)[:-1]


def test_all_users_may_have_lists_of_what_is_allowed(ask, tmp_path):
    path = tmp_path / "recs.parquet"
    ask("--all-users", "--allow", "item_1;item_2", "--out", str(path))
    found = pd.read_parquet(path)
    assert set(found["item_id"]) == {"item_1", "item_2"}
    assert found["user_id"].nunique() == USERS


def test_tables_say_what_the_list_rests_on(ask):
    lines = ask("user_1", "nobody", "--k", "2").output.splitlines()
    assert lines[0] == "user_1, by what the user has turned to"
    assert lines[1].split() == ["rank", "item", "score"]
    assert lines[5] == "nobody, by popularity"
    assert lines[6].startswith("Note: Training did not know the user 'nobody'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give one of USERS, --history, --new-item, --all-users, but there is none"),
        (["user_1", "--history", "item_1"], "but there are USERS and --history"),
        (["--all-users"], "--all-users and --out go together"),
        (["user_1", "--out", "x.csv"], "--all-users and --out go together"),
        (["--all-users", "--out", "x.xlsx"], r"must end with one of \.parquet, \.csv, \.jsonl"),
        (["--history", "item_1", "--include-seen"], "--include-seen goes with USERS"),
        (["--new-item", "text", "--deny", "item_1"], "do not go with --new-item"),
    ],
)
def test_mistakes_are_named(ask, arguments, message):
    with pytest.raises(UserError, match=message):
        ask(*arguments)


def test_without_a_map_from_texts_a_new_item_is_refused(recommender, tmp_path):
    plain = Recommender(
        METADATA,
        recommender.mixture,
        recommender.histories,
        recommender.popularity,
        recommender.user_ids.tolist(),
        recommender.item_ids.tolist(),
    )
    plain.save(tmp_path / "plain")
    with pytest.raises(UserError, match="no map from texts to items"):
        CliRunner().invoke(
            cli,
            ["predict", "recommendation", "--model", str(tmp_path / "plain"), "--new-item", "text"],
            catch_exceptions=False,
        )
