"""The network: what its shortcuts leave out must not matter, and a killed training must end like an unbroken one."""

import json
import subprocess
import sys

import numpy as np
import pytest

from augury.checkpointing import Checkpoint, NoCheckpoints
from augury.pipelines.model_training.implicit_als import fit_implicit_als
from augury.pipelines.model_training.ncf_network import initial_tensors, pair_logits
from augury.pipelines.model_training.negative_sampling import NegativeSampler
from augury.pipelines.model_training.neural_collaborative_filtering import fit_network
from augury.pipelines.model_training.recommender_models import NeuralSettings
from augury.predictors.recommender_scorers import LeastSquares, NeuralScorer
from augury.predictors.user_histories import Histories

torch = pytest.importorskip("torch")

USERS, ITEMS = 50, 24
SETTINGS = NeuralSettings(embedding=6, layers=(8, 4), epochs=4, batch_size=40, learning_rate=0.02, device="cpu")


@pytest.fixture(scope="module")
def histories():
    """Users of two tastes, each of half of the items."""
    random = np.random.default_rng(0)
    taste = (np.arange(USERS)[:, None] % 2) == (np.arange(ITEMS)[None, :] % 2)
    users, items = np.nonzero(random.random((USERS, ITEMS)) < np.where(taste, 0.5, 0.03))
    return Histories.from_pairs(users, items, np.ones(len(users)), np.zeros(len(users)), (USERS, ITEMS))


def agreement(scorer):
    """How much better a user's own half of the items is scored than the other one."""
    scores = scorer.scores(np.arange(USERS, dtype=np.int32), None)
    own = (np.arange(USERS)[:, None] % 2) == (np.arange(ITEMS)[None, :] % 2)
    return float(scores[own].mean() - scores[~own].mean())


class Kept:
    """Checkpoints in memory; the training dies at a chosen save."""

    def __init__(self, dies_after=None):
        self.found, self.saves, self.dies_after = None, 0, dies_after

    def load(self, fingerprint):
        return self.found[1] if self.found and self.found[0] == fingerprint else None

    def save(self, fingerprint, tensors, state):
        copies = {name: np.array(value) for name, value in tensors.items()}
        self.found = fingerprint, Checkpoint(copies, json.loads(json.dumps(state)))
        self.saves += 1
        if self.saves == self.dies_after:
            raise KeyboardInterrupt

    def clear(self):
        self.found = None


@pytest.mark.parametrize("kind", ["neumf", "gmf", "mlp"])
@pytest.mark.parametrize("few_items", [True, False])
def test_the_split_layer_is_the_network_of_the_paper(kind, few_items):
    # With more pairs than items, the items' side is computed for the whole table
    tensors = {name: torch.tensor(value * 7) for name, value in initial_tensors(kind, 5, 9, 3, (6, 4), 1).items()}
    users = torch.tensor([4, 0])
    items = torch.tensor([[1, 2, 8, 0, 3, 7], [3, 3, 0, 1, 1, 1]] if few_items else [[1, 2], [3, 3]])
    found = pair_logits(tensors, users, items)
    for row, user in enumerate(users):
        for column, item in enumerate(items[row]):
            expected = tensors["bias"][0]
            if kind != "mlp":
                expected = expected + (tensors["gmf_users"][user] * tensors["gmf_items"][item]) @ tensors["gmf_output"]
            if kind != "gmf":
                joined = torch.cat([tensors["mlp_users"][user], tensors["mlp_items"][item]])
                weights = torch.cat([tensors["layer_0_user"], tensors["layer_0_item"]], dim=1)
                hidden = torch.relu(weights @ joined + tensors["bias_0"])
                hidden = torch.relu(tensors["layer_1"] @ hidden + tensors["bias_1"])
                expected = expected + hidden @ tensors["mlp_output"]
            assert found[row, column].item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("kind", ["neumf", "gmf", "mlp"])
def test_the_scorer_without_torch_scores_the_same(kind):
    tensors = initial_tensors(kind, 5, 9, 3, (6, 4), 1)
    tensors = {name: value * 7 for name, value in tensors.items()}
    found = NeuralScorer(kind, tensors).scores(np.arange(5, dtype=np.int32), None)
    expected = pair_logits(
        {name: torch.tensor(value) for name, value in tensors.items()}, torch.arange(5), torch.arange(9).repeat(5, 1)
    )
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["neumf", "gmf", "mlp"])
def test_it_learns_tastes(kind, histories):
    before = NeuralScorer(kind, initial_tensors(kind, USERS, ITEMS, 6, (8, 4), 1))
    fitted = fit_network(kind, histories, SETTINGS.model_copy(update={"epochs": 8}), 1, None, NoCheckpoints())
    assert abs(agreement(before)) < 0.05
    assert agreement(fitted.scorer) > 1
    loss = fitted.curves.query("name == 'loss'")["value"]
    assert loss.iloc[-1] < 0.8 * loss.iloc[0]


