"""What `peer_selection` is judged by: costs, probes, periods, calibration, off-policy estimates, tuning."""

import json

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.metrics.off_policy import ESTIMATORS
from augury.pipelines.collection.peer_simulation import PeerSimulation, latency_cube, simulate_fetches
from augury.pipelines.data_engineering.peer_fetches import FetchSource, FetchSplit, prepare_fetches
from augury.pipelines.evaluation.peer_costs import (
    judge_calibration,
    judge_periods,
    judge_probes,
    replay_holdout,
)
from augury.pipelines.evaluation.peer_off_policy import drawn_log, errors_of_estimates, judge_off_policy, target_of
from augury.pipelines.evaluation.peer_parameters import PeerJudgement
from augury.pipelines.evaluation.peer_plots import plot_calibration, plot_periods
from augury.pipelines.evaluation.policies import evaluate_policies
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.feature_engineering.peer_fetches import build_request_features
from augury.pipelines.model_training.peer_selector import (
    PeerBaselines,
    PeerModel,
    replay_peer_baselines,
    train_peer_selector,
)
from augury.pipelines.tuning.peer_search import PeerProblem, PeerTuning, tune_peer_selection
from augury.pipelines.tuning.racing import TransientStudies
from augury.predictors.peer_replay import new_selector
from augury.predictors.peer_requests import requests_of_cube, requests_of_table
from augury.predictors.peer_selection import SelectorSettings

PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
JUDGEMENT = PeerJudgement(bootstrap_replicates=100, draws=2, timed_requests=10)
NETWORK = PeerSimulation(clients=25, peers=30, requests=1500)


class Trained:
    """The stages up to training, on a table of fetches."""

    def __init__(self, fetches):
        primary, self.data = prepare_fetches(fetches, FetchSource(), FetchSplit())
        self.train, self.cases, self.candidates, _ = build_request_features(primary)
        self.selector, self.curves, self.account = train_peer_selector(
            self.train, self.data, {}, PeerModel(), 3, PROVENANCE
        )
        self.baselines = replay_peer_baselines(self.train, self.candidates, PeerBaselines(), 3)

    def holdout(self):
        return replay_holdout(self.selector, self.cases, self.candidates, self.baselines, self.account, JUDGEMENT, 3)


@pytest.fixture(scope="module")
def fetches():
    return simulate_fetches(NETWORK, 5)


@pytest.fixture(scope="module")
def mesh(fetches):
    return Trained(fetches)


@pytest.fixture(scope="module")
def logged(fetches):
    chosen = fetches["chosen"] == 1
    return Trained(fetches.assign(rtt_ms=fetches["rtt_ms"].where(chosen), ok=fetches["ok"].where(chosen)))


def test_the_model_is_cheaper_than_the_rules_and_dearer_than_the_oracle(mesh):
    frame, facts = mesh.holdout()
    found = evaluate_policies(frame, facts, PolicyEvaluation(bootstrap_replicates=100), 0)
    assert 1 < found["cost_over_oracle"] < 2
    assert found["intervals"]["saving_over_ewma_greedy"][0] > 0
    assert found["saving_over_random"] > 0.4
    assert facts["outcomes"] == "measured" and 0 < facts["exploration_cost"] < 0.2
    costs = mesh.candidates.groupby("case", sort=False)["latency_ms"].agg(["min", "max"]).to_numpy()
    for column in frame.filter(like="cost"):
        assert (frame[column] >= costs[:, 0] - 1e-9).all() and (frame[column] <= costs[:, 1] + 1e-9).all()
    np.testing.assert_allclose(frame["cost_oracle"], costs[:, 0])


def test_training_learns_from_its_own_choices_alone(mesh):
    """What no one chose may be anything: the selector is the same."""
    requests = requests_of_table(mesh.train)
    chosen, _ = new_selector(mesh.selector.settings, 3).learn_requests(requests)
    hidden = mesh.train["latency_ms"].to_numpy().copy()
    others = np.setdiff1d(np.arange(len(hidden)), chosen)
    hidden[others] = np.random.default_rng(0).permutation(hidden[others])
    other, _, _ = train_peer_selector(
        mesh.train.assign(latency_ms=hidden, ok=np.where(np.isin(np.arange(len(hidden)), others), 1, mesh.train["ok"])),
        mesh.data, {}, PeerModel(), 3, PROVENANCE,
    )  # fmt: skip
    for name, table in mesh.selector.tables._asdict().items():
        np.testing.assert_array_equal(getattr(other.tables, name), table)


