"""Plain rules of prefetching that the mixture has to beat: read-ahead, Markov chains, PPM and associations, no gate."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.predictors.access_engine import OnlineMixture
from augury.predictors.access_state import TOP
from augury.predictors.prefetch_replay import PART, Trace
from augury.predictors.prefetch_settings import Expert, MixtureSettings

Array = npt.NDArray[Any]
Proposals = Iterator[tuple[Array, Array]]

READ_AHEAD = 4
MOST = 3
CONFIDENCE = 0.3
"""A rule prefetches up to ``MOST`` blocks that it holds for at least so likely."""
ONLINE_RULES: dict[str, tuple[tuple[Expert, ...], int]] = {
    "markov_1": (("ppm_1",), 5),
    "ppm_3": (("ppm_1", "ppm_2", "ppm_3"), 5),
    "association": (("association",), 2),
}
"""Experts of a rule, and the least level of likelihood (``access_proposals``) at which it prefetches; an association is
about the next few accesses, and so never as likely to be the very next."""


def read_ahead(trace: Trace) -> Proposals:
    """After two accesses that follow one another, the next few blocks."""
    blocks, spans = trace.blocks, trace.spans
    ends = pd.Series(blocks + spans).groupby(trace.sessions).shift(fill_value=np.iinfo(np.int64).min).to_numpy()
    numbers = np.where(blocks == ends, READ_AHEAD, 0)
    ahead = np.arange(1, READ_AHEAD + 1) * spans[:, None] + blocks[:, None]
    for start in range(0, len(blocks), PART):
        yield ahead[start : start + PART], numbers[start : start + PART]


def online_rule(name: str, mixture: MixtureSettings) -> Callable[[Trace], Proposals]:
    """A rule that learns while it runs, with one kind of expert and without a gate.

    Args:
        name: Of ``ONLINE_RULES``.
        mixture: Sizes of the tables.
    """
    experts, least = ONLINE_RULES[name]
    own = mixture.model_copy(update={"experts": experts, "lookahead": 1})

    def propose(trace: Trace) -> Proposals:
        online = OnlineMixture(own)
        for start in range(0, len(trace.blocks), PART):
            part = slice(start, start + PART)
            observed = online.observe(trace.blocks[part], trace.sessions[part], trace.spans[part])
            level = observed.sources[:, :MOST] & 7
            inside = np.arange(MOST) < observed.numbers[:, None]
            # The likeliest come first, so those that are likely enough are the first ones
            yield observed.issued[:, :MOST], (inside & (level >= least)).sum(axis=1)

    return propose


def static_successors(trace: Trace, until: int) -> tuple[Array, Array, Array]:
    """What followed each block in the first part of a trace, the most frequent first.

    Args:
        trace: Accesses.
        until: How many of them are learned from.

    Returns:
        The blocks, ascending, shape ``(m,)``; their successors, shape ``(m, TOP)``; and the shares of these, 0 where
        there are fewer.
    """
    head = pd.DataFrame({"session": trace.sessions[:until], "block": trace.blocks[:until]})
    # Int64 throughout: a float would round large ids
    head["following"] = head["block"].astype("Int64").groupby(head["session"]).shift(-1)
    pairs = head.dropna().astype({"following": "int64"}).groupby(["block", "following"]).size().rename("count")
    table = pairs.reset_index().sort_values(["block", "count", "following"], ascending=[True, False, True])
    table["rank"] = table.groupby("block").cumcount()
    table["share"] = table["count"] / table.groupby("block")["count"].transform("sum")
    table = table[table["rank"] < TOP]
    blocks, codes = np.unique(table["block"].to_numpy(np.int64), return_inverse=True)
    successors, shares = np.zeros((len(blocks), TOP), np.int64), np.zeros((len(blocks), TOP))
    successors[codes, table["rank"]] = table["following"]
    shares[codes, table["rank"]] = table["share"]
    return blocks, successors, shares


def static_markov(trace: Trace, until: int) -> tuple[Array, Proposals]:
    """A first-order table that is learned once, from the first part of a trace.

    Args:
        trace: Accesses.
        until: How many of them are learned from.

    Returns:
        Its rank of each access, 255 where it is not among the first ten; and its proposals.
    """
    blocks, successors, shares = static_successors(trace, until)
    if not len(blocks):
        blocks, successors, shares = np.zeros(1, np.int64), np.zeros((1, TOP), np.int64), np.zeros((1, TOP))
    place = np.minimum(np.searchsorted(blocks, trace.blocks), len(blocks) - 1)
    known = blocks[place] == trace.blocks
    following = pd.Series(trace.blocks, dtype="Int64").groupby(trace.sessions).shift(-1)
    target, there = following.fillna(0).to_numpy(np.int64), following.notna().to_numpy()
    before = pd.Series(np.arange(len(trace.blocks))).groupby(trace.sessions).shift(-1)
    hits = (successors[place] == target[:, None]) & (shares[place] > 0) & (known & there)[:, None]
    ranks = np.full(len(trace.blocks), 255, np.uint8)
    found = hits.any(axis=1)
    ranks[before[found].astype(np.int64).to_numpy()] = hits[found].argmax(axis=1) + 1

    def propose() -> Proposals:
        numbers = np.where(known, (shares[place, :MOST] >= CONFIDENCE).sum(axis=1), 0)
        for start in range(0, len(trace.blocks), PART):
            yield successors[place[start : start + PART], :MOST], numbers[start : start + PART]

    return ranks, propose()
