"""The GRU learns and goes on from a checkpoint; tuning is judged forward in time; the holdout beside plain rules."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.checkpointing import NoCheckpoints
from augury.commands.prefetch import command
from augury.errors import UserError
from augury.pipelines.data_engineering.accesses import AccessSource, AccessSplit, prepare_accesses
from augury.pipelines.evaluation.cache_misses import BASELINES, replay_holdout
from augury.pipelines.evaluation.policies import evaluate_policies
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.evaluation.prefetch_plots import plot_hits
from augury.pipelines.feature_engineering.accesses import AccessFeatures, build_access_features
from augury.pipelines.model_training.gru_training import fit_gru
from augury.pipelines.model_training.online_mixture import train_prefetcher
from augury.pipelines.model_training.prefetch_models import GruSettings, PrefetchModel
from augury.pipelines.tuning.prefetch_search import PrefetchProblem, PrefetchTuning, tune_prefetch
from augury.pipelines.tuning.racing import TransientStudies
from augury.predictors import load_predictor
from augury.predictors.gru_proposals import GruProposals, codes_of
from augury.predictors.prefetch_replay import Trace

pytest.importorskip("numba")

SMALL = {"mixture": {"contexts": 256, "vocabulary": 512}}
GRU = {"vocabulary": 64, "shared": 4, "embedding": 8, "hidden": 16, "sampled": 0, "sequence": 16, "epochs": 4, "learning_rate": 0.02}  # fmt: skip  # noqa: E501
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}


def loop(repeats: int = 60) -> np.ndarray:
    return np.tile(np.random.default_rng(0).permutation(40) * 1_000, repeats)


@pytest.fixture(scope="module")
def tables() -> SimpleNamespace:
    primary, data = prepare_accesses(pd.DataFrame({"block": loop()}), AccessSource(), AccessSplit(), 1)
    features = AccessFeatures(window=160, windows_per_group=1, cache_shares=[0.1, 0.3], delays=[1, 8])
    accesses, cases, account = build_access_features(primary, features)
    return SimpleNamespace(primary=primary, data=data, accesses=accesses, cases=cases, account=account)


def train(tables: SimpleNamespace, **changes):
    model = PrefetchModel.model_validate(SMALL | changes)
    return train_prefetcher(
        tables.accesses, tables.primary, tables.account, tables.data, {}, model, 1, NoCheckpoints(), PROVENANCE
    )


class Kept:
    """Checkpoints in memory."""

    def __init__(self):
        self.saved = {}

    def load(self, fingerprint):
        return self.saved.get(fingerprint)

    def save(self, fingerprint, tensors, state):
        from augury.checkpointing import Checkpoint

        self.saved[fingerprint] = Checkpoint(dict(tensors), {**state, "curves": list(state["curves"])})

    def clear(self):
        self.saved = {}


def as_trace(blocks: np.ndarray) -> Trace:
    return Trace("t", blocks, np.zeros_like(blocks), np.ones_like(blocks))


@pytest.mark.parametrize("sampled", [0, 16])
def test_the_gru_learns_a_loop(sampled):
    fit = fit_gru([as_trace(loop())], GruSettings.model_validate(GRU | {"sampled": sampled, "epochs": 8}), 1)
    losses = fit.curves[fit.curves["name"] == "loss"]["value"]
    assert losses.iloc[-1] < losses.iloc[0]
    assert fit.facts["validation_hit_at_1"] > 0.5
    proposals = fit.network.propose(as_trace(loop(4)))
    assert np.mean(proposals[80:-1, 0] == loop(4)[81:]) > 0.5


def test_a_training_that_was_interrupted_goes_on_as_if_it_had_not_been():
    kept = Kept()
    whole = fit_gru([as_trace(loop(20))], GruSettings.model_validate(GRU | {"epochs": 2}), 1)
    settings = GruSettings.model_validate(GRU | {"epochs": 2})
    saved = kept.save

    def stop(fingerprint, tensors, state):
        saved(fingerprint, tensors, state)
        raise KeyboardInterrupt

    kept.save = stop
    with pytest.raises(KeyboardInterrupt):
        fit_gru([as_trace(loop(20))], settings, 1, kept)
    kept.save = saved
    resumed = fit_gru([as_trace(loop(20))], settings, 1, kept)
    for name, value in whole.network.tensors.items():
        np.testing.assert_allclose(resumed.network.tensors[name], value, rtol=1e-5, atol=1e-6)


def test_steps_one_by_one_propose_what_steps_together_do(tmp_path):
    network = fit_gru([as_trace(loop(20))], GruSettings.model_validate(GRU | {"epochs": 1}), 1).network
    network.save(tmp_path / "gru.safetensors")
    online = GruProposals.read(tmp_path / "gru.safetensors").online()
    together = network.propose(as_trace(loop(1)))
    one_by_one = np.array([online.step(int(block), 0) for block in loop(1)])
    np.testing.assert_array_equal(together, one_by_one)


def test_blocks_outside_the_vocabulary_share_places():
    vocabulary = np.array([3, 7])
    codes = codes_of(np.array([3, 7, 8, 9, 10**15]), vocabulary, 5)
    assert codes[:2].tolist() == [0, 1]
    assert ((codes[2:] >= 2) & (codes[2:] < 7)).all()


def test_a_gru_is_one_of_the_experts_where_it_is_asked_for(tables, tmp_path):
    predictor, curves, report = train(tables, gru=GRU | {"use": "on", "epochs": 1})
    assert report["gru"]["kept"]
    assert "gru" in predictor.mixture.settings.experts
    assert {"loss", "validation_loss", "mixture_hit_at_1"} <= set(curves["name"])
    predictor.save(tmp_path / "model")
    again = load_predictor(tmp_path / "model")
    online = again.online(capacity=4)
    for block in loop(1):
        online.observe(int(block))
    assert len(online.suggest(3)) == 3


def test_a_gru_that_does_not_earn_its_weight_is_left_out(tables):
    predictor, _, report = train(tables, gru=GRU | {"use": "auto", "epochs": 1, "least_gain": 0.5})
    assert not report["gru"]["kept"]
    assert predictor.network is None


def test_the_holdout_is_judged_beside_plain_rules(tables):
    predictor, _, _ = train(tables)
    evaluation = PolicyEvaluation(unit="misses", bootstrap_replicates=20)
    predictions, hits, prefetches, facts = replay_holdout(predictor, tables.cases, tables.accesses, evaluation, 1)
    assert [name.removeprefix("cost_baseline_") for name in predictions if name.startswith("cost_baseline_")] == [
        *BASELINES
    ]
    metrics = evaluate_policies(predictions, facts, evaluation, 1)
    assert metrics["saving_over_lru"] > 0.8
    assert metrics["cost_over_best_baseline"] < 1.02
    assert (predictions["cost_baseline_lru"] == 160).all()  # a loop that does not fit
    assert hits["metrics"]["hit_at_1"] > 0.99
    assert prefetches["metrics"]["miss_change"] == pytest.approx(-metrics["saving_over_lru"])
    assert 0.9 < prefetches["metrics"]["coverage"] <= 1.1
    assert facts["n_train"] == 1_440
    assert facts["decision_us_p50"] > 0
    assert len(plot_hits(hits).data) == 2


def test_a_fold_is_judged_by_what_follows_its_past(tables):
    table = tables.accesses[tables.accesses["part"] == "train"]
    model = PrefetchModel.model_validate(SMALL)
    problem = PrefetchProblem(table, model, [0.1])
    changed = table.copy()
    changed.loc[changed["fold"] == 4, "block"] += 77  # the last block in time alone
    other = PrefetchProblem(changed, model, [0.1])
    scores = [problem.evaluate({}, fold) for fold in range(4)]
    assert [other.evaluate({}, fold) for fold in range(3)] == scores[:3]
    assert other.evaluate({}, 3) != scores[3]
    assert problem.fold_costs == [576.0, 864.0, 1152.0, 1440.0]


def test_tuning_finds_parameters_that_training_takes(tables):
    tuning = PrefetchTuning.model_validate(
        {"trials": 3, "startup_trials": 1, "workers": 1, "space": {"gate.price": ["float", 0.001, 0.2, "log"]}}
    )
    best, trials, _ = tune_prefetch(tables.accesses, PrefetchModel.model_validate(SMALL), tuning, 1, TransientStudies())
    assert set(best["parameters"]) == {"gate.price"}
    assert len(trials) == 3
    model = PrefetchModel.model_validate(SMALL | {"use_tuned": True})
    predictor, _, _ = train_prefetcher(
        tables.accesses, tables.primary, tables.account, tables.data, best, model, 1, NoCheckpoints(), PROVENANCE
    )
    assert predictor.gate.price == best["parameters"]["gate.price"]


def test_a_person_asks_from_the_command_line(tables, tmp_path):
    pd.DataFrame({"block": loop()}).to_parquet(tmp_path / "trace.parquet")
    train(tables)[0].save(tmp_path / "model")
    for arguments in (["--model", str(tmp_path / "model")], ["--plain", "--json", "--cache", "8", "--delay", "2"]):
        done = CliRunner().invoke(command, [str(tmp_path / "trace.parquet"), "--k", "2", *arguments])
        assert done.exit_code == 0, done.output
        assert str(loop()[0]) in done.output
    missing = CliRunner().invoke(command, [str(tmp_path / "none.parquet"), "--plain"])
    assert isinstance(missing.exception, UserError)