def test_training_is_the_same_for_a_seed_and_says_what_it_did(mesh):
    again, curves, _ = train_peer_selector(mesh.train, mesh.data, {}, PeerModel(), 3, PROVENANCE)
    np.testing.assert_array_equal(again.tables.total, mesh.selector.tables.total)
    assert set(curves["name"]) == {"squared_error_loss", "cost_over_oracle"}
    assert mesh.account["learned_from"] == "own choices" and mesh.account["requests"] == 900
    assert json.loads(json.dumps(mesh.account))
    assert mesh.selector.metadata.data.origin == {"simulated": 4500}


def test_probes_cost_less_the_more_there_are(mesh):
    part = judge_probes(mesh.selector, mesh.candidates, JUDGEMENT, 0)
    one, two, three = (part["metrics"][f"cost_over_oracle_probes_{count}"] for count in (1, 2, 3))
    assert 1 <= three < two < one
    assert part["metrics"]["cost_with_wait_probes_2"] == pytest.approx(1.1 * two)
    frame, _ = mesh.holdout()
    assert one == pytest.approx(frame["cost"].sum() / frame["cost_oracle"].sum())
    low, high = part["intervals"]["cost_over_oracle_probes_2"]
    assert low < two < high


def test_periods_begin_with_knowing_nothing(mesh):
    part = judge_periods(mesh.selector, mesh.train, mesh.candidates, JUDGEMENT, 0)
    (rows,) = part["tables"].values()
    assert sum(row["requests"] for row in rows) == NETWORK.requests
    assert rows[0]["cost / oracle's"] > part["metrics"]["periods_cost_over_oracle_mean"]
    assert plot_periods(part).data


def test_predictions_are_near_what_is_measured(mesh):
    part = judge_calibration(mesh.selector, mesh.candidates, JUDGEMENT)
    assert abs(part["metrics"]["log_error_mean_chosen"]) < 0.15
    assert 0.5 < part["metrics"]["calibration_slope"] < 1.3
    (bins,) = part["tables"].values()
    assert bins[0]["measured ms"] < bins[-1]["measured ms"]
    assert plot_calibration(part).data


def test_off_policy_estimates_stand_beside_the_truth(mesh):
    part = judge_off_policy(mesh.selector, mesh.candidates, JUDGEMENT, 0)
    metrics = part["metrics"]
    assert abs(metrics["ope_doubly_robust"] - metrics["ope_truth"]) < 0.1
    assert metrics["ope_error_doubly_robust"] < metrics["ope_error_ips"]
    assert abs(metrics["ope_marginal_doubly_robust"] - metrics["ope_truth"]) < 0.1
    assert metrics["ope_effective_share"] < metrics["ope_marginal_effective_share"] < 1
    low, high = part["intervals"]["ope_doubly_robust"]
    assert low < metrics["ope_truth"] < high
    assert 0 < metrics["ope_effective_share"] < 1 and not part["warnings"]
    assert json.loads(json.dumps(part))


def test_a_log_alone_is_judged_by_estimates(logged, mesh):
    assert logged.account["learned_from"] == "logged choices"
    frame, facts = logged.holdout()
    assert "modelled" in facts["outcomes"] and "cost_oracle" not in frame
    assert np.isfinite(frame.filter(like="cost").to_numpy()).all()
    found = evaluate_policies(frame, facts, PolicyEvaluation(bootstrap_replicates=50), 0)
    assert found["saving_over_random"] > 0.2
    part = judge_off_policy(logged.selector, logged.candidates, JUDGEMENT, 0)
    assert "ope_truth" not in part["metrics"]
    # The truth, from the mesh that the log was taken from
    requests = requests_of_table(mesh.candidates)
    truth = (target_of(requests, logged.selector) * np.log(requests.latency)).sum() / len(requests.client)
    assert abs(part["metrics"]["ope_doubly_robust"] - truth) < 0.1
    for judge in (judge_probes(logged.selector, logged.candidates, JUDGEMENT, 0),
                  judge_periods(logged.selector, logged.train, logged.candidates, JUDGEMENT, 0)):  # fmt: skip
        assert judge == {"metrics": {}, "tables": {}}
    assert not plot_periods({"tables": {}}).data


def test_missing_propensities_are_estimated_with_a_warning(logged):
    part = judge_off_policy(logged.selector, logged.candidates.assign(propensity=np.nan), JUDGEMENT, 0)
    assert "no propensities" in part["warnings"][0] and part["tables"]["Warnings"]
    # The log was uniform, and so are the estimates
    told = judge_off_policy(logged.selector, logged.candidates, JUDGEMENT, 0)
    assert part["metrics"]["ope_doubly_robust"] == pytest.approx(told["metrics"]["ope_doubly_robust"], abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.where(p.index != 3, 0.0), "'propensity' must be above 0 and at most 1: 1 of 3,000"),
        (lambda p: p.where(p.index != 3, 0.9), "must add up to 1 over the candidates"),
        (lambda p: p.where(p.index != 3), "'propensity' is missing in 1 of 3,000 rows"),
    ],
    ids=["zero", "sum", "missing"],
)
def test_impossible_propensities_are_refused(logged, change, message):
    table = logged.candidates.assign(propensity=change(logged.candidates["propensity"]))
    with pytest.raises(UserError, match=message):
        judge_off_policy(logged.selector, table, JUDGEMENT, 0)


