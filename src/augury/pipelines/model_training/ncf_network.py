"""The network of neural collaborative filtering [1]_: its tables, its first state, and its forward pass.

The first layer of the perceptron is split, ``W [u; i] = Wu u + Wi i``: the same mathematics, but the user's side is
computed once for a positive and all its negatives, and the items' side once per item where a batch has more pairs than
there are items.

.. [1] X. He et al., "Neural Collaborative Filtering", WWW (2017).
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.recommender_scorers import FactorScorer

Floats = npt.NDArray[np.float32]

DEVIATION = 0.01
"""Of the embeddings' first values, as in the paper."""
WARM_SCALE = 6.0
"""Factors of iALS score what occurred about 1 and the rest about 0; log-odds are further apart."""
WARM_BIAS = -3.0


def initial_tensors(
    kind: str,
    users: int,
    items: int,
    embedding: int,
    layers: tuple[int, ...],
    seed: int,
    warm_start: FactorScorer | None = None,
) -> dict[str, Floats]:
    """The network before training.

    Args:
        kind: ``neumf``, ``gmf`` or ``mlp``.
        users: Number of users.
        items: Number of items.
        embedding: Length of each embedding.
        layers: Widths of the perceptron.
        seed: Of the random values.
        warm_start: Factors, as many as the embedding is long, for the embeddings to begin with.

    Returns:
        Tensors by name, see :class:`~augury.predictors.recommender_scorers.NeuralScorer`.
    """
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return generator.normal(0, DEVIATION, size=shape).astype(np.float32)

    def uniform(bound: float, *shape: int) -> Floats:
        return generator.uniform(-bound, bound, size=shape).astype(np.float32)

    found: dict[str, Floats] = {}
    if kind in ("neumf", "gmf"):
        found |= {"gmf_users": normal(users, embedding), "gmf_items": normal(items, embedding)}
        found["gmf_output"] = uniform(np.sqrt(3 / embedding), embedding)
    if kind in ("neumf", "mlp"):
        found |= {"mlp_users": normal(users, embedding), "mlp_items": normal(items, embedding)}
        first = np.sqrt(6 / (2 * embedding + layers[0]))
        found |= {f"layer_0_{side}": uniform(first, layers[0], embedding) for side in ("user", "item")}
        for depth, (before, width) in enumerate(itertools.pairwise(layers), start=1):
            found[f"layer_{depth}"] = uniform(np.sqrt(6 / (before + width)), width, before)
        found |= {f"bias_{depth}": np.zeros(width, np.float32) for depth, width in enumerate(layers)}
        found["mlp_output"] = uniform(np.sqrt(3 / layers[-1]), layers[-1])
    found["bias"] = np.zeros(1, np.float32)
    if warm_start is not None:
        scale = np.float32(np.sqrt(WARM_SCALE))
        part = "mlp" if kind == "mlp" else "gmf"
        found |= {f"{part}_users": warm_start.users * scale, f"{part}_items": warm_start.items * scale}
        if part == "gmf":
            found |= {"gmf_output": np.ones(embedding, np.float32), "bias": np.array([WARM_BIAS], np.float32)}
            if "mlp_output" in found:
                found["mlp_output"] *= np.float32(0.01)  # what it adds is learnt, not drawn
    return found


def pair_logits(tensors: Mapping[str, Any], users: Any, items: Any, dtype: Any | None = None) -> Any:
    """Score each user's items.

    Args:
        tensors: The network, as torch tensors.
        users: int64, shape ``(b,)``.
        items: int64, shape ``(b, m)``.
        dtype: In which to multiply matrices of the perceptron; None: in float32.

    Returns:
        Log-odds of an interaction, float32, shape ``(b, m)``.
    """
    from torch.nn import functional

    logits = tensors["bias"]
    if "gmf_users" in tensors:
        own = functional.embedding(users, tensors["gmf_users"]) * tensors["gmf_output"]
        others = functional.embedding(items, tensors["gmf_items"])
        logits = logits + (others * own.unsqueeze(1)).sum(2)  # half the time of a batched product, backwards too
    if "mlp_users" in tensors:
        hidden = _first_layer(tensors, users, items, dtype)
        for depth in range(1, sum(name.startswith("bias_") for name in tensors)):
            weights, bias = tensors[f"layer_{depth}"], tensors[f"bias_{depth}"]
            if dtype is not None:
                weights, bias = weights.to(dtype), bias.to(dtype)
            hidden = functional.linear(hidden, weights, bias).relu_()
        output = tensors["mlp_output"]
        logits = logits + (hidden @ (output if dtype is None else output.to(dtype))).float().view(items.shape)
    return logits


def _first_layer(tensors: Mapping[str, Any], users: Any, items: Any, dtype: Any | None) -> Any:
    """Shape ``(b * m, width)``, in ``dtype``."""
    from torch.nn import functional

    own = functional.linear(
        functional.embedding(users, tensors["mlp_users"]), tensors["layer_0_user"], tensors["bias_0"]
    )
    if items.numel() > len(tensors["mlp_items"]):
        # In half the bytes already where they are gathered: this is the largest table of a step
        table = functional.linear(tensors["mlp_items"], tensors["layer_0_item"])
        others = functional.embedding(items, table if dtype is None else table.to(dtype))
    else:
        others = functional.linear(functional.embedding(items, tensors["mlp_items"]), tensors["layer_0_item"])
        others = others if dtype is None else others.to(dtype)
    hidden = others.add_(own.to(others.dtype).unsqueeze(1)).relu_()
    return hidden.view(-1, hidden.shape[-1])
