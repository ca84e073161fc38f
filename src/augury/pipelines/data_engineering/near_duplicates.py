"""Texts that are nearly the same: by the share of their word sequences that they have in common."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from augury.parameters import Parameters

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_HASHES = 64
"""Values of a signature."""
_MISSED = 1e-3
"""Chance, at most, that a pair right at the threshold is not even compared."""
_NEIGHBOURS = 32
"""Texts of one bucket that a text is compared with, beside the bucket's first one."""
_PAIRS = 100_000
_SEED = 20_011


class NearDuplicates(Parameters):
    """When two texts count as nearly the same."""

    threshold: float = Field(
        default=0.6, gt=0.2, le=1, description="word sequences in common, as a share of those of either text"
    )
    words: int = Field(default=3, ge=1, le=10, description="words of a sequence")


def near_duplicate_groups(texts: Sequence[str], settings: NearDuplicates) -> Ints:
    """Number texts so that those that are nearly the same have one number.

    The similarity is Jaccard's, of the sets of sequences of words. Pairs to compare are found by the minima of random
    hashes of these sets (MinHash: equal with just that chance), in bands so wide that a pair at the threshold is missed
    with a chance below 0.001; each pair found is then compared exactly. What is like a text that is like a third one
    is of the same group.

    Args:
        texts: Any texts; upper and lower case, and what stands between words, make no difference.
        settings: Threshold and length of the sequences.

    Returns:
        (n,) numbers of groups, ascending from 0 in the order of their first texts.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(texts):
        return np.zeros(0, dtype=np.int64)
    sets, hashes = _sequences(texts, settings.words)
    first, second = _candidates(_signatures(sets, hashes), settings.threshold)
    alike = _similarity(sets, first, second) >= settings.threshold
    edges = (np.ones(int(alike.sum()), dtype=bool), (first[alike], second[alike]))
    _, found = connected_components(coo_array(edges, shape=(len(texts), len(texts))), directed=False)
    groups: Ints = pd.factorize(found)[0].astype(np.int64)
    return groups


def _sequences(texts: Sequence[str], length: int) -> tuple[Any, Hashes]:
    """Which text has which sequence of words (sparse, texts x sequences), and a hash of each sequence."""
    from scipy.sparse import csr_array

    # A text without any word is one word of its own
    found = [_WORD.findall(text.casefold()) or [text] for text in texts]
    counts = np.array([len(words) for words in found])
    word, vocabulary = pd.factorize(np.array([word for words in found for word in words], dtype=object))
    hashed = pd.util.hash_array(np.asarray(vocabulary, dtype=object), categorize=False)[word]
    ends = np.cumsum(counts)
    left = np.repeat(ends, counts) - np.arange(len(word))
    sequence = np.zeros(len(word), dtype=np.uint64)
    for step in range(length):
        # A text that is shorter than a sequence is one sequence; others end with their last whole one
        following = np.where(left > step, np.roll(hashed, -step), np.uint64(step))
        sequence = _mixed(sequence ^ following)
    whole = (left >= length) | (left == np.repeat(counts, counts))
    row = np.repeat(np.arange(len(texts)), counts)[whole]
    column, hashes = pd.factorize(sequence[whole])
    sets = csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=(len(texts), len(hashes)))
    sets.sum_duplicates()
    sets.data[:] = 1
    return sets, np.asarray(hashes, dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """A bijection that leaves no likeness between values (the end of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def _signatures(sets: Any, hashes: Hashes) -> Hashes:
    """(n, 64) smallest hash of each text's sequences, under 64 hash functions."""
    salts = np.random.default_rng(_SEED).integers(0, 2**63, _HASHES, dtype=np.uint64)
    signatures = np.empty((sets.shape[0], _HASHES), dtype=np.uint64)
    for number, salt in enumerate(salts):
        signatures[:, number] = np.minimum.reduceat(_mixed(hashes ^ salt)[sets.indices], sets.indptr[:-1])
    return signatures


def _band_width(threshold: float) -> int:
    """The widest band with which hardly a pair at the threshold is missed."""
    widths = [width for width in (8, 4, 2) if (1 - threshold**width) ** (_HASHES // width) < _MISSED]
    return widths[0] if widths else 1


def _candidates(signatures: Hashes, threshold: float) -> tuple[Ints, Ints]:
    """Pairs of texts that agree in a band."""
    width = _band_width(threshold)
    rows = len(signatures)
    pairs = [np.zeros(0, dtype=np.int64)]
    for start in range(0, _HASHES, width):
        key = np.zeros(rows, dtype=np.uint64)
        for column in signatures.T[start : start + width]:
            key = _mixed(key ^ column)
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        begins = np.r_[True, ordered[1:] != ordered[:-1]]
        heads = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
        pairs.append(heads[~begins] * rows + order[~begins])
        for step in range(1, _NEIGHBOURS):
            same = np.flatnonzero(ordered[step:] == ordered[:-step])
            if not len(same):
                break
            pairs.append(order[same] * rows + order[same + step])
    found = np.unique(np.concatenate(pairs))
    return found // rows, found % rows


def _similarity(sets: Any, first: Ints, second: Ints) -> NDArray[np.float64]:
    sizes = np.diff(sets.indptr)
    shared = np.empty(len(first))
    for start in range(0, len(first), _PAIRS):
        block = slice(start, start + _PAIRS)
        shared[block] = sets[first[block]].multiply(sets[second[block]]).sum(axis=1)
    return shared / (sizes[first] + sizes[second] - shared)
