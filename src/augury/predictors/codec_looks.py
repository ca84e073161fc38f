"""Whether looks at blocks still pay: a running check of the inline decision, on data unlike what gates learned from."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_gates import CodecGate


class LookRule(Parameters):
    """How looks are paid for."""

    caution: float = Field(
        default=1.25, ge=1, description="how many times its time a look must promise to save: promises may be too high"
    )
    advance: float = Field(default=4.0, ge=0, description="looks that a new link is given before any has promised much")
    savings: float = Field(
        default=128.0, ge=1, description="looks that can be saved up: so many without a promise end them"
    )
    pause: int = Field(default=8, ge=1, description="blocks passed over, once looks do not pay, before the next one")
    longest_pause: int = Field(default=4096, ge=1, description="what the pause grows to: it doubles each time")


class LookCheck:
    """Decides for one link, block after block, whether the next one is worth a look.

    What a look is worth is only known afterwards, but what it *promised* is known at once and costs nothing: how much
    less the chosen codec is predicted to cost than the table's. On data of another kind these promises hold rather well
    while a gate does not: where the table's codec is right for all blocks, every look promises nothing. So looks are
    paid out of what looks have promised, and a new link is given some in advance. Where the credit is used up there is
    no look but one now and then, to see whether it still is so. Beyond what they promise, looks thus cost the time of
    the advance and of these few, whatever the data.
    """

    def __init__(self, gate: CodecGate, rule: LookRule, look_us: float) -> None:
        """Begin with the advance.

        Args:
            gate: That of the link. Where it is shut, there is never a look.
            rule: How looks are paid for.
            look_us: CPU time of a look with the decision that follows.
        """
        self.gate, self.rule, self.look_us = gate, rule, look_us
        self.shut = gate.inline_margin is None
        self.credit = rule.advance * look_us
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
        if self.credit > 0:
            return True
        self.passed_over += 1
        return self.passed_over >= self.pause

    def saw(self, promised_us: float) -> None:
        """Take note of a look.

        Args:
            promised_us: By how much the chosen codec is predicted to cost less than the table's, in microseconds of
                CPU; 0 where the table's is chosen.
        """
        paid = self.credit > 0
        # A look that only sees whether it still is so is no debt
        credit = max(self.credit, 0.0) + self.gate.inline_honesty * promised_us - self.rule.caution * self.look_us
        self.credit = min(credit, self.rule.savings * self.look_us)
        self.passed_over = 0
        if self.credit > 0:
            self.pause = self.rule.pause
        elif not paid:
            self.pause = min(2 * self.pause, max(self.rule.pause, self.rule.longest_pause))


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
            check.saw(float(promised))
        looked.append(wanted)
    return np.array(looked, dtype=bool)


def honesty(saved: float, promised: float) -> float:
    """What promises are worth: savings over promises, at least 0 and at most 1; 0 where nothing was promised."""
    share = saved / promised if promised > 0 else 0.0
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
