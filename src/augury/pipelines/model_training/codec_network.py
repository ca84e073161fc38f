"""The original's neural network, given something to learn: a perceptron that predicts what codecs make of a block.

Its shape and training are the original's (three layers of 128, 64 and 32, batches of 32, Adam at 1e-3, 50 epochs with a
patience of 3, a schedule, mixed precision on a GPU). Its task is not: that one named the algorithm that had been used.
"""

import time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.curve_table import curve_table
from augury.parameters import Parameters
from augury.predictors.codec_costs import Floats
from augury.predictors.codec_regressors import NetworkRegressors, feature_scales, scaled_features
from augury.predictors.torch_device import DeviceName, Precision, autocast_dtype, choose_device, computing


class CodecNetwork(Parameters):
    """The network and its training."""

    kind: Literal["neural"] = "neural"
    hidden: tuple[int, ...] = Field(default=(128, 64, 32), description="units of the hidden layers")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=3, ge=1, description="epochs without a better validation loss that end it")
    schedule: Literal["cosine", "plateau", "none"] = Field(
        default="cosine", description="of the learning rate: down a cosine, halved where nothing improves, or constant"
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of the lineages that decides when to stop"
    )
    device: DeviceName = Field(default="auto", description="auto: a GPU where there is one")
    precision: Precision = Field(default="auto", description="auto: bfloat16 where the hardware is faster with it")


def fit_codec_network(
    matrix: npt.NDArray[np.float64],
    targets: Floats,
    sizes: Floats,
    groups: npt.NDArray[Any],
    network: CodecNetwork,
    seed: int,
) -> tuple[NetworkRegressors, pd.DataFrame, dict[str, Any]]:
    """Train the network.

    Args:
        matrix: Shape ``(rows, features)``, NaN where missing.
        targets: Shape ``(rows, codecs, 3)``.
        sizes: Bytes of the blocks: large ones count more.
        groups: Lineages: some of them are set aside to say when to stop.
        network: Parameters.
        seed: Of the initial weights, the batches and the lineages that are set aside.

    Returns:
        The regressors with the best validation loss; curves of losses and learning rate by epoch; facts.
    """
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    tensors["centre"], tensors["scale"] = feature_scales(matrix)
    flat = targets.reshape(len(targets), -1)
    deviation = flat.std(axis=0)
    tensors["target_centre"] = flat.mean(axis=0).astype(np.float32)
    tensors["target_scale"] = np.where(deviation > 0, deviation, 1).astype(np.float32)
    inputs = scaled_features(matrix, tensors["centre"], tensors["scale"])
    wanted = ((flat - tensors["target_centre"]) / tensors["target_scale"]).astype(np.float32)
    weights = (sizes / sizes.mean()).astype(np.float32)
    validation = _set_aside(groups, network.validation_share, seed)
    with computing(seed=seed):
        best, curves, facts = _train(inputs, wanted, weights, validation, network, seed)
    return NetworkRegressors(tensors | best, targets.shape[1]), curves, facts


def _set_aside(groups: npt.NDArray[Any], share: float, seed: int) -> npt.NDArray[np.bool_]:
    labels, codes = np.unique(groups.astype(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.isin(codes, order[: max(1, round(share * len(labels)))]) & (len(labels) > 1)


def _train(
    inputs: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    validation: npt.NDArray[np.bool_],
    network: CodecNetwork,
    seed: int,
) -> tuple[dict[str, npt.NDArray[np.float32]], pd.DataFrame, dict[str, Any]]:
    import torch

    device = choose_device(network.device)
    dtype = autocast_dtype(device, network.precision) if device.type == "cuda" else None
    model = _perceptron(inputs.shape[1], network, wanted.shape[1]).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=network.learning_rate, weight_decay=network.weight_decay)
    scheduler = _scheduler(optimiser, network)
    x, y, w = (torch.from_numpy(values).to(device) for values in (inputs, wanted, weights))
    rows, held = np.flatnonzero(~validation), torch.from_numpy(np.flatnonzero(validation)).to(device)
    generator = np.random.default_rng(seed)
    begun, step, best_loss, best_epoch = time.perf_counter(), 0, np.inf, 0
    best, points, epoch = _weights(model), list[tuple[int, float, str, float, float]](), 0
    for epoch in tqdm(range(1, network.epochs + 1), desc="codec network", unit="epoch", mininterval=2):
        model.train()
        total = torch.zeros((), device=device)
        order = torch.from_numpy(generator.permutation(rows)).to(device)
        for start in range(0, len(order), network.batch_size):
            batch = order[start : start + network.batch_size]
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                said = model(x[batch])
            loss = (w[batch, None] * (said.float() - y[batch]) ** 2).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(batch)
            step += 1
        model.eval()
        with torch.no_grad():
            judged = held if len(held) else order
            validated = float((w[judged, None] * (model(x[judged]) - y[judged]) ** 2).mean())
        rate = optimiser.param_groups[0]["lr"]
        if scheduler is not None:
            scheduler.step(*([validated] if network.schedule == "plateau" else []))
        seconds = time.perf_counter() - begun
        found = {"loss": float(total) / len(order), "validation_loss": validated, "learning_rate": rate}
        points += [(step, float(epoch), name, value, seconds) for name, value in found.items()]
        if validated < best_loss:
            best_loss, best_epoch, best = validated, epoch, _weights(model)
        elif epoch - best_epoch >= network.patience:
            break
    facts = {"epochs": epoch, "best_epoch": best_epoch, "validation_loss": best_loss, "device": device.type,
             "precision": "float32" if dtype is None else str(dtype).removeprefix("torch.")}  # fmt: skip
    return best, curve_table(points), facts


def _perceptron(features: int, network: CodecNetwork, outputs: int) -> Any:
    from torch import nn

    layers: list[Any] = []
    width = features
    for units in network.hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), *([nn.Dropout(network.dropout)] if network.dropout else [])]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def _scheduler(optimiser: Any, network: CodecNetwork) -> Any:
    from torch.optim import lr_scheduler

    if network.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimiser, network.epochs, eta_min=network.learning_rate / 20)
    if network.schedule == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=1)
    return None


def _weights(model: Any) -> dict[str, npt.NDArray[np.float32]]:
    linear = [layer for layer in model if hasattr(layer, "weight")]
    found = {}
    for position, layer in enumerate(linear):
        found[f"weight_{position}"] = layer.weight.detach().cpu().numpy().astype(np.float32).copy()
        found[f"bias_{position}"] = layer.bias.detach().cpu().numpy().astype(np.float32).copy()
    return found