def test_a_drawn_log_shows_one_outcome_by_request(mesh):
    requests = requests_of_table(mesh.candidates)
    log = drawn_log(requests, 0)
    assert np.isfinite(log.latency).sum() == len(log.client)
    np.testing.assert_array_equal(log.latency[log.logged], requests.latency[log.logged])
    places = log.logged - log.start[:-1]
    assert np.bincount(places, minlength=5).min() > 0.7 * len(places) / 5


@pytest.mark.slow
def test_doubly_robust_is_near_the_truth_at_ten_thousand_logs():
    requests = requests_of_cube(latency_cube(200, 200, 80, noise=0.2, seed=2), 5, 0)
    selector = new_selector(SelectorSettings(epsilon=0.0))
    selector.learn_requests(requests.part(0, 6000))
    errors = errors_of_estimates(requests.part(6000, 16_000), selector, PeerJudgement(draws=6), 0)
    names = ("doubly_robust", "marginal_doubly_robust")
    assert set(errors) == {*ESTIMATORS, *(f"expected_{name}" for name in names)}
    assert errors["doubly_robust"].abs().mean() < 0.01
    # What all logs would show is what the drawn ones do, up to chance
    for name in names:
        assert 0.4 < np.sqrt((errors[name] ** 2).mean() / (errors[f"expected_{name}"] ** 2).mean()) < 2
    # A log of as many requests as there are pairs, or more, offers most fetches several times
    assert (errors["expected_marginal_doubly_robust"] < errors["expected_doubly_robust"]).all()
    assert errors["doubly_robust"].abs().mean() < errors["ips"].abs().mean()


def test_tuning_judges_periods_by_what_was_learned_before(mesh):
    requests = requests_of_table(mesh.train)
    problem = PeerProblem(requests, PeerModel(), 2, 3, "digest")
    chosen, _ = new_selector(SelectorSettings(), 3).learn_requests(requests)
    for fold, (first, last) in enumerate([(450, 675), (675, 900)]):
        best = requests.latency[requests.best()[first:last]].sum()
        expected = requests.latency[chosen[first:last]].sum() / best
        assert problem.evaluate({}, fold) == pytest.approx(expected)
    tuning = PeerTuning(trials=3, folds=2, space={"decay": ["float", 0.5, 1.0], "factors": ["int", 2, 6]})
    best_params, trials, report = tune_peer_selection(mesh.train, PeerModel(), tuning, 3, TransientStudies())
    assert best_params["score"] <= best_params["default_score"] and len(trials) == 3
    model = PeerModel(use_tuned=True)
    selector, _, _ = train_peer_selector(mesh.train, mesh.data, best_params, model, 3, PROVENANCE)
    assert selector.settings.decay == best_params["parameters"]["decay"]
    assert report["metric"] == "cost_over_oracle"


def test_a_log_is_tuned_by_the_error_of_predictions(logged):
    problem = PeerProblem(requests_of_table(logged.train), PeerModel(), 2, 3, "digest")
    assert problem.metric == "log_error_rms" and 0 < problem.evaluate({}, 0) < 3


def test_training_without_rows_is_refused(mesh):
    with pytest.raises(UserError, match="no request to learn from"):
        train_peer_selector(mesh.train.head(0), mesh.data, {}, PeerModel(), 3, PROVENANCE)


def test_a_constant_network_and_a_single_client_are_judged_too():
    rows = pd.DataFrame(
        {
            "request": np.repeat(range(80), 2), "client": "only one", "peer": ["a", "b"] * 80, "rtt_ms": 7.0,
            "ts": np.repeat(range(80), 2),
        }
    )  # fmt: skip
    only = Trained(rows)
    frame, facts = only.holdout()
    found = evaluate_policies(frame, facts, PolicyEvaluation(bootstrap_replicates=20), 0)
    assert found["cost_over_oracle"] == pytest.approx(1)
    assert judge_calibration(only.selector, only.candidates, JUDGEMENT)["metrics"]["log_error_rms_candidates"] < 0.01
    assert judge_off_policy(only.selector, only.candidates, JUDGEMENT, 0)["metrics"]["ope_error_doubly_robust"] < 0.01
