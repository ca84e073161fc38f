"""The online mixture and the gated cache as objects; the loops themselves are compiled (``access_kernel``)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augury.predictors.access_state import (
    EXPERT_NAMES,
    EXPERTS,
    EXTERNAL,
    ISSUES,
    RANKED,
    Rules,
    State,
    new_state,
    table_bytes,
)
from augury.predictors.cache_state import ALL_BLOCKS, MOST_UNDER_WAY, TOTALS, DuelRules, new_caches, new_duel
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

Array = npt.NDArray[Any]
AT_ONCE = 65_536
"""Accesses whose proposals are in memory at once."""
ORDERED = {"auto": -1, "yes": 1, "no": 0}
NO_PROPOSALS = 0


class Observed(NamedTuple):
    """What the mixture said about some accesses, one row per access."""

    ranks: Array
    """Rank that the access had before it happened, by each of ``RANKED``; 255: not among the first ten."""
    issued: Array
    """Blocks that could be prefetched after it, shape ``(n, ISSUES)``."""
    sources: Array
    """Bucket of each of them."""
    numbers: Array
    """How many there are."""


class OnlineMixture:
    """Predicts a sequence of accesses, learning from each."""

    def __init__(self, settings: MixtureSettings, state: State | None = None) -> None:
        """Begin with an empty memory, or go on.

        Args:
            settings: Parameters.
            state: What an earlier mixture of the same parameters had learned; is changed in place.
        """
        self.settings = settings
        self.state = state or new_state(settings.contexts, settings.vocabulary, settings.sessions)
        enabled = np.zeros(EXPERTS, np.int64)
        enabled[[EXPERT_NAMES.index(name) for name in settings.experts]] = 1
        self.rules = Rules(
            ordered=ORDERED[settings.ordered],
            lookahead=settings.lookahead,
            window=settings.window,
            rate=settings.learning_rate,
            slowest=settings.slowest_rate,
            enabled=enabled,
            vocabulary=settings.vocabulary,
            forget=int(settings.out_of_vocabulary == "forget"),
        )

    @property
    def memory_bytes(self) -> int:
        """What the tables take, full or not."""
        return table_bytes(self.state)

    def observe(
        self, blocks: Array, sessions: Array | None = None, spans: Array | None = None, external: Array | None = None
    ) -> Observed:
        """Take accesses in their order.

        Args:
            blocks: int64, shape ``(n,)``.
            sessions: Number of the session of each; None: all are of one.
            spans: How many blocks each request covers; None: unknown.
            external: A model's proposals for the access after each, the best first, shape ``(n, k)``.

        Returns:
            What was said about them and after them.
        """
        from augury.predictors.access_kernel import observe_all

        n = len(blocks)
        limit = self.settings.sessions
        numbered = np.zeros(n, np.int64) if sessions is None else np.asarray(sessions, np.int64) % limit
        covered = np.ones(n, np.int64) if spans is None else np.maximum(np.asarray(spans, np.int64), 1)
        proposed = np.zeros((n, 0), np.int64) if external is None else np.ascontiguousarray(external, np.int64)
        found = Observed(
            ranks=np.empty((n, len(RANKED)), np.uint8),
            issued=np.empty((n, ISSUES), np.int64),
            sources=np.empty((n, ISSUES), np.uint8),
            numbers=np.zeros(n, np.int64),
        )
        if n:
            values = np.ascontiguousarray(blocks, np.int64)
            observe_all(self.state, self.rules, numbered, values, covered, proposed, *found)
        return found

    def in_parts(
        self, blocks: Array, sessions: Array | None = None, spans: Array | None = None, external: Array | None = None
    ) -> Iterator[tuple[slice, Observed]]:
        """Take many accesses in parts, so that their proposals need not be in memory together."""
        for start in range(0, len(blocks), AT_ONCE):
            part = slice(start, min(start + AT_ONCE, len(blocks)))
            given = (None if values is None else values[part] for values in (sessions, spans, external))
            yield part, self.observe(blocks[part], *given)

    def next_blocks(self, session: int, k: int) -> list[tuple[int, float]]:
        """The likeliest next accesses of a session and their probabilities, the best first."""
        place = session % self.settings.sessions
        size = int(self.state.sizes[place])
        chances = self.state.chances[place, :size]
        order = np.argsort(-chances, kind="stable")[:k]
        return [(int(self.state.candidates[place, i]), float(chances[i])) for i in order]

    @property
    def has_external(self) -> bool:
        """Whether proposals of a model outside count."""
        return bool(self.rules.enabled[EXTERNAL])


class GatedCache:
    """A cache of blocks with prefetching, and the ghosts that decide whether and how much."""

    def __init__(self, capacity: int, delay: int, settings: GateSettings, beside_plain: bool = True) -> None:
        """An empty cache.

        Args:
            capacity: Blocks that it holds, prefetched ones among them.
            delay: Accesses until a prefetch has arrived; 1: it is there at the next one.
            settings: Parameters of the gate.
            beside_plain: Also run the same cache without prefetching, for comparison.
        """
        self.capacity, self.delay = capacity, delay
        policies = len(settings.thresholds)
        small = min(capacity, settings.ghost_blocks)
        under_way = min(MOST_UNDER_WAY, settings.budget * (delay + 1))
        self.rules = DuelRules(
            capacity=capacity,
            ghost_capacity=small,
            sampled=max(1, ALL_BLOCKS * small // capacity),
            delay=delay,
            thresholds=np.array(settings.thresholds),
            budget=settings.budget,
            keep=float(0.5 ** (1 / settings.half_life)),
            margin=settings.margin,
            certainty=settings.certainty,
            price=settings.price,
        )
        self.ghosts = new_caches(policies + 1, small, under_way)
        self.real = new_caches(2 if beside_plain else 1, capacity, under_way)
        self.duel = new_duel(policies)
        self._wanted = np.empty(ISSUES, np.int64)

    @property
    def memory_bytes(self) -> int:
        """What the ghosts take."""
        return table_bytes(self.ghosts) + table_bytes(self.duel)

    @property
    def policy(self) -> int:
        """The policy in force; 0: no prefetching."""
        return int(self.duel.state[0])

    def serve(self, blocks: Array, observed: Observed) -> tuple[Array, Array]:
        """Serve accesses in their order, prefetching what the gate lets through.

        Args:
            blocks: int64, shape ``(n,)``.
            observed: What the mixture said after each of them.

        Returns:
            The totals so far after each access, shape ``(n, caches, len(TOTALS))``: of this cache, and of the plain
            one; and the blocks that are prefetched after the last.
        """
        from augury.predictors.ghost_caches import step_all

        history = np.zeros((len(blocks), len(self.real.totals), len(TOTALS)), np.int64)
        if not len(blocks):
            return history, np.zeros(0, np.int64)
        values = np.ascontiguousarray(blocks, np.int64)
        done = step_all(
            self.ghosts, self.real, self.duel, self.rules, values, observed.issued, observed.sources,
            observed.numbers, history, self._wanted,
        )  # fmt: skip
        return history, observed.issued[-1, self._wanted[:done]]


class PlainCache:
    """A cache in which every proposal is prefetched."""

    def __init__(self, capacity: int, delay: int) -> None:
        """An empty cache; see :class:`GatedCache`."""
        self.capacity, self.delay = capacity, delay
        self.caches = new_caches(1, capacity, MOST_UNDER_WAY)
        self._served = NO_PROPOSALS

    def serve(self, blocks: Array, issued: Array, numbers: Array) -> Array:
        """Serve accesses; returns the totals so far after each, shape ``(n, len(TOTALS))``."""
        from augury.predictors.ghost_caches import serve_plain

        history = np.zeros((len(blocks), 1, len(TOTALS)), np.int64)
        if len(blocks):
            serve_plain(
                self.caches, self.capacity, self.delay, self._served, np.ascontiguousarray(blocks, np.int64),
                np.ascontiguousarray(issued, np.int64), np.ascontiguousarray(numbers, np.int64), history,
            )  # fmt: skip
            self._served += len(blocks)
        return history[:, 0]
