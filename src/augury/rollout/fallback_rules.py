"""The rules that decide where no model may, one per predictor; they need nothing but the features of the moment."""

from collections.abc import Callable, Mapping
from typing import Any

from augury.errors import UserError

STRONGER_BELOW_MBPS, FAST_BELOW_MBPS = 80.0, 400.0
"""Between these speeds of the link, in megabytes per second, the codecs below cost alike on blocks of many kinds."""
FANOUT_AND_TTL = (6, 10)
EWMA_WEIGHT = 0.2


def codec_by_link(features: Mapping[str, Any]) -> str:
    """Codec by the speed of the link alone.

    Args:
        features: ``link_mbps``, megabytes per second; where it is missing the link counts as slow.

    Returns:
        ``zstd-3`` on slow links, ``lz4`` on faster ones, ``none`` on the fastest.
    """
    speed = features.get("link_mbps")
    if speed is None or not float(speed) >= STRONGER_BELOW_MBPS:  # NaN is slow, too
        return "zstd-3"
    return "lz4" if float(speed) < FAST_BELOW_MBPS else "none"


def no_reference(features: Mapping[str, Any]) -> tuple[()]:
    """No block to store the difference to: every block is stored whole."""
    return ()


def no_prefetch(features: Mapping[str, Any]) -> tuple[()]:
    """Nothing is fetched ahead; the cache stays the least-recently-used one that it is."""
    return ()


def usual_gossip(features: Mapping[str, Any]) -> tuple[int, int]:
    """Fanout and number of hops that cover a network whatever its state."""
    return FANOUT_AND_TTL


class FastestPeer:
    """The candidate with the smallest exponentially weighted mean of its times."""

    def __init__(self, weight: float = EWMA_WEIGHT) -> None:
        """Begin without any times.

        Args:
            weight: Of the newest time.
        """
        self._weight = weight
        self._means: dict[str, float] = {}

    def __call__(self, features: Mapping[str, Any]) -> str:
        """Choose among ``candidates``, ids in order of preference; one without times counts as an average one."""
        candidates = [str(name) for name in features["candidates"]]
        known = [self._means[name] for name in candidates if name in self._means]
        usual = sum(known) / len(known) if known else 0.0
        return min(candidates, key=lambda name: self._means.get(name, usual))

    def update(self, peer: str, milliseconds: float) -> None:
        """Take a time into the mean of a peer."""
        before = self._means.get(peer, milliseconds)
        self._means[peer] = before + self._weight * (milliseconds - before)


RULES: dict[str, Callable[[], Callable[[Mapping[str, Any]], Any]]] = {
    "compression": lambda: codec_by_link,
    "deduplication": lambda: no_reference,
    "prefetch": lambda: no_prefetch,
    "peer_selection": FastestPeer,
    "gossip_tuning": lambda: usual_gossip,
}
"""Predictor -> what makes its rule."""


def rule_of(predictor: str) -> Callable[[Mapping[str, Any]], Any]:
    """Make the rule of a predictor.

    Raises:
        UserError: It has none.
    """
    if predictor not in RULES:
        raise UserError(f"{predictor} has no rule of its own; those of the storage network have: {', '.join(RULES)}.")
    return RULES[predictor]()
