"""A trained GRU as one expert: what it proposes after each access; needs torch when it computes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from augury.predictors.tensor_files import read_tensors, write_tensors

Array = npt.NDArray[Any]
PROPOSED = 8
"""Proposals after each access."""
AT_ONCE = 4_096
WEIGHTS = ("embedding", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "output", "output_bias")


class GruProposals:
    """Embedding, GRU and a layer of outputs over a limited vocabulary; other ids share hashed places of the input."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        """Take the weights.

        Args:
            tensors: ``vocabulary`` (int64 ids, ascending), ``embedding`` (vocabulary + shared places), ``weight_ih``,
                ``weight_hh``, ``bias_ih``, ``bias_hh``, ``output``, ``output_bias``.
        """
        self.tensors = dict(tensors)
        self.vocabulary = self.tensors["vocabulary"]
        self.shared = len(self.tensors["embedding"]) - len(self.vocabulary)

    def codes(self, blocks: Array) -> Array:
        """Rows of the embedding for blocks: of the vocabulary, or a hashed place that others share."""
        return codes_of(blocks, self.vocabulary, self.shared)

    def propose(self, trace: Any) -> Array:
        """Proposals after each access of a trace, from nothing but the accesses until then.

        Args:
            trace: ``blocks`` and ``sessions``.

        Returns:
            int64, shape ``(n, PROPOSED)``, the likeliest first.
        """
        found = np.zeros((len(trace.blocks), min(PROPOSED, len(self.vocabulary))), np.int64)
        for session in np.unique(trace.sessions):
            own = np.flatnonzero(trace.sessions == session)
            online = self.online()
            for start in range(0, len(own), AT_ONCE):
                rows = own[start : start + AT_ONCE]
                found[rows] = online.steps(trace.blocks[rows], int(session))
        return found

    def online(self) -> "OnlineGru":
        """The network with a state per session."""
        return OnlineGru(self)

    def save(self, path: Path) -> None:
        """Write the weights."""
        write_tensors(path, self.tensors)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the weights.

        Raises:
            UserError: The file is damaged.
        """
        return cls(read_tensors(path, ("vocabulary", *WEIGHTS)))


class OnlineGru:
    """Runs along accesses."""

    def __init__(self, network: GruProposals) -> None:
        """Begin with empty states."""
        import torch

        self._network = network
        self._states: dict[int, Any] = {}
        tensors = {name: torch.from_numpy(value) for name, value in network.tensors.items() if name != "vocabulary"}
        hidden = tensors["weight_hh"].shape[1]
        self._embedding, self._output, self._bias = tensors["embedding"], tensors["output"], tensors["output_bias"]
        self._gru = torch.nn.GRU(self._embedding.shape[1], hidden, batch_first=True)
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(self._gru, f"{name}_l0").copy_(tensors[name])

    def steps(self, blocks: Array, session: int) -> Array:
        """Take accesses of a session; returns the proposals after each, shape ``(n, PROPOSED)``."""
        import torch

        codes = torch.from_numpy(self._network.codes(blocks))
        with torch.inference_mode():
            outputs, state = self._gru(self._embedding[codes][None], self._states.get(session))
            self._states[session] = state
            logits = outputs[0] @ self._output.T + self._bias
            top = torch.topk(logits, min(PROPOSED, logits.shape[1]), dim=1).indices.numpy()
        found: Array = self._network.vocabulary[top]
        return found

    def step(self, block: int, session: int) -> Array:
        """Take one access; see :meth:`steps`."""
        found: Array = self.steps(np.array([block], np.int64), session)[0]
        return found


def codes_of(blocks: Array, vocabulary: Array, shared: int) -> Array:
    """Codes of blocks: place in the vocabulary, or one of the shared places after it.

    Args:
        blocks: int64, shape ``(n,)``.
        vocabulary: Ascending ids, at least one.
        shared: How many places other ids share, at least 1.

    Returns:
        int64, shape ``(n,)``.
    """
    from augury.predictors.access_blocks import permuted

    place = np.minimum(np.searchsorted(vocabulary, blocks), len(vocabulary) - 1)
    hashed = (permuted(blocks, 0).astype(np.uint64) % np.uint64(shared)).astype(np.int64)
    found: Array = np.where(vocabulary[place] == blocks, place, len(vocabulary) + hashed).astype(np.int64)
    return found
