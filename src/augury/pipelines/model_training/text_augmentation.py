"""Further training texts for small sets: those that are there, with words left out, cut, or their beginnings only."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from augury.parameters import Parameters

Kind = Literal["word_dropout", "sentence_crop", "title_only"]

_SENTENCE = re.compile(r"(?<=[.!?;])\s+")


class Augmentation(Parameters):
    """What to make of each training text; nothing by default."""

    copies: int = Field(default=0, ge=0, le=20, description="copies of each training text; 0: off")
    kinds: tuple[Kind, ...] = Field(
        default=("word_dropout", "sentence_crop", "title_only"),
        min_length=1,
        description="each copy is of one of these kinds: without some words, some sentences only, the first one only",
    )
    dropped_share: float = Field(default=0.1, gt=0, lt=1, description="share of the words that a copy lacks")
    cropped_share: float = Field(default=0.5, gt=0, lt=1, description="share of the sentences that a copy keeps")


def augment(texts: Sequence[str], settings: Augmentation, seed: int) -> list[str]:
    """Make copies of training texts.

    To be called inside a training fold: copies of a text that a model is judged on would be a leak.

    Args:
        texts: n training texts.
        settings: How many copies, and of which kinds.
        seed: Chooses the kinds, and what is left out.

    Returns:
        (copies x n) texts: a copy of each, then another one of each, and so on, without the texts themselves; their
        codes are ``np.tile(codes, (copies, 1))``. A text of which nothing can be left out is repeated as it is.
    """
    made: list[str] = []
    for copy in range(settings.copies):
        for number, text in enumerate(texts):
            # A text's copies do not depend on which other texts there are
            rng = np.random.default_rng([seed, copy, number])
            kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
            made.append(_copy(text, kind, settings, rng) or text)
    return made


def _copy(text: str, kind: Kind, settings: Augmentation, rng: np.random.Generator) -> str:
    if kind == "word_dropout":
        return _without_words(text, settings.dropped_share, rng)
    sentences = _SENTENCE.split(text.strip())
    if kind == "title_only":
        return sentences[0]
    kept = max(1, round(settings.cropped_share * len(sentences)))
    start = int(rng.integers(len(sentences) - kept + 1))
    return " ".join(sentences[start : start + kept])


def _without_words(text: str, share: float, rng: np.random.Generator) -> str:
    words = text.split()
    kept = rng.random(len(words)) >= share
    if kept.all() and len(words) > 1:
        kept[rng.integers(len(words))] = False
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)
