"""Training of neural collaborative filtering without a step per row: negatives in bulk, large batches, exact resume.

A positive and its negatives stay together in a batch. Chance comes from the seed and the number of the epoch alone, so
that a training which goes on from a checkpoint draws what it would have drawn.
"""

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from augury.checkpointing import Checkpoints, fingerprint_of
from augury.curve_table import curve_table
from augury.pipelines.model_training.fused_adam import FusedAdam
from augury.pipelines.model_training.ncf_network import initial_tensors, pair_logits
from augury.pipelines.model_training.negative_sampling import NegativeSampler
from augury.pipelines.model_training.recommender_models import NeuralSettings
from augury.predictors.recommender_scorers import FactorScorer, NeuralScorer
from augury.predictors.user_histories import Histories

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float32]

ORIGINAL_BATCH = 256
"""Pairs in a batch of the paper, which the learning rate refers to."""
LARGEST_BATCH = {"cpu": 8_192, "cuda": 65_536}
STEPS_PER_EPOCH = 128
"""An automatic batch leaves at least so many."""
LARGEST_SHORT = 2**15
"""Codes below it take two bytes in an epoch's table, which lives as long as the epoch."""
RATE_EXPONENT = 0.45
"""Of the batch, in the learning rate; chosen on validation."""


class NeuralFit(NamedTuple):
    """A trained network."""

    scorer: NeuralScorer
    points: list[list[Any]]
    """Step, epoch, name, value and seconds since the start of whatever was measured."""
    facts: dict[str, Any]

    @property
    def curves(self) -> "pd.DataFrame":
        """The points as a table."""
        return curve_table(self.points)


def fit_network(
    kind: str,
    histories: Histories,
    settings: NeuralSettings,
    seed: int,
    judge: Callable[[NeuralScorer], float] | None,
    checkpoints: Checkpoints,
    warm_start: FactorScorer | None = None,
    epochs: int | None = None,
) -> NeuralFit:
    """Train a network.

    Args:
        kind: ``neumf``, ``gmf`` or ``mlp``.
        histories: Of all users; training rows only. A weight is that of the positive in the loss.
        settings: Parameters.
        seed: Seed.
        judge: Validation; the epoch that it likes best is kept. None: the last one is.
        checkpoints: Where to go on from, and where to keep how far it has come, after each epoch.
        warm_start: Factors for the embeddings to begin with.
        epochs: Stop after so many, of those that are planned; None: after all of them.

    Returns:
        The scorer, the points of the curves, and ``device``, ``epochs``, ``best_epoch``, ``stopped_by``,
        ``batch_size``, ``learning_rate``, ``pairs_per_second``, ``resumed_after``.
    """
    from augury.predictors.torch_device import autocast_dtype, choose_device, computing

    device = choose_device(settings.device)
    with computing():
        training = _Training(kind, histories, settings, seed, device, autocast_dtype(device, settings.precision))
        planned = settings.epochs if epochs is None else min(epochs, settings.epochs)
        return _run(training, warm_start, judge, checkpoints, planned)


