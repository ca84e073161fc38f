"""Training of a GRU that proposes the next access: truncated backpropagation in batches, validated later in time."""

import importlib.metadata
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from augury.checkpointing import Checkpoints, NoCheckpoints, fingerprint_of
from augury.curve_table import curve_table
from augury.pipelines.model_training.prefetch_models import GruSettings
from augury.predictors.gru_proposals import WEIGHTS, GruProposals, codes_of
from augury.predictors.prefetch_replay import Trace


class GruFit(NamedTuple):
    """A trained network."""

    network: GruProposals
    curves: pd.DataFrame
    facts: dict[str, Any]


def fit_gru(traces: list[Trace], settings: GruSettings, seed: int, checkpoints: Checkpoints | None = None) -> GruFit:
    """Train a GRU.

    The vocabulary is that of the accesses that it learns from. The end of each trace is for validation: the epoch with
    the least loss there is kept. Answers outside the vocabulary are left out of the loss, and count as misses wherever
    hits are counted.

    Args:
        traces: Accesses.
        settings: Parameters.
        seed: Of weights and sampled answers.
        checkpoints: Where to keep how far it has come.

    Returns:
        The network, its curves (``loss`` by step, ``validation_loss`` and ``validation_hit_at_1`` by epoch), and
        ``epochs``, ``best_epoch``, ``parameters``, ``validation_loss``, ``validation_hit_at_1``.
    """
    import torch

    checkpoints = checkpoints if checkpoints is not None and settings.resume else NoCheckpoints()
    learned, judged = [], []
    for trace in traces:
        order = np.argsort(trace.sessions, kind="stable")  # sequences per session, one after another
        until = int(len(order) * (1 - settings.validation_share))
        early = order[order < until]
        late = order[order >= until]
        learned.append(trace.blocks[early])
        judged.append(trace.blocks[late])
    blocks = np.concatenate(learned)
    ids, counts = np.unique(blocks, return_counts=True)
    vocabulary = np.sort(ids[np.argsort(-counts, kind="stable")[: settings.vocabulary]])
    codes = torch.from_numpy(codes_of(blocks, vocabulary, settings.shared))
    held = torch.from_numpy(codes_of(np.concatenate(judged), vocabulary, settings.shared))
    print_of = fingerprint_of(
        {"codes": codes.numpy(), "held": held.numpy()},
        {"settings": settings.model_dump(mode="json"), "seed": seed, "torch": importlib.metadata.version("torch")},
    )
    tensors = _initial(len(vocabulary), settings, seed)
    optimiser = torch.optim.Adam(list(tensors.values()), lr=settings.learning_rate)
    state: dict[str, Any] = {"epoch": 0, "step": 0, "best": None, "best_epoch": 0, "hit": 0.0, "curves": []}
    best = {name: value.detach().clone() for name, value in tensors.items()}
    found = checkpoints.load(print_of)
    if found is not None:
        state = dict(found.state)
        _restore(found.tensors, tensors, best, optimiser, state["step"])
    started = time.perf_counter()
    with tqdm(total=settings.epochs, initial=state["epoch"], desc="gru", unit="epoch", mininterval=2) as bar:
        while state["epoch"] < settings.epochs and state["epoch"] - state["best_epoch"] < settings.patience:
            generator = torch.Generator().manual_seed(seed * 1_000 + state["epoch"])
            for loss in _epoch(tensors, optimiser, codes, len(vocabulary), settings, generator):
                state["step"] += 1
                state["curves"].append([state["step"], state["epoch"] + 1, "loss", loss, time.perf_counter() - started])
            state["epoch"] += 1
            worth, hit = _validate(tensors, codes, held, len(vocabulary), settings)
            elapsed = time.perf_counter() - started
            for name, value in (("validation_loss", worth), ("validation_hit_at_1", hit)):
                state["curves"].append([state["step"], state["epoch"], name, value, elapsed])
            if state["best"] is None or worth < state["best"]:
                state |= {"best": worth, "best_epoch": state["epoch"], "hit": hit}
                best = {name: value.detach().clone() for name, value in tensors.items()}
            checkpoints.save(print_of, _kept(tensors, best, optimiser), state)
            bar.update()
            bar.set_postfix(validation_loss=f"{worth:.4f}", hit_at_1=f"{hit:.3f}")
    network = GruProposals({name: value.numpy() for name, value in best.items()} | {"vocabulary": vocabulary})
    facts = {
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "vocabulary": len(vocabulary),
        "parameters": int(sum(value.numel() for value in best.values())),
        "validation_loss": state["best"],
        "validation_hit_at_1": state["hit"],
    }
    return GruFit(network, curve_table(state["curves"]), facts)


