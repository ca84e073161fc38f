"""The chooser keeps the contract, never costs more than its table where it learned, and beats the plain rules."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.evaluation.codec_accuracy import evaluate_dictionaries, evaluate_links, evaluate_outcomes
from augury.pipelines.evaluation.codec_costs import check_codec_export, replay_codecs
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.model_training.codec_baselines import CodecBaselines, predict_codec_baselines
from augury.pipelines.model_training.codec_choice import blocks_of
from augury.pipelines.model_training.codec_gating import GateSearch, learn_gates, lower_bound
from augury.pipelines.model_training.codec_trees import CodecTrees, fit_codec_trees
from augury.predictors.checks import CHECKS
from augury.predictors.codec_costs import LINK, Contexts, costs_of, outcome_array, table_choice
from augury.predictors.codec_gates import gated_choice, gates_of
from augury.predictors.codec_regressors import CodecLayout, regression_targets
from augury.predictors.compression import complete

from .conftest import CONTEXTS, SEED, small_model

EVALUATION = PolicyEvaluation(bootstrap_replicates=50)


@pytest.mark.parametrize("kind", ["trees", "neural"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_trained_chooser_keeps_the_contract(check, kind, request, tables, tmp_path):
    predictor = request.getfixturevalue("trained" if kind == "trees" else "network").predictor
    frame = tables.holdout[[column.name for column in predictor.metadata.inputs]].head(20)
    check(predictor, frame, tmp_path / "check")


@pytest.fixture(scope="module")
def predictions(trained, tables):
    rules = predict_codec_baselines(tables.train, tables.holdout, tables.layout, CONTEXTS, CodecBaselines())
    return replay_codecs(trained.predictor, tables.holdout, rules)


def test_no_choice_beats_the_oracle_and_leisure_beats_every_plain_rule(predictions):
    policies = [name for name in predictions if name.startswith("cost")]
    assert (predictions[policies].min(axis=1) >= predictions["cost_oracle"] - 1e-9).all()
    total = predictions[policies].sum()
    rules = [name for name in policies if name.startswith("cost_baseline_")]
    assert len(rules) == 4
    assert total["cost_at_leisure"] < total[rules].min()
    assert total["cost"] <= total["cost_baseline_table"]


def test_decisions_cost_their_time_where_a_block_is_looked_at(trained, tables):
    found = trained.predictor.replay(tables.holdout)
    slower = trained.predictor.replay(tables.holdout.assign(sample_us=102.0))
    extra = (slower["cost"] - found["cost"]).to_numpy()
    expected = np.where(found["looked"], 100.0 * tables.holdout[LINK] / 1000, 0.0)
    np.testing.assert_allclose(extra, expected, atol=1e-9)


def test_the_table_is_the_best_constant_of_the_training_blocks(trained, tables):
    actual = outcome_array(tables.train, trained.predictor.codecs)
    for link in (1.0, 17.0, 333.0):
        expected = costs_of(actual, link).sum(axis=0).argmin()
        assert table_choice(actual.sum(axis=0), link)[0] == expected


def test_outcomes_play_no_part_in_a_choice(trained, tables):
    outcomes = [name for name in tables.holdout if ":" in name]
    other = tables.holdout.assign(**dict.fromkeys(outcomes, 1.0))
    for column in ("choice", "choice_at_leisure"):
        assert trained.predictor.replay(other)[column].equals(trained.predictor.replay(tables.holdout)[column])


def test_without_statistics_the_table_decides(trained, tables):
    bare = tables.holdout[["size", "link_mbps"]]
    answers = trained.predictor.predict(bare)
    assert (answers["codec"] == answers["codec_table"]).all() and not answers["looked"].any()
    assert (answers["codec_at_leisure"] == answers["codec_table"]).all()


def test_far_from_every_bandwidth_that_was_learned_the_table_decides(trained, tables):
    answers = trained.predictor.predict(tables.holdout.assign(link_mbps=1e5))
    assert (answers["codec_at_leisure"] == answers["codec_table"]).all()


def test_the_compiled_decision_is_the_one_of_the_frames(trained, tables):
    predictor = trained.predictor
    for link in CONTEXTS.link_mbps:
        cases = tables.holdout[tables.holdout[LINK] == link]
        rows = complete(cases, predictor.specification.layout)
        found, promised = predictor.decide(predictor.specification.layout.matrix(rows), link)
        chosen = predictor.choose(rows, inline=True)
        assert (found[chosen.looked] == chosen.codec[chosen.looked]).all()
        expected = (chosen.promised / rows["size"])[chosen.looked]
        np.testing.assert_allclose(promised[chosen.looked], expected, rtol=1e-9, atol=1e-12)


def open_link(predictor):
    """A bandwidth at which blocks are looked at."""
    return next(gate.link_mbps for gate in predictor.specification.gates if gate.inline_margin is not None)


def test_looks_end_on_blocks_of_which_the_table_is_right(trained, tables):
    predictor = trained.predictor
    cases = tables.holdout[tables.holdout[LINK] == open_link(predictor)]
    chosen = predictor.choose(complete(cases, predictor.specification.layout))
    right = cases[chosen.looked & (chosen.promised == 0)]
    many = right.sample(2000, replace=True, random_state=0).reset_index(drop=True)
    assert predictor.choose(complete(many, predictor.specification.layout)).looked.all()
    found = predictor.replay(many)
    assert 4 <= found["looked"].sum() < 15
    assert found["cost"].sum() < 1.001 * found["cost_table"].sum()


def test_contexts_are_replayed_each_for_itself(trained, tables):
    together = trained.predictor.replay(tables.holdout)
    for link in CONTEXTS.link_mbps:
        alone = (tables.holdout[LINK] == link).to_numpy()
        apart = trained.predictor.replay(tables.holdout[alone])
        pd.testing.assert_frame_equal(apart.reset_index(drop=True), together[alone].reset_index(drop=True))


def test_sets_of_regressors_are_averaged(tables):
    layout = CodecLayout.model_validate(tables.layout)
    blocks = blocks_of(tables.train, layout, small_model())
    targets = regression_targets(blocks.outcomes[:, 1:], blocks.sizes)

    def fitted(sets, seed):
        trees = CodecTrees(rounds=5, sets=sets)
        return fit_codec_trees(blocks.matrix, targets, blocks.sizes, layout.predicted, trees, seed)

    apart = [fitted(1, seed).targets(blocks.matrix) for seed in (7, 8)]
    assert np.abs(apart[0] - apart[1]).max() > 0
    np.testing.assert_allclose(fitted(2, 7).targets(blocks.matrix), np.mean(apart, axis=0), rtol=1e-12)


def test_outcomes_are_predicted_and_the_export_agrees(trained, network, tables):
    for model in (trained, network):
        facts = check_codec_export(model.predictor, tables.holdout)
        assert facts["onnx"]["rows"] == tables.holdout["block"].nunique()
        # Landmarks and networks scale features in float32, which the runtime rounds otherwise
        assert facts["onnx"]["max_difference"] < (1e-5 if model is trained else 1e-3)
    judged = evaluate_outcomes(trained.predictor, tables.holdout, trained.report)["metrics"]
    assert judged["share_r2"] > 0.9 and judged["incompressible_auc"] > 0.95
    assert judged["share_r2_inline"] > 0.9


def test_links_are_judged_against_the_table(predictions):
    found = evaluate_links(predictions, EVALUATION, SEED)
    for link in ("10", "100", "400"):
        rows = predictions[predictions["slice_link_mbps"] == link]
        gap = rows["cost_baseline_table"].sum() - rows["cost_oracle"].sum()
        expected = (rows["cost_at_leisure"].sum() - rows["cost_oracle"].sum()) / gap
        assert found["metrics"][f"leisure_over_table_{link}"] == pytest.approx(expected)
    assert found["metrics"]["worst_link_over_table"] <= 1.02


def test_dictionary_gains_are_ratios_of_sums():
    gains = pd.DataFrame({"lineage": list("aabb"), "size": [4096, 4096, 9000, 20000], "plain_bytes": [20, 20, 40, 9],
                          "single_bytes": [16, 16, 40, 9], "clustered_bytes": [10, 10, 20, 9]})  # fmt: skip
    found = evaluate_dictionaries(gains, EVALUATION, SEED)["metrics"]
    assert found["dictionary_gain_4096"] == pytest.approx(1.0) and found["dictionary_gain_16384"] == pytest.approx(1.0)
    assert found["dictionary_gain_single_16384"] == pytest.approx(80 / 72 - 1)
    assert evaluate_dictionaries(gains.head(0), EVALUATION, SEED)["metrics"]["dictionary_gain_4096"] is None


def test_folds_are_reported_with_mean_and_spread(trained):
    assert len(trained.report["folds"]) == 3
    values = [fold["r2_share"] for fold in trained.report["folds"]]
    assert trained.report["mean"]["r2_share"] == pytest.approx(np.mean(values))
    assert trained.report["spread"]["r2_share"] == pytest.approx(np.std(values, ddof=1))


def test_training_is_repeatable(trained, train_choice, tables):
    again = train_choice(tables.train.sample(frac=1, random_state=0))[0]
    assert again.specification == trained.predictor.specification
    pd.testing.assert_frame_equal(again.replay(tables.holdout), trained.predictor.replay(tables.holdout))


def test_the_network_leaves_curves_and_predicts_better_than_nothing(network, tables):
    assert set(network.curves["name"]) == {"loss", "validation_loss", "learning_rate"}
    losses = network.curves.query("name == 'loss'").sort_values("epoch")["value"].to_numpy()
    assert losses[-1] < losses[0]
    assert evaluate_outcomes(network.predictor, tables.holdout, network.report)["metrics"]["share_r2"] > 0.4


def test_too_few_lineages_are_refused(train_choice, tables):
    few = tables.train[tables.train["lineage"].isin(tables.train["lineage"].unique()[:2])]
    with pytest.raises(UserError, match="too few for 3 folds"):
        train_choice(few)


# --- gates ---


def test_a_gate_follows_only_what_promises_enough():
    costs = np.array([[10.0, 9.5, 8.0], [10.0, 9.9, 20.0]])
    table = np.zeros(2, dtype=np.intp)
    assert list(gated_choice(costs, table, 0.1)) == [2, 0]
    assert list(gated_choice(costs, table, 0.0)) == [2, 1]
    assert list(gated_choice(costs, table, np.inf)) == [0, 0]


def perfect(many=60, noise=0.0, seed=0):
    """Outcomes of two codecs; predictions that are right, or that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    actual = np.zeros((many, 2, 3))
    actual[:, 0, 0] = 65536
    actual[:, 1, 0] = 65536 * rng.uniform(0.1, 1, many)
    actual[:, 1, 1] = 300
    predicted = actual.copy()
    if noise:
        predicted[:, 1, 0] = 65536 * rng.uniform(0.1, 1, many)
    return actual, predicted