class _Training:
    """The parts of a training that do not change."""

    def __init__(
        self, kind: str, histories: Histories, settings: NeuralSettings, seed: int, device: Any, dtype: Any
    ) -> None:
        self.kind = kind
        self.settings = settings
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.histories = histories
        self.users = np.repeat(np.arange(len(histories), dtype=np.int32), np.diff(histories.indptr))
        self.items = histories.indices
        self.weights = histories.weights / max(float(histories.weights.mean()), 1e-12)
        self.weighted = bool(np.ptp(self.weights) > 0)
        self.sampler = NegativeSampler(histories, settings.negative_kind)
        self.batch = _batch_size(settings, len(self.users), device.type)
        large = settings.batch_size == "auto"
        self.rate = settings.learning_rate * ((self.batch / ORIGINAL_BATCH) ** RATE_EXPONENT if large else 1.0)

    @property
    def fingerprint(self) -> str:
        """Of everything that decides the result."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "indptr": self.histories.indptr,
            "indices": self.items,
            "weights": self.histories.weights,
        }
        # How long it may take is no matter of what it becomes
        settings = self.settings.model_dump(mode="json", include=set(NeuralSettings.model_fields))
        return fingerprint_of(
            arrays,
            {
                "kind": self.kind,
                "settings": settings,
                "seed": self.seed,
                "device": self.device.type,
                "torch": importlib.metadata.version("torch"),
            },
        )

    def initial_tensors(self, warm_start: FactorScorer | None) -> dict[str, Floats]:
        """What the network begins with."""
        users, settings = len(self.histories), self.settings
        return initial_tensors(
            self.kind, users, self.histories.items, settings.embedding, settings.layers, self.seed, warm_start
        )

    def batches(self, epoch: int) -> Any:
        """Users, items (the positive first) and weights of an epoch's batches."""
        import torch

        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.users))
        drawn = self.users[order]
        codes = np.int16 if max(len(self.histories), self.histories.items) < LARGEST_SHORT else np.int32
        items = np.empty((len(order), 1 + self.settings.negatives), dtype=codes)
        items[:, 0] = self.items[order]
        items[:, 1:] = self.sampler.draw(drawn, self.settings.negatives, generator)
        columns = (drawn.astype(codes), items, self.weights[order])
        tables = [torch.from_numpy(values).to(self.device) for values in columns]
        del order, drawn, columns
        step = max(1, self.batch // items.shape[1])
        for start in range(0, len(items), step):
            users, own, weights = (table[start : start + step] for table in tables)
            yield users.long(), own.long(), weights


def _run(
    training: _Training,
    warm_start: FactorScorer | None,
    judge: Callable[[NeuralScorer], float] | None,
    checkpoints: Checkpoints,
    epochs: int,
) -> NeuralFit:
    import torch

    settings, fingerprint = training.settings, training.fingerprint
    found = checkpoints.load(fingerprint)
    state: dict[str, Any] = {"epoch": 0, "step": 0, "best": None, "best_epoch": 0, "seconds": 0.0, "curves": []}
    saved: Mapping[str, Any] = {}
    if found is None:
        best = first = training.initial_tensors(warm_start)
    else:
        state, saved = dict(found.state), found.tensors
        state["curves"] = list(state["curves"])
        first, best = _part(saved, "now"), _part(saved, "best")
    resumed_after = state["epoch"]
    tensors = {name: torch.tensor(value, device=training.device, requires_grad=True) for name, value in first.items()}
    optimiser = FusedAdam(tensors, settings.l2)
    if found is not None:
        optimiser.restore(saved, state["step"])
    del first  # the memory of all embeddings
    started = time.perf_counter() - state["seconds"]
    rate = 0.0
    bar = tqdm(total=epochs, initial=min(state["epoch"], epochs), desc=training.kind, unit="epoch", mininterval=2)
    with bar:
        while state["epoch"] < epochs and not _is_enough(state, settings, judge):
            began = time.perf_counter()
            loss, steps = _train_epoch(training, tensors, optimiser, state["epoch"])
            rate = len(training.users) * (1 + settings.negatives) / max(time.perf_counter() - began, 1e-9)
            state["epoch"] += 1
            state["step"] += steps
            now = {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}
            points = {"loss": loss, "learning_rate": training.rate, "samples_per_second": rate}
            if judge is not None:
                points["validation_ndcg"] = judge(NeuralScorer(training.kind, now))
                if state["best"] is None or points["validation_ndcg"] > state["best"]:
                    state |= {"best": points["validation_ndcg"], "best_epoch": state["epoch"]}
                    best = now
            else:
                best, state["best_epoch"] = now, state["epoch"]
            state["seconds"] = time.perf_counter() - started
            for name, value in points.items():
                state["curves"].append([state["step"], state["epoch"], name, value, state["seconds"]])
            bar.update()
            bar.set_postfix({name: f"{value:.4g}" for name, value in points.items() if name != "learning_rate"})
            _save(checkpoints, fingerprint, now, best, optimiser, state)
    return NeuralFit(
        NeuralScorer(training.kind, best), state["curves"], _facts(training, state, judge, rate, resumed_after)
    )


def _train_epoch(
    training: _Training, tensors: Mapping[str, Any], optimiser: FusedAdam, epoch: int
) -> tuple[float, int]:
    """One pass over the positives; the mean loss of a pair, and the number of steps."""
    import torch
    from torch.nn import functional

    total, pairs, steps = torch.zeros((), device=training.device), 0, 0
    for users, items, weights in training.batches(epoch):
        logits = pair_logits(tensors, users, items, training.dtype)
        # Binary cross-entropy: softplus(-x) of the positive, softplus(x) of the others
        positive, negative = functional.softplus(-logits[:, 0]), functional.softplus(logits[:, 1:])
        if training.weighted:
            positive = positive * weights
        loss = positive.sum() + negative.sum()
        (loss / items.numel()).backward()
        optimiser.step(training.rate)
        total += loss.detach()
        pairs += items.numel()
        steps += 1
    return float(total) / max(pairs, 1), steps


def _batch_size(settings: NeuralSettings, positives: int, device: str) -> int:
    if settings.batch_size != "auto":
        return settings.batch_size
    pairs = positives * (1 + settings.negatives)
    return int(np.clip(pairs // STEPS_PER_EPOCH, ORIGINAL_BATCH, LARGEST_BATCH[device]))


def _is_enough(state: Mapping[str, Any], settings: NeuralSettings, judge: Any) -> bool:
    return judge is not None and state["epoch"] - state["best_epoch"] >= settings.patience


def _part(tensors: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _save(
    checkpoints: Checkpoints,
    fingerprint: str,
    now: Mapping[str, Floats],
    best: Mapping[str, Floats],
    optimiser: FusedAdam,
    state: Mapping[str, Any],
) -> None:
    together: dict[str, Any] = {f"now.{name}": value for name, value in now.items()}
    together |= {f"best.{name}": value for name, value in best.items()} | optimiser.state()
    checkpoints.save(fingerprint, together, state)


def _facts(
    training: _Training, state: Mapping[str, Any], judge: Any, rate: float, resumed_after: int
) -> dict[str, Any]:
    stopped = "validation" if _is_enough(state, training.settings, judge) else "epochs"
    return {
        "device": training.device.type,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "stopped_by": stopped,
        "batch_size": training.batch,
        "learning_rate": training.rate,
        "precision": "float32" if training.dtype is None else "bfloat16",
        "pairs_per_second": rate,
        "resumed_after": resumed_after,
        "seconds": state["seconds"],
    }