def _initial(vocabulary: int, settings: GruSettings, seed: int) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    width, hidden = settings.embedding, settings.hidden
    shapes: dict[str, tuple[tuple[int, ...], float]] = {
        "embedding": ((vocabulary + settings.shared, width), 0.1),
        "weight_ih": ((3 * hidden, width), hidden**-0.5),
        "weight_hh": ((3 * hidden, hidden), hidden**-0.5),
        "bias_ih": ((3 * hidden,), 0.0),
        "bias_hh": ((3 * hidden,), 0.0),
        "output": ((vocabulary, hidden), hidden**-0.5),
        "output_bias": ((vocabulary,), 0.0),
    }
    return {
        name: ((torch.rand(shape, generator=generator) * 2 - 1) * scale).requires_grad_()
        for name, (shape, scale) in shapes.items()
    }


def _run(tensors: dict[str, Any], codes: Any, state: Any) -> tuple[Any, Any]:
    """Outputs of the GRU for codes of shape ``(batch, time)``, and its state after them."""
    import torch

    inputs = torch.nn.functional.embedding(codes, tensors["embedding"])
    weights = [tensors[name] for name in WEIGHTS[1:5]]
    return torch.gru(inputs, state, weights, True, 1, 0.0, False, False, True)


def _epoch(
    tensors: dict[str, Any], optimiser: Any, codes: Any, vocabulary: int, settings: GruSettings, generator: Any
) -> Iterator[float]:
    """One pass; yields the loss of each step."""
    import torch

    rows = max(1, min(settings.batch_size, len(codes) // (2 * settings.sequence) or 1))
    length = len(codes) // rows
    lanes = codes[: rows * length].view(rows, length)
    state = torch.zeros(1, rows, settings.hidden)
    for start in range(0, length - 1, settings.sequence):
        stop = min(start + settings.sequence, length - 1)
        outputs, state = _run(tensors, lanes[:, start:stop], state)
        state = state.detach()
        wanted = lanes[:, start + 1 : stop + 1].reshape(-1)
        inside = wanted < vocabulary
        if not bool(inside.any()):
            continue
        loss = _loss(outputs.reshape(-1, settings.hidden)[inside], wanted[inside], tensors, settings, generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(tensors.values()), 1.0)
        optimiser.step()
        yield float(loss.detach())


def _loss(outputs: Any, wanted: Any, tensors: dict[str, Any], settings: GruSettings, generator: Any) -> Any:
    """Cross entropy over the vocabulary, or over the wanted answers of the batch and some drawn ones."""
    import torch
    from torch.nn import functional

    vocabulary = len(tensors["output"])
    if not 0 < settings.sampled < vocabulary:
        return functional.cross_entropy(outputs @ tensors["output"].T + tensors["output_bias"], wanted)
    drawn = torch.randint(0, vocabulary, (settings.sampled,), generator=generator)
    answers, places = torch.unique(torch.cat([wanted, drawn]), return_inverse=True)
    logits = outputs @ tensors["output"][answers].T + tensors["output_bias"][answers]
    return functional.cross_entropy(logits, places[: len(wanted)])


def _validate(
    tensors: dict[str, Any], codes: Any, held: Any, vocabulary: int, settings: GruSettings
) -> tuple[float, float]:
    """Loss over the vocabulary, and hit@1 over all held-out accesses, those outside the vocabulary as misses."""
    import torch
    from torch.nn import functional

    total, known, hits = 0.0, 0, 0
    with torch.inference_mode():
        _, state = _run(tensors, codes[None, -4 * settings.sequence :], torch.zeros(1, 1, settings.hidden))
        for start in range(0, len(held) - 1, 2_048):
            stop = min(start + 2_048, len(held) - 1)
            outputs, state = _run(tensors, held[None, start:stop], state)
            wanted = held[start + 1 : stop + 1]
            logits = outputs[0] @ tensors["output"].T + tensors["output_bias"]
            inside = wanted < vocabulary
            hits += int((logits.argmax(dim=1) == wanted).sum())
            if bool(inside.any()):
                total += float(functional.cross_entropy(logits[inside], wanted[inside], reduction="sum"))
                known += int(inside.sum())
    return total / max(known, 1), hits / max(len(held) - 1, 1)


def _kept(tensors: dict[str, Any], best: dict[str, Any], optimiser: Any) -> dict[str, npt.NDArray[Any]]:
    kept = {f"now.{name}": value.detach().numpy().copy() for name, value in tensors.items()}
    kept |= {f"best.{name}": value.numpy().copy() for name, value in best.items()}
    for name, value in tensors.items():
        moments = optimiser.state.get(value, {})
        kept |= {f"{key}.{name}": moments[key].numpy().copy() for key in ("exp_avg", "exp_avg_sq") if key in moments}
    return kept


def _restore(saved: Any, tensors: dict[str, Any], best: dict[str, Any], optimiser: Any, step: int) -> None:
    import torch

    with torch.no_grad():
        for name, value in tensors.items():
            value.copy_(torch.from_numpy(np.array(saved[f"now.{name}"])))
            best[name] = torch.from_numpy(np.array(saved[f"best.{name}"]))
            if f"exp_avg.{name}" in saved:
                optimiser.state[value] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": torch.from_numpy(np.array(saved[f"exp_avg.{name}"])),
                    "exp_avg_sq": torch.from_numpy(np.array(saved[f"exp_avg_sq.{name}"])),
                }
