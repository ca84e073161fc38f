"""Compiled experts that need no table: sequential and strided streams, and what was read just now; needs numba."""

from typing import Any

from augury.predictors.compiled_parts import inner

NEAR = 4096
"""A block so near a stream's last one may be its next, with another stride."""


@inner(error_model="numpy")
def follow_stream(streams: Any, block: Any, span: Any, now: Any) -> int:
    """Assign an access to a stream.

    Args:
        streams: Per stream the last block, the distance to the next, how often in a row that was right, and the last
            use; shape ``(4, streams)``. Changed in place.
        block: The access.
        span: Blocks that the request covers, the first guess of a distance.
        now: Number of the access.

    Returns:
        The stream.
    """
    nearest, distance, oldest = -1, NEAR + 1, 0
    for i in range(streams.shape[1]):
        gap = block - streams[0, i]
        if streams[3, i] > 0:
            if gap == streams[1, i]:
                streams[0, i] = block
                streams[2, i] += 1
                streams[3, i] = now
                # Requests of changing length that follow one another are one stream
                if span > 1:
                    streams[1, i] = span
                return i
            if -distance < gap < distance and gap != 0:
                nearest, distance = i, abs(gap)
        if streams[3, i] < streams[3, oldest]:
            oldest = i
    found, stride = oldest, span
    if nearest >= 0 and span <= 1:
        found, stride = nearest, block - streams[0, nearest]
    streams[0, found] = block
    streams[1, found] = stride
    streams[2, found] = 0
    streams[3, found] = now
    return found


@inner(error_model="numpy")
def to_front(recent: Any, length: int, block: Any) -> int:
    """Put a block first among those read most recently; returns how many there are now."""
    place = length
    for i in range(length):
        if recent[i] == block:
            place = i
            break
    else:
        if length < recent.shape[0]:
            length += 1
        else:
            place = length - 1
    for i in range(place, 0, -1):
        recent[i] = recent[i - 1]
    recent[0] = block
    return length


@inner(error_model="numpy")
def level(value: Any) -> int:
    """Whole part of the binary logarithm of ``value + 1``, at most 7."""
    found = 0
    value += 1
    while value > 1 and found < 7:
        value >>= 1
        found += 1
    return found
