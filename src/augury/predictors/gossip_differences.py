"""How networks that states do not tell apart may differ: smooth functions of what theory expects of an action.

Each network has its own function, a Gaussian process (Rasmussen and Williams, Gaussian processes for machine learning,
2006): rounds of an action say much of similar ones, and little of others. What is similar is told by four coordinates,
so that a kernel of few functions will do; what they leave out of it far away stays in doubt.
"""

from itertools import combinations_with_replacement
from math import factorial

import numpy as np

from augury.predictors.gossip_states import Floats

COORDINATES = ("log_expected_miss", "log_excess_of_hops", "spare_hops", "fanout")
"""Features of the surface that the functions are of."""

_CENTRES = np.array([np.log(0.01), 0.0, 0.0, np.log(7.0)])
_UNITS = np.array([1.5, 1.5, 3.0, 0.4])
_LENGTH = 2.0
"""Over which networks' functions change, in units of the coordinates; chosen on simulated networks."""

_REACH = 2.5
"""Units from the centre beyond which a coordinate counts as that far."""

ALONE = 0.2
"""Share of the variance that an action in a state has for itself: rounds of similar ones do not tell it."""

_TERMS = tuple(term for degree in range(3) for term in combinations_with_replacement(range(len(COORDINATES)), degree))
FUNCTIONS = len(_TERMS)
PARAMETERS = 1 + FUNCTIONS
"""Of a network: how far it lies between networks without and with clusters of fast links, and its own function."""


def functions_of(coordinates: Floats) -> tuple[Floats, Floats]:
    """Terms up to the second degree of a Gaussian kernel's Taylor series.

    Cotter, Keshet and Srebro, Explicit approximations of the Gaussian kernel, 2011: products of coordinates below a
    bell curve.

    Args:
        coordinates: :data:`COORDINATES`, shape (rows, 4).

    Returns:
        Functions, shape (rows, :data:`FUNCTIONS`), and the share of the kernel's variance that they leave out, shape
        (rows,): their squares and it sum to 1.
    """
    *others, fanout = coordinates.T
    coordinates = np.column_stack([*others, np.log(fanout)])
    places = np.clip((coordinates - _CENTRES) / _UNITS, -_REACH, _REACH) / _LENGTH
    columns = []
    for term in _TERMS:
        repeated = np.prod([factorial(term.count(place)) for place in set(term)])
        columns.append(np.prod(places[:, list(term)], axis=1) / np.sqrt(repeated))
    found = np.column_stack(columns) * np.exp(-0.5 * (places**2).sum(axis=1))[:, None]
    found *= np.sqrt(1 - ALONE)
    return found, np.maximum(1 - (found**2).sum(axis=1), 0)