def test_gates_open_for_good_predictions_and_stay_shut_for_useless_or_too_slow_ones():
    contexts = Contexts(link_mbps=(100.0,))
    groups = np.arange(60) % 20
    search = GateSearch()

    def gate(noise, looks):
        actual, predicted = perfect(noise=noise)
        given = (np.full(60, looks), groups, actual.sum(axis=0), contexts, search)
        return learn_gates(predicted[None], predicted, actual, *given)[0]

    assert gate(0.0, 3.0).margin is not None and gate(0.0, 3.0).inline_margin is not None
    assert gate(0.0, 1e4).inline_margin is None and gate(0.0, 1e4).margin is not None
    assert gate(1.0, 3.0).inline_margin is None


def test_a_saving_that_is_rather_certain_is_enough_at_leisure_and_not_inline():
    # Against none, the codec saves 100 and 10 us in two lineages, and costs 200 us more elsewhere
    actual = np.zeros((4, 2, 3))
    actual[:, 0, 0], actual[:, 1, 0] = 65536, 32768
    actual[:, 1, 1] = 327.68 + np.array([-100.0, 200.0, -10.0, 200.0])
    contexts, groups = Contexts(link_mbps=(100.0,)), np.array([0, 0, 1, 1])
    given = (actual[None], actual, actual, np.zeros(4), groups, actual.sum(axis=0), contexts)
    (gate,) = learn_gates(*given, GateSearch())
    assert gate.margin is not None and gate.inline_margin is None
    (gate,) = learn_gates(*given, GateSearch(leisure_certainty=0.95, certainty=0.8))
    assert gate.margin is None and gate.inline_margin is not None


def test_a_saving_of_one_lineage_alone_is_not_certain():
    saved, groups = np.array([100.0, -1.0, -1.0, -1.0]), np.arange(4)
    assert lower_bound(saved, groups, 0.95) < 0 < saved.sum()
    assert lower_bound(np.full(4, 10.0), groups, 0.95) == pytest.approx(40.0)
    assert lower_bound(saved[:1], groups[:1], 0.95) == -np.inf


def test_the_nearest_bandwidth_says_which_gate(trained):
    gates = trained.predictor.specification.gates
    margins, _ = gates_of(gates, np.array([9.0, 110.0, 390.0, 5000.0]), inline=False)
    expected = [np.inf if gate.margin is None else gate.margin for gate in gates]
    assert list(margins) == [*expected, np.inf]
