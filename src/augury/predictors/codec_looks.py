"""Whether looks at blocks still pay: a running check of the inline decision, on data unlike what gates learned from."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_gates import CodecGate


class LookRule(Parameters):
    """When a look pays."""

    caution: float = Field(
        default=1.25, ge=1, description="how many times its time a look must promise to save: promises may be too high"
    )
    trust: float = Field(default=4.0, gt=0, description="how many looks the promises of the training blocks count for")
    memory: float = Field(default=128.0, ge=1, description="looks that are remembered; what is older fades")
    pause: int = Field(default=32, ge=1, description="blocks passed over, once looks do not pay, before the next one")
    longest_pause: int = Field(default=4096, ge=1, description="what the pause grows to: it doubles each time")


class LookCheck:
    """Decides for one link, block after block, whether the next one is worth a look.

    What a look is worth is only known afterwards, but what it *promised* is known at once and costs nothing: how much
    less the chosen codec is predicted to cost than the table's. On data of another kind these promises hold rather well
    while a gate does not: where the table's codec is right for all blocks, every look promises nothing. So the promises
    of the last looks are added up, and where they do not pay for the next look there is none, except for one now and
    then to see whether it still is so. What that costs is bounded by a few looks, whatever the data.
    """

    def __init__(self, gate: CodecGate, rule: LookRule, look_us: float) -> None:
        """Begin with what the training blocks promised.

        Args:
            gate: That of the link. Where it is shut, there is never a look.
            rule: When a look pays.
            look_us: CPU time of a look with the decision that follows.
        """
        self.gate, self.rule, self.least_us = gate, rule, rule.caution * look_us
        self.shut = gate.inline_margin is None
        self.promised, self.bytes = 0.0, 0.0
        self.passed_over, self.pause = 0, rule.pause

    def wanted(self, size: int) -> bool:
        """Whether to look at a block; to be asked once for each, in their order.

        Args:
            size: Its bytes.

        Returns:
            Where it is true, :meth:`saw` must be told what came of it.
        """
        if self.shut or size < self.gate.inline_size:
            return False
        if not self.bytes:
            # Counted in blocks of this size: the training blocks' may have been of quite another
            self.bytes = self.rule.trust * size
            self.promised = self.gate.inline_promise * self.bytes
        if self._pays(size):
            return True
        self.passed_over += 1
        return self.passed_over >= self.pause

    def saw(self, size: int, promised_us: float) -> None:
        """Take note of a look.

        Args:
            size: Bytes of the block.
            promised_us: By how much the chosen codec is predicted to cost less than the table's, in microseconds of
                CPU; 0 where the table's is chosen.
        """
        paid = self._pays(size)
        self.promised += self.gate.inline_honesty * promised_us
        self.bytes += size
        fading = min(1.0, self.rule.memory * size / self.bytes)
        self.promised, self.bytes = self.promised * fading, self.bytes * fading
        self.passed_over = 0
        if self._pays(size):
            self.pause = self.rule.pause
        elif not paid:
            self.pause = min(2 * self.pause, max(self.rule.pause, self.rule.longest_pause))

    def _pays(self, size: int) -> bool:
        return self.promised * size > self.least_us * self.bytes


def looks_in_order(check: LookCheck, sizes: Iterable[float], promises: Iterable[float]) -> npt.NDArray[np.bool_]:
    """Ask for blocks one after another, each look telling the next decision.

    Args:
        check: In the state that the first block meets; it goes on from there.
        sizes: Bytes of the blocks, in their order.
        promises: What a look at each promises, see :meth:`LookCheck.saw`; used only where there is a look.

    Returns:
        Which blocks are looked at.
    """
    looked = []
    for size, promised in zip(sizes, promises, strict=True):
        wanted = check.wanted(int(size))
        if wanted:
            check.saw(int(size), float(promised))
        looked.append(wanted)
    return np.array(looked, dtype=bool)


def honesty(saved: float, promised: float) -> float:
    """What promises are worth: savings over promises, at least 0 and at most 1; 0 where nothing was promised."""
    share = saved / promised if promised > 0 else 0.0
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
