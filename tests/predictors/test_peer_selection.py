"""The selector of peers: the contract, learning by single answers and by replay, orderings beside plain rules."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import InputError, UserError
from augury.pipelines.collection.peer_simulation import latency_cube
from augury.predictors import load_predictor
from augury.predictors.checks import CHECKS
from augury.predictors.peer_rankings import SEPARATOR
from augury.predictors.peer_replay import compare_policies, new_selector
from augury.predictors.peer_requests import requests_of_cube, requests_of_table
from augury.predictors.peer_rules import RULES, RuleSettings, replay_rule
from augury.predictors.peer_selection import SelectorSettings
from augury.predictors.policy import replayed


@pytest.fixture(scope="module")
def requests():
    """A noisy network of low rank, clients and peers apart."""
    return requests_of_cube(latency_cube(30, 24, 40, noise=0.2, seed=3), 5, 0)


@pytest.fixture(scope="module")
def trained(requests):
    selector = new_selector(SelectorSettings(epsilon=0.1), seed=1)
    selector.learn_requests(requests)
    selector.example = [{"client": "n00001", "candidates": "p00001;p00002", "in_flight": None}]
    return selector


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    rows = [
        {
            "client": f"n{random.integers(30):05d}" if number % 5 else "somebody new",
            "candidates": SEPARATOR.join(f"p{peer:05d}" for peer in random.choice(30, 4, replace=False)),
            "in_flight": "0;3;1;0" if number % 3 else None,
        }
        for number in range(12)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_the_contract(check, trained, frame, tmp_path):
    check(trained, frame, tmp_path / "check")


def table_of(requests):
    """The same requests as a table."""
    return pd.DataFrame(
        {
            "case": [f"r{number:06d}" for number in requests.request],
            "ts": requests.request,
            "client": np.array(requests.clients, dtype=object)[requests.client[requests.request]],
            "peer": np.array(requests.peers, dtype=object)[requests.peer],
            "chosen": 0,
            "propensity": np.nan,
            "latency_ms": requests.latency,
            "ok": requests.ok.astype(int),
            "in_flight": requests.load,
        }
    )


def test_single_updates_learn_what_a_replay_learns(requests):
    part = requests.part(0, 300)
    together, one_by_one = new_selector(SelectorSettings(epsilon=0), 1), new_selector(SelectorSettings(epsilon=0), 1)
    together.know(part.clients, part.peers)
    one_by_one.know(part.clients, part.peers)
    chosen, _ = together.learn_requests(part)
    for number in range(300):
        rows = slice(part.start[number], part.start[number + 1])
        client, candidates = part.clients[part.client[number]], [part.peers[code] for code in part.peer[rows]]
        first = one_by_one.select(client, candidates).peers[0]
        row = part.start[number] + candidates.index(first)
        assert row == chosen[number]
        one_by_one.update(first, {"client": client}, -np.log(part.latency[row]))
    for name, table in together.tables._asdict().items():
        np.testing.assert_allclose(getattr(one_by_one.tables, name), table, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_table_and_a_cube_are_the_same_requests(requests):
    again = requests_of_table(table_of(requests))
    assert again.measured and (again.start == requests.start).all()
    first, _ = new_selector(seed=2).learn_requests(again.among(again.clients, again.peers))
    cost = again.latency[first].sum() / again.latency[again.best()].sum()
    assert 1 < cost < 1.6


def test_the_choice_does_not_depend_on_the_unit_of_latency(requests):
    seconds = requests._replace(latency=requests.latency / 1000)
    for settings_ in (SelectorSettings(), SelectorSettings(step="gradient")):
        chosen, predicted = new_selector(settings_).learn_requests(requests)
        other, shifted = new_selector(settings_).learn_requests(seconds)
        assert (chosen == other).mean() > 0.99
        assert np.abs(predicted - shifted - np.log(1000))[-500:].max() < 0.05


@pytest.mark.parametrize("step", ["history", "gradient"])
def test_the_prior_makes_it_cheaper_than_every_rule_that_knows_pairs_alone(step):
    # Pairs are met seldom: what is known of one must come from others
    requests = requests_of_cube(latency_cube(120, 120, 30, seed=5), 5, 0)
    found = compare_policies(requests, SelectorSettings(step=step), probes=(1, 2, 3))["cost_over_oracle"]
    assert found["model"] < 0.85 * found[["ewma_greedy", "last_rtt", "epsilon_greedy", "beta_thompson"]].min()
    assert found["model, 3 probes"] < found["model, 2 probes"] < found["model"] < found["random"]


def test_going_over_the_last_answers_again_learns_faster_than_single_steps():
    requests = requests_of_cube(latency_cube(120, 120, 30, seed=6), 5, 0, per_round=2)
    found = {
        step: compare_policies(requests, SelectorSettings(step=step), (1,), ())["cost_over_oracle"].iloc[0]
        for step in ("history", "gradient")
    }
    assert found["history"] < 0.97 * found["gradient"]


def cost_beside_the_exponential_mean(cube, per_round=1):
    requests = requests_of_cube(cube, per_round=per_round)
    found = compare_policies(requests, probes=(1,), rules=("ewma_greedy",))["cost_over_oracle"]
    return found["model"] / found["ewma_greedy"]


def test_a_few_answers_of_each_client_are_enough_to_learn_from_others():
    assert cost_beside_the_exponential_mean(latency_cube(250, 250, 15, rank=2, seed=8)) < 0.85


def test_one_round_gaps_and_wild_answers_leave_it_ahead():
    random = np.random.default_rng(2)
    network = latency_cube(150, 100, 12, rank=2, seed=9)
    gaps = np.where(random.random(network.shape[1:]) < 0.3, np.nan, network)
    wild = network * np.where(random.random(network.shape) < 0.01, 100, 1)
    for name, cube, per_round in (("one round", network[0], 20), ("gaps", gaps, 2), ("wild answers", wild, 2)):
        assert cost_beside_the_exponential_mean(cube, per_round) < 0.9, name


def test_it_is_not_worse_than_the_exponential_mean_where_there_is_no_structure():
    random = np.random.default_rng(0)
    cube = np.exp(random.normal(4, 0.8, (12, 12)) + random.normal(0, 0.3, (150, 12, 12)))
    assert cost_beside_the_exponential_mean(cube) < 1.03


def test_both_directions_of_a_pair_help_where_they_are_alike():
    random = np.random.default_rng(1)
    pair = random.normal(4, 0.8, (60, 60))
    alike = np.exp((pair + pair.T) / np.sqrt(2) + random.normal(0, 0.1, (20, 60, 60)))
    apart = np.exp(pair + random.normal(0, 0.1, (20, 60, 60)))

    def cost(cube, mirror):
        requests = requests_of_cube(cube, per_round=4)
        return compare_policies(requests, SelectorSettings(mirror=mirror), (1,), ()).iloc[0, 0]

    assert cost(alike, "auto") < 0.95 * cost(alike, "never")
    assert cost(apart, "auto") < 1.03 * cost(apart, "never")


def test_peers_that_fail_are_avoided_and_come_back():
    selector = new_selector(SelectorSettings(epsilon=0))
    for number in range(40):
        for peer, latency in (("fast", 10.0), ("slow", 40.0), ("other", 60.0)):
            selector.update(peer, {"client": f"c{number % 4}"}, -np.log(latency))
    assert selector.select("c1", ["slow", "fast"]).peers == ["fast", "slow"]
    for number in range(12):
        selector.update("fast", {"client": f"c{number % 4}", "ok": False}, None)
    assert selector.select("c1", ["slow", "fast"]).peers == ["slow", "fast"]
    assert selector.select("somebody new", ["slow", "fast"]).peers == ["slow", "fast"]
    for number in range(300):
        selector.update("fast", {"client": f"c{number % 4}"}, -np.log(10.0))
    assert selector.select("c1", ["slow", "fast"]).peers == ["fast", "slow"]


def test_load_moves_requests_to_other_peers():
    selector = new_selector(SelectorSettings(epsilon=0))
    for number in range(60):
        for peer, latency in (("a", 20.0), ("b", 30.0)):
            selector.update(peer, {"client": f"c{number % 3}"}, -np.log(latency))
    assert selector.select("c0", ["a", "b"]).peers[0] == "a"
    assert selector.select("c0", ["a", "b"], {"in_flight": {"a": 5}}).peers[0] == "b"


def test_new_clients_get_what_peers_are_like_and_new_peers_are_tried():
    selector = new_selector(SelectorSettings(epsilon=0))
    for number in range(120):
        for peer, latency in (("near", 20.0), ("far", 200.0)):
            selector.update(peer, {"client": f"c{number % 6}"}, -np.log(latency))
    ranking = selector.select("nobody has met me", ["far", "near", "never seen"])
    assert ranking.peers == ["near", "never seen", "far"]
    assert selector.select(None, ["far", "near"]).peers == ["near", "far"]


def test_propensities_are_the_shares_of_first_choices(trained):
    candidates = ["p00001", "p00002", "p00003", "p00004"]
    random = np.random.default_rng(0)
    answers = [trained.select("n00001", candidates, random=random) for _ in range(3000)]
    said = {}
    for answer in answers:
        assert sum(answer.propensities) == pytest.approx(1)
        assert answer.probe == answer.peers[:1]
        said |= dict(zip(answer.peers, answer.propensities, strict=True))
    for peer in candidates:
        share = np.mean([answer.peers[0] == peer for answer in answers])
        assert share == pytest.approx(said[peer], abs=0.02)


def test_probes_are_the_best_by_mean(trained):
    selector = trained.duplicate()
    selector.settings = SelectorSettings(epsilon=0, probes=2)
    ranking = selector.select("n00001", ["p00001", "p00002", "p00003"])
    assert ranking.probe == ranking.peers[:2]


def test_a_replay_leaves_the_selector_as_it_is(trained, requests):
    table = table_of(requests.part(0, 200))
    cases = pd.DataFrame({"case": table["case"].unique()})
    before = {name: values.copy() for name, values in trained.tables._asdict().items()}
    found = replayed(trained, cases, features_candidates=table)
    again = replayed(trained, cases, features_candidates=table)
    pd.testing.assert_frame_equal(found, again)
    for name, values in before.items():
        np.testing.assert_array_equal(values, getattr(trained.tables, name))
    merged = table.merge(found.assign(case=cases["case"]), left_on=["case", "peer"], right_on=["case", "choice"])
    np.testing.assert_array_equal(merged["latency_ms"], found["cost"])


def test_a_replay_of_a_log_without_all_outcomes_is_refused(trained, requests):
    table = table_of(requests.part(0, 20))
    cases = pd.DataFrame({"case": table["case"].unique()})
    table.loc[3, "latency_ms"] = np.nan
    with pytest.raises(UserError, match="'latency_ms' is missing in 1 of 100 rows"):
        trained.replay(cases, features_candidates=table)
    with pytest.raises(UserError, match="needs the table"):
        trained.replay(cases)
    with pytest.raises(UserError, match="must name the cases in their order"):
        trained.replay(cases.iloc[::-1], features_candidates=table)


def test_learning_goes_on_after_a_round_trip(trained, tmp_path):
    trained.save(tmp_path / "model")
    other = load_predictor(tmp_path / "model")
    for selector in (trained.duplicate(), other):
        selector.update("somebody else", {"client": "n00001"}, -np.log(5.0))
        selector.update("p00001", {"client": "new"}, -np.log(50.0))
    first = trained.duplicate()
    first.update("somebody else", {"client": "n00001"}, -np.log(5.0))
    first.update("p00001", {"client": "new"}, -np.log(50.0))
    asked = ["p00001", "somebody else", "p00002"]
    assert first.rank("n00001", asked) == other.rank("n00001", asked)


@pytest.mark.parametrize("reward", [None, float("nan"), float("inf")])
def test_a_success_without_a_latency_is_refused(trained, reward):
    with pytest.raises(InputError, match="reward"):
        trained.duplicate().update("p00001", {"client": "n00001"}, reward)


def test_an_update_without_a_client_is_refused(trained):
    with pytest.raises(InputError, match="client"):
        trained.duplicate().update("p00001", {}, -1.0)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"candidates": "a;b;a"}, "candidates"),
        ({"candidates": " ; "}, "candidates"),
        ({"in_flight": "1"}, "in_flight"),
        ({"in_flight": "1;-1"}, "in_flight"),
        ({"in_flight": "1;x"}, "in_flight"),
    ],
)
def test_requests_that_make_no_sense_are_refused(trained, row, column):
    asked = pd.DataFrame([{"client": "n00001", "candidates": "a;b", "in_flight": None} | row])
    with pytest.raises(InputError, match=f"'{column}'"):
        trained.predict(asked)


@pytest.mark.parametrize("content", ["", "{}", '{"settings": {"factors": 0}, "clients": [], "peers": []}'])
def test_a_damaged_selector_is_refused(trained, content, tmp_path):
    trained.save(tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").unlink()
    (tmp_path / "model" / "selector.json").write_text(content)
    with pytest.raises(UserError, match=r"selector.json' is damaged"):
        load_predictor(tmp_path / "model")


def test_tables_that_do_not_fit_the_ids_are_refused(trained, tmp_path):
    trained.save(tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").unlink()
    path = tmp_path / "model" / "selector.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"peers": said["peers"][:-1]}))
    with pytest.raises(UserError, match="is damaged"):
        load_predictor(tmp_path / "model")


# --- cubes and rules ---


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(4, 9), st.integers(4, 9), st.integers(2, 4))
def test_requests_of_a_cube_are_of_measured_pairs(seed, rounds, clients, peers, candidates):
    random = np.random.default_rng(seed)
    cube = random.exponential(1, (rounds, clients, peers))
    cube[random.random(cube.shape) < 0.2] = random.choice([np.nan, 0.0, -1.0, np.inf])
    try:
        found = requests_of_cube(cube, candidates, seed)
    except UserError:
        return
    assert found.measured and (found.latency > 0).all()
    assert set(np.diff(found.start)) == {candidates}
    assert not pd.DataFrame({"r": found.request, "p": found.peer}).duplicated().any()
    assert np.isin(found.latency, cube).all()
    if clients == peers:
        assert (found.client[found.request] != found.peer).all()
    best = found.latency[found.best()]
    np.testing.assert_array_equal(best, np.minimum.reduceat(found.latency, found.start[:-1]))
    chosen, predicted = new_selector().learn_requests(found)
    assert np.isfinite(predicted).all()
    np.testing.assert_array_equal(np.searchsorted(found.start, chosen, side="right") - 1, np.arange(len(chosen)))


def test_a_cube_without_choices_is_refused():
    with pytest.raises(UserError, match="no request can be drawn"):
        requests_of_cube(np.full((2, 3, 3), np.nan), 2)
    with pytest.raises(UserError, match="shape"):
        requests_of_cube(np.ones(4))


def test_last_rtt_and_the_exponential_mean_are_those_of_a_loop():
    requests = requests_of_cube(latency_cube(6, 5, 60, noise=0.5, seed=1), 3, 0)
    for rule, rate in (("last_rtt", 1.0), ("ewma_greedy", 0.3)):
        chosen = replay_rule(rule, requests, RuleSettings(rate=0.3), 0)
        mean, seen, total = {}, {}, {}
        agrees = 0
        for number, client in enumerate(requests.client):
            rows = range(requests.start[number], requests.start[number + 1])
            overall = sum(total.values()) / max(1, sum(seen.values()))
            centre = total[client] / seen[client] if client in seen else overall
            scores = [mean.get((client, requests.peer[row]), centre) for row in rows]
            agrees += scores[chosen[number] - rows[0]] <= min(scores) + 1e-6
            pair, y = (client, requests.peer[chosen[number]]), np.log(requests.latency[chosen[number]])
            mean[pair] = y if pair not in mean else mean[pair] + rate * (y - mean[pair])
            seen[client], total[client] = seen.get(client, 0) + 1, total.get(client, 0.0) + y
        assert agrees == len(chosen), rule


def test_an_unknown_rule_comes_with_its_near_match(requests):
    with pytest.raises(UserError, match="Did you mean 'ewma_greedy'"):
        replay_rule("ewma_gredy", requests, RuleSettings(), 0)


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_the_same_for_a_seed_and_no_worse_than_chance(rule, requests):
    first, second = (replay_rule(rule, requests, RuleSettings(), 4) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    random = requests.latency[replay_rule("random", requests, RuleSettings(), 9)].sum()
    assert requests.latency[first].sum() < 1.1 * random