@pytest.mark.parametrize("killed_after", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [40, "auto"])
def test_a_killed_training_ends_like_an_unbroken_one(histories, killed_after, batch_size):
    settings = SETTINGS.model_copy(update={"batch_size": batch_size})

    def run(checkpoints):
        return fit_network("neumf", histories, settings, 5, agreement, checkpoints)

    unbroken = run(NoCheckpoints())
    checkpoints = Kept(dies_after=killed_after)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoints)
    checkpoints.dies_after = None
    resumed = run(checkpoints)
    assert resumed.facts["resumed_after"] == killed_after
    for name, value in unbroken.scorer.tensors().items():
        assert (resumed.scorer.tensors()[name] == value).all(), name
    same = ["step", "epoch", "name"]
    assert resumed.curves[same].equals(unbroken.curves[same])
    learned = resumed.curves["name"] != "samples_per_second"
    assert (resumed.curves["value"][learned] == unbroken.curves["value"][learned]).all()


def test_a_checkpoint_of_another_training_is_not_used(histories):
    checkpoints = Kept()
    fit_network("neumf", histories, SETTINGS, 5, None, checkpoints, epochs=2)
    assert fit_network("neumf", histories, SETTINGS, 5, None, checkpoints).facts["resumed_after"] == 2
    assert fit_network("neumf", histories, SETTINGS, 6, None, checkpoints).facts["resumed_after"] == 0
    changed = SETTINGS.model_copy(update={"negatives": 3})
    assert fit_network("neumf", histories, changed, 6, None, checkpoints).facts["resumed_after"] == 0


def test_validation_stops_it_and_keeps_the_best_epoch(histories):
    judged = iter([0.2, 0.5, 0.3, 0.4, 0.45, 0.6])
    settings = SETTINGS.model_copy(update={"epochs": 6, "patience": 3})
    fitted = fit_network("gmf", histories, settings, 1, lambda _: next(judged), NoCheckpoints())
    assert (fitted.facts["epochs"], fitted.facts["best_epoch"]) == (5, 2)
    assert fitted.facts["stopped_by"] == "validation"
    best = fit_network("gmf", histories, settings, 1, None, NoCheckpoints(), epochs=2)
    for name, value in best.scorer.tensors().items():
        assert (fitted.scorer.tensors()[name] == value).all(), name


def test_a_warm_start_begins_with_the_order_of_the_factors(histories):
    ials = fit_implicit_als(histories, LeastSquares(0.2, 0.01), 6, 5, 0, engine="numpy")
    warm = NeuralScorer("gmf", initial_tensors("gmf", USERS, ITEMS, 6, (8,), 1, ials))
    users = np.arange(USERS, dtype=np.int32)
    np.testing.assert_allclose(warm.scores(users, None), 6 * ials.scores(users, histories) - 3, atol=1e-4)


def test_weights_matter(histories):
    heavy = Histories(
        histories.indptr, histories.indices, np.where(histories.indices == 3, 30, 1).astype(np.float32),
        histories.ages, ITEMS,
    )  # fmt: skip
    scores = [
        fit_network("gmf", table, SETTINGS, 1, None, NoCheckpoints()).scorer.scores(
            np.arange(USERS, dtype=np.int32), None
        )
        for table in (histories, heavy)
    ]
    first, second = (table[:, 3].mean() - table.mean() for table in scores)
    assert second > first + 0.2


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
@pytest.mark.parametrize("bitmap", [True, False])
def test_negatives_are_unseen(kind, bitmap, histories, monkeypatch):
    if not bitmap:
        monkeypatch.setattr("augury.pipelines.model_training.negative_sampling.LARGEST_BITMAP", 0)
    monkeypatch.setattr("augury.pipelines.model_training.negative_sampling.AT_ONCE", 333)  # several blocks, no divisor
    sampler = NegativeSampler(histories, kind)
    users = np.repeat(np.arange(USERS, dtype=np.int32), 40)
    found = sampler.draw(users, 5, np.random.default_rng(1))
    assert found.shape == (len(users), 5)
    seen = histories.table().toarray() > 0
    assert not seen[np.repeat(users, 5), found.ravel()].any()
    everything = (side.ravel().astype(np.int32) for side in np.indices(seen.shape))
    np.testing.assert_array_equal(sampler.seen(*everything), seen.ravel())
    # In proportion to the chances of the unseen ones
    counts = seen.sum(axis=0) ** (0.75 if kind == "popularity" else 0.0)
    expected = (~seen * counts / (~seen * counts).sum(axis=1, keepdims=True)).sum(axis=0) * 200
    drawn = np.bincount(found.ravel(), minlength=ITEMS)
    assert np.abs(drawn - expected).max() < 6 * np.sqrt(expected.max())


def test_who_has_seen_everything_does_not_hang_it():
    full = Histories.from_pairs(np.zeros(4, dtype=int), np.arange(4), np.ones(4), np.zeros(4), (1, 4))
    assert NegativeSampler(full).draw(np.zeros(2, dtype=np.int32), 3, np.random.default_rng(0)).shape == (2, 3)


def test_training_loads_no_frames():
    # 80 MB that a batch of embeddings has no use for
    program = (
        "import sys\n"
        "import augury.pipelines.model_training.neural_collaborative_filtering\n"
        "print(sorted({'pandas', 'narwhals', 'pyarrow', 'kedro'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
