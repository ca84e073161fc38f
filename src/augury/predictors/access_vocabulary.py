"""Compiled: the blocks that are remembered, in the order in which they were last seen; importing it needs numba."""

from typing import Any

import numpy as np

from augury.predictors.access_state import ACCESSES, FORGOT, KNOWN, LARGEST, NEW, NEWEST, NEXT_LARGEST, OLDEST, OUTSIDE
from augury.predictors.access_tables import mixed
from augury.predictors.compiled_parts import inner


@inner(error_model="numpy")
def _head(heads: Any, block: Any) -> Any:
    return np.int64((mixed(block) >> np.uint64(8)) & np.uint64(heads.shape[0] - 1))


@inner(error_model="numpy")
def know(state: Any, rules: Any, block: Any) -> bool:
    """Whether the vocabulary holds a block, which it takes in if there is room or the oldest may go."""
    heads, counters = state.known_heads, state.counters
    head = _head(heads, block)
    place = heads[head]
    while place >= 0:
        if state.known_keys[place] == block:
            break
        place = state.known_next[place]
    previous, following = state.known_order[0], state.known_order[1]
    if place < 0:
        if counters[KNOWN] < rules.vocabulary:
            place = counters[KNOWN]
            counters[KNOWN] += 1
        elif rules.forget == 0:
            counters[OUTSIDE] += 1
            return False
        else:
            counters[FORGOT] = 1
            place = counters[OLDEST]
            counters[OLDEST] = following[place]
            previous[following[place]] = -1
            old = _head(heads, state.known_keys[place])
            if heads[old] == place:
                heads[old] = state.known_next[place]
            else:
                at = heads[old]
                while state.known_next[at] != place:
                    at = state.known_next[at]
                state.known_next[at] = state.known_next[place]
        state.known_keys[place] = block
        state.known_next[place] = heads[head]
        heads[head] = place
        if counters[FORGOT] == 0:  # later, an id that was forgotten would count as new
            counters[NEW] += 1
            if counters[ACCESSES] > 1 and block == counters[LARGEST] + 1:
                counters[NEXT_LARGEST] += 1
    elif place == counters[NEWEST]:
        return True
    else:
        if place == counters[OLDEST]:
            counters[OLDEST] = following[place]
            previous[following[place]] = -1
        else:
            following[previous[place]] = following[place]
            previous[following[place]] = previous[place]
    newest = counters[NEWEST]
    previous[place], following[place] = newest, -1
    if newest >= 0:
        following[newest] = place
    else:
        counters[OLDEST] = place
    counters[NEWEST] = place
    return True


@inner(error_model="numpy")
def is_known(state: Any, block: Any) -> bool:
    """Whether the vocabulary holds a block."""
    place = state.known_heads[_head(state.known_heads, block)]
    while place >= 0:
        if state.known_keys[place] == block:
            return True
        place = state.known_next[place]
    return False
