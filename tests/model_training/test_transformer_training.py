"""Fine-tuning: exact resume, what weights and frozen layers mean, and that something is learnt."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import f1_score

from augury.checkpointing import Checkpoint, NoCheckpoints
from augury.errors import UserError
from augury.pipelines.model_training.encoder_stack import EncoderStack
from augury.pipelines.model_training.global_threshold import best_micro_f1, micro_f1_at
from augury.pipelines.model_training.length_buckets import epoch_batches, planned_epochs, steps_per_epoch
from augury.pipelines.model_training.transformer_settings import TransformerSettings
from augury.pipelines.model_training.transformer_training import (
    apply_confidence,
    fit_transformer,
)
from augury.predictors.text_encoder import TextFeatures, encode_texts, learn_tokenizer, new_encoder

FEATURES = TextFeatures(
    encoder="scratch", max_tokens=12, windows=2, scratch={"vocabulary": 120, "hidden": 32, "layers": 2, "heads": 2}
)
QUICK = TransformerSettings(epochs=3, min_steps=0, batch_size=8, body_learning_rate=2e-3, threads=1)
SUBJECTS = {"sea": "ship wind wave harbour", "law": "court judge verdict crime", "sum": "number proof digit prime"}


class Memory:
    """Checkpoints in memory, of a process that dies at some save."""

    def __init__(self, dies_at=None):
        self.kept, self.saves, self.dies_at, self.cleared = {}, 0, dies_at, False

    def load(self, fingerprint):
        found = self.kept.get(fingerprint)
        return found and Checkpoint({name: part.copy() for name, part in found.tensors.items()}, found.state)

    def save(self, fingerprint, tensors, state):
        self.saves += 1
        copies = {name: np.array(part) for name, part in tensors.items()}
        self.kept = {fingerprint: Checkpoint(copies, json.loads(json.dumps(state)))}
        if self.saves == self.dies_at:
            raise KeyboardInterrupt

    def clear(self):
        self.cleared = True


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    names = list(SUBJECTS)
    texts, targets = [], np.zeros((72, 3), dtype=np.float32)
    for row in range(72):
        chosen = generator.choice(3, size=generator.integers(1, 3), replace=False)
        targets[row, chosen] = 1
        words = [word for place in chosen for word in SUBJECTS[names[place]].split()]
        texts.append(" ".join(generator.choice([*words, "of", "the", "and"], generator.integers(3, 20))))
    tokenizer = learn_tokenizer(texts, 120)
    tokens = encode_texts(tokenizer, texts, 24)
    codes = pd.DataFrame({"code": names, "label": names, "parent": [None, "sea", "sea"]})
    return tokens, targets, tokenizer, codes


@pytest.fixture(scope="module")
def fit(data):
    tokens, targets, tokenizer, codes = data

    def run(checkpoints=None, rows=48, features=FEATURES, labels=targets, weights=None, validate=True, **changes):
        seed = changes.pop("seed", 1)
        validation = (tokens[48:], targets[48:] > 0) if validate else None
        rows = np.arange(rows) if isinstance(rows, int) else rows
        return fit_transformer(
            [tokens[row] for row in rows],
            labels[rows],
            np.ones(len(rows)) if weights is None else weights,
            validation,
            tokenizer,
            features,
            QUICK.model_copy(update=changes),
            codes,
            seed,
            checkpoints or NoCheckpoints(),
        )

    return run


@pytest.fixture(scope="module")
def unbroken(fit):
    return fit()


def tensors_of(fitted):
    state = {name: part.numpy() for name, part in fitted.scorer.encoder.state_dict().items()}
    return state | {"head.weight": fitted.scorer.weight, "head.bias": fitted.scorer.bias}


def same(left, right):
    left, right = tensors_of(left), tensors_of(right)
    return all(np.array_equal(left[name], right[name]) for name in left)


def moved(fitted, start):
    found = tensors_of(fitted)
    return {name for name, part in start.items() if not np.array_equal(found[name], part)}


def without_times(curves):
    return curves[curves["name"] != "samples_per_second"].drop(columns="seconds").reset_index(drop=True)


@pytest.mark.parametrize(("dies_at", "steps"), [(1, 0), (3, 0), (4, 2)])
def test_a_training_that_was_killed_ends_with_the_same_weights(dies_at, steps, fit, unbroken):
    memory = Memory(dies_at)
    with pytest.raises(KeyboardInterrupt):
        fit(memory, checkpoint_steps=steps)
    resumed = fit(memory, checkpoint_steps=steps)
    assert same(resumed, unbroken)
    pd.testing.assert_frame_equal(without_times(resumed.curves), without_times(unbroken.curves))
    assert resumed.facts["resumed_at_step"] == (8 if steps else 6 * dies_at)
    assert resumed.facts["best_epoch"] == unbroken.facts["best_epoch"]
    assert resumed.facts["validation"] == unbroken.facts["validation"]
    assert memory.cleared


def test_a_checkpoint_holds_what_is_trained_and_no_other_training_reads_it(fit, unbroken):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        fit(memory)
    (kept,) = memory.kept.values()
    weights = [name for name in kept.tensors if name.startswith("weights/")]
    assert sum(kept.tensors[name].size for name in weights) == unbroken.facts["trained_weights"]
    assert not any("pooler" in name for name in kept.tensors)
    assert fit(memory, seed=2, epochs=1).facts["resumed_at_step"] is None
    assert fit(memory, rows=47, epochs=1).facts["resumed_at_step"] is None


@pytest.mark.parametrize("damage", ["missing", "shape", "state"])
def test_a_checkpoint_that_lacks_something_is_refused(damage, fit):
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        fit(memory, epochs=1)
    (kept,) = memory.kept.values()
    if damage == "state":
        del kept.state["best_epoch"]
    elif damage == "missing":
        del kept.tensors["second/head.weight"]
    else:
        kept.tensors["weights/head.weight"] = np.zeros((3, 5), dtype=np.float32)
    with pytest.raises(UserError, match=r"training_checkpoints is damaged.*resume"):
        fit(memory, epochs=1)


def test_the_seed_decides(fit, unbroken):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert same(fit(), unbroken)
    assert torch.equal(torch.get_rng_state(), before)  # the caller's generator is left alone
    assert not same(fit(seed=2), unbroken)


def test_a_text_of_weight_0_is_absent(fit):
    weights = np.ones(48)
    weights[[3, 30, 47]] = 0
    rows = np.flatnonzero(weights)
    assert same(fit(weights=weights, epochs=1), fit(rows=rows, epochs=1))


def test_weights_pull_towards_the_heavy_texts(fit, data):
    tokens, targets, *_ = data
    labels = targets.copy()
    labels[:24] = 1 - labels[:24]  # half of the texts lie
    weights = np.where(np.arange(48) < 24, 0.01, 1.0)
    truth = targets[48:] > 0
    margins = []
    for chosen in (weights, 1.01 - weights):
        score = fit(labels=labels, weights=chosen, epochs=5, validate=False).scorer.logits(tokens[48:])
        margins.append(score[truth].mean() - score[~truth].mean())
    assert margins[0] > 0.3
    assert margins[1] < -0.3


def test_something_is_learnt(fit, data, unbroken):
    tokens, targets, *_ = data
    longer = fit(epochs=12)
    truth = targets[48:] > 0
    prior = np.broadcast_to(targets[:48].mean(axis=0), truth.shape)
    found = longer.facts["validation"]["micro_f1"]
    assert found > best_micro_f1(prior.astype(float), truth)[0] + 0.1
    logits = longer.scorer.logits(tokens[48:])
    threshold = longer.facts["validation"]["threshold"]
    given = 1 / (1 + np.exp(-logits.astype(float))) >= threshold - 1e-3
    assert f1_score(truth, given, average="micro") == pytest.approx(found, abs=0.05)  # bfloat16 beside float32
    losses = longer.curves.query("name == 'loss'")["value"]
    assert losses.iloc[-6:].mean() < 0.8 * losses.iloc[:6].mean()


def test_the_head_starts_at_the_log_odds(fit, data):
    _, targets, *_ = data
    shares = targets[:48].mean(axis=0)
    start = fit(validate=False, epochs=1, body_learning_rate=1e-12, head_learning_rate=1e-12)
    assert 1 / (1 + np.exp(-start.scorer.bias)) == pytest.approx(shares, abs=0.02)
    assert np.abs(start.scorer.weight).max() < 1e-9


def test_frozen_layers_stay_and_the_others_move(data, fit, tmp_path):
    _, _, tokenizer, _ = data
    encoder = new_encoder(FEATURES, tokenizer, 5)
    encoder.save_pretrained(tmp_path)
    features = TextFeatures(encoder=str(tmp_path), max_tokens=12, windows=2)
    start = {name: part.numpy().copy() for name, part in encoder.state_dict().items()}
    fitted = fit(features=features, frozen_layers=1, epochs=1)
    assert moved(fitted, start) == {name for name in start if name.startswith("encoder.layer.1.")}
    free = fit(features=features, frozen_layers=0, epochs=1)
    assert moved(free, start) == {name for name in start if not name.startswith("pooler.")}


@pytest.mark.parametrize("cache_bytes", [0, 10**6])
@pytest.mark.parametrize("training", [False, True])
def test_an_encoder_cut_in_two_is_the_whole_encoder(cache_bytes, training, data):
    tokens, _, tokenizer, _ = data
    encoder = new_encoder(FEATURES, tokenizer, 5).eval()
    windows = [np.concatenate([[2], ids[:10], [3]]).astype(np.int32) for ids in tokens[:6]]
    with torch.no_grad():
        expected = [encoder(torch.tensor(ids[None])).last_hidden_state[0].mean(0) for ids in windows]
    stack = EncoderStack(encoder, windows, 0, 1, None, torch.device("cpu"), cache_bytes)
    stack.train(training)
    for part in encoder.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    found = stack.pooled(np.array([4, 0, 5]))
    assert found.requires_grad
    np.testing.assert_allclose(found.detach(), torch.stack([expected[place] for place in (4, 0, 5)]), atol=1e-5)


def test_a_killed_training_with_frozen_layers_ends_with_the_same_weights(data, fit, tmp_path):
    _, _, tokenizer, _ = data
    new_encoder(FEATURES, tokenizer, 5).save_pretrained(tmp_path)
    changes = {
        "features": TextFeatures(encoder=str(tmp_path), max_tokens=12, windows=2),
        "frozen_layers": 1,
        "epochs": 2,
    }
    memory = Memory(1)
    with pytest.raises(KeyboardInterrupt):
        fit(memory, **changes)
    resumed = fit(memory, **changes)
    assert resumed.facts["resumed_at_step"] == 6
    assert same(resumed, fit(**changes))


def test_what_frozen_layers_say_may_be_remembered_or_not(data, fit, tmp_path):
    _, _, tokenizer, _ = data
    new_encoder(FEATURES, tokenizer, 5).save_pretrained(tmp_path)
    features = TextFeatures(encoder=str(tmp_path), max_tokens=12, windows=2)
    pair = [
        fit(features=features, frozen_layers=1, epochs=1, cache_megabytes=size, precision="float32") for size in (64, 0)
    ]
    for name, part in tensors_of(pair[0]).items():
        np.testing.assert_allclose(part, tensors_of(pair[1])[name], atol=2e-3, err_msg=name)
    # Adam divides by the size of a gradient, so that rounding may turn a step that hardly matters around
    np.testing.assert_allclose(pair[0].scorer.weight, pair[1].scorer.weight, atol=1e-4)


def test_gradient_accumulation_gives_the_same_step(fit, data, tmp_path):
    _, _, tokenizer, _ = data
    encoder = new_encoder(FEATURES, tokenizer, 5)
    encoder.config.update({"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    encoder.save_pretrained(tmp_path)
    features = TextFeatures(encoder=str(tmp_path), max_tokens=12, windows=2)
    whole, parts = (
        fit(features=features, epochs=1, gradient_accumulation=parts, precision="float32") for parts in (1, 4)
    )
    np.testing.assert_allclose(whole.scorer.weight, parts.scorer.weight, atol=1e-4)


def test_early_stopping_keeps_the_best_epoch(fit):
    stopped = fit(epochs=40, patience=2, body_learning_rate=0.5, head_learning_rate=1.0)
    assert stopped.facts["stopped_by"] == "early stopping"
    assert stopped.facts["epochs"] == stopped.facts["best_epoch"] + 2
    history = stopped.curves.query("name == 'validation_f1'")["value"]
    assert stopped.facts["validation"]["micro_f1"] == history.max()
    assert len(history) == stopped.facts["epochs"]


def test_the_curves_are_complete(unbroken):
    curves = unbroken.curves
    assert curves.dtypes.astype(str).to_dict() == {
        "step": "int64", "epoch": "float64", "name": "object", "value": "float64", "seconds": "float64"
    }  # fmt: skip
    assert set(curves["name"]) == {
        "loss", "learning_rate", "samples_per_second", "validation_f1", "validation_loss"
    }  # fmt: skip
    rates = curves.query("name == 'learning_rate'").set_index("step")["value"]
    assert rates.max() == pytest.approx(QUICK.body_learning_rate)
    assert rates.idxmax() == 2  # a tenth of 18 steps
    assert rates.iloc[-1] == pytest.approx(QUICK.body_learning_rate / 16)
    assert curves["epoch"].max() == 3
    assert np.isfinite(curves["value"]).all()


def test_confidence_is_a_weight_or_softens_targets():
    targets = np.array([[1, 0], [1, 0], [1, 1], [0, 1]])
    confidence = np.array([1.0, 0.0, 0.5, 1.0])
    hard, weights = apply_confidence(targets, confidence, QUICK)
    assert (hard == targets).all()
    assert (weights == confidence).all()
    soft, ones = apply_confidence(targets, confidence, QUICK.model_copy(update={"confidence": "soft_target"}))
    np.testing.assert_allclose(soft, [[1, 0], [0.75, 0.5], [0.875, 0.75], [0, 1]])
    assert (ones == 1).all()


def test_parents_share_of_the_loss(fit):
    plain, shared = fit(epochs=1, validate=False), fit(epochs=1, validate=False, parent_loss_share=0.9)
    assert not same(plain, shared)
    # A third of the labels is a parent: with a third of the loss all count alike
    assert same(plain, fit(epochs=1, validate=False, parent_loss_share=1 / 3))


def test_nothing_to_learn_from_is_refused(fit):
    with pytest.raises(UserError, match="0 of 48 training texts"):
        fit(weights=np.zeros(48))
    with pytest.raises(ValidationError, match="gradient_accumulation"):
        TransformerSettings(batch_size=2, gradient_accumulation=3)


@settings(max_examples=20)
@given(texts=st.integers(1, 300), batch_size=st.integers(1, 40), epoch=st.integers(0, 3))
def test_an_epoch_is_every_text_once(texts, batch_size, epoch):
    lengths = np.random.default_rng(texts).integers(3, 129, texts)
    batches = epoch_batches(lengths, batch_size, 7, epoch)
    assert sorted(np.concatenate(batches)) == list(range(texts))
    assert len(batches) == steps_per_epoch(texts, batch_size)
    assert max(map(len, batches)) <= batch_size


def test_buckets_leave_little_padding_and_differ_between_epochs():
    lengths = np.random.default_rng(0).integers(3, 129, 400)
    first, second = (epoch_batches(lengths, 16, 7, epoch) for epoch in (0, 1))
    padding = sum(len(places) * lengths[places].max() for places in first) / lengths.sum()
    shuffled = np.random.default_rng(1).permutation(400).reshape(25, 16)
    assert padding < 1.2 < sum(16 * lengths[places].max() for places in shuffled) / lengths.sum()
    assert {frozenset(places) for places in first} != {frozenset(places) for places in second}


@settings(max_examples=25)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8))
def test_the_best_threshold_is_the_best_of_all(rows):
    scores, truth = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    found, threshold = best_micro_f1(scores.astype(float), truth)

    def f1(at):
        given, hits = (scores >= at).sum(), (truth & (scores >= at)).sum()
        return 2 * hits / max(given + truth.sum(), 1)

    assert found == pytest.approx(max(f1(at) for at in range(7)))
    assert f1(threshold) == pytest.approx(found)
    assert micro_f1_at(scores, truth, threshold) == pytest.approx(found)


def test_epochs_but_at_least_so_many_steps():
    chosen = TransformerSettings(epochs=8, min_steps=100, enough_steps=1000, batch_size=16)
    assert planned_epochs(20, chosen) == 50
    assert planned_epochs(1_000, chosen) == 8
    assert planned_epochs(6_000, chosen) == 2
    assert planned_epochs(1_000_000, chosen) == 2
