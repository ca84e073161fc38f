"""An interval for a difference of means that holds however often one looks at it.

Whoever watches a canary and stops when the numbers look good makes an ordinary 95 % interval worthless. The mixture
sequential probability ratio test [1]_ averages the likelihood ratio over effects drawn from N(0, tau^2); the averaged
ratio is a martingale where there is no effect, so by Ville's inequality it ever exceeds 1 / alpha with a chance of at
most alpha. The effects that are not rejected form the interval.

.. [1] R. Johari, P. Koomen, L. Pekelis and D. Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests",
   Operations Research 70 (2022).
"""

import math

from augury.rollout.evidence import Moments

LEAST = 30
"""Numbers on either side from which on their means are treated as normal."""


def always_valid_interval(
    champion: Moments, challenger: Moments, tau: float, alpha: float
) -> tuple[float, float] | None:
    """Bound how much more the challenger costs than the champion.

    Args:
        champion: Its costs, independent of one another.
        challenger: Its costs.
        tau: Standard deviation of the effects that are expected, in the unit of the cost; fixed beforehand. The
            interval holds whatever it is, and is shortest where effects are of this size.
        alpha: Chance that the interval ever misses the difference.

    Returns:
        Lower and upper end of the difference of means, challenger less champion; None with too few numbers.

    Examples:
        >>> same = Moments(n=1000, mean=5.0, m2=1000.0)
        >>> lower, upper = always_valid_interval(same, same, tau=0.1, alpha=0.05)
        >>> lower < 0 < upper
        True
    """
    if min(champion.n, challenger.n) < LEAST:
        return None
    difference = challenger.mean - champion.mean
    variance = champion.variance / champion.n + challenger.variance / challenger.n
    if variance <= 0:
        return difference, difference
    mixed = variance + tau * tau
    half = math.sqrt(variance * mixed / (tau * tau) * (math.log(mixed / variance) - 2 * math.log(alpha)))
    return difference - half, difference + half
