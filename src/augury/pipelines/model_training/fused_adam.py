"""AdamW in one fused operation over all tensors, without ``torch.optim``.

The first step of any optimiser there imports PyTorch's compiler, which takes longer than a small training.
"""

from collections.abc import Mapping
from typing import Any

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class FusedAdam:
    """Moments of the gradients of named tensors."""

    def __init__(self, tensors: Mapping[str, Any], decay: float = 0.0) -> None:
        """Begin with moments of zero.

        Args:
            tensors: The network: leaves with gradients, of float32, all on one device.
            decay: Decoupled decay of the weights per step, as a share of the learning rate.
        """
        import torch

        self.tensors = list(tensors.values())
        self.names = list(tensors)
        self.decay = decay
        self.first = [torch.zeros_like(tensor) for tensor in self.tensors]
        self.second = [torch.zeros_like(tensor) for tensor in self.tensors]
        self.steps = [torch.zeros((), dtype=torch.float32, device=tensor.device) for tensor in self.tensors]

    def step(self, learning_rate: float) -> None:
        """Move all tensors by their gradients, which are then forgotten."""
        import torch

        with torch.no_grad():
            torch._foreach_add_(self.steps, 1)
            torch._fused_adamw_(
                self.tensors, [tensor.grad for tensor in self.tensors], self.first, self.second, [], self.steps,
                lr=learning_rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=self.decay, eps=EPSILON, amsgrad=False,
                maximize=False,
            )  # fmt: skip
        for tensor in self.tensors:
            tensor.grad = None

    def state(self) -> dict[str, Any]:
        """The moments as numpy arrays, for a checkpoint: of the processor's memory itself until the next step."""
        found = {}
        for prefix, moments in (("first", self.first), ("second", self.second)):
            for name, moment in zip(self.names, moments, strict=True):
                found[f"{prefix}.{name}"] = moment.cpu().numpy()
        return found

    def restore(self, state: Mapping[str, Any], steps: int) -> None:
        """Go on from what :meth:`state` returned after so many steps."""
        import torch

        for prefix, moments in (("first", self.first), ("second", self.second)):
            for name, moment in zip(self.names, moments, strict=True):
                moment.copy_(torch.tensor(state[f"{prefix}.{name}"]))
        for step in self.steps:
            step.fill_(steps)
