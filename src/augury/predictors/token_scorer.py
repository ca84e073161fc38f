"""What the engines that score texts share: labels, windows, batches of texts of like lengths."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augury.errors import UserError
from augury.predictors.text_encoder import (
    TOKENIZER_FILE,
    SpecialTokens,
    TextFeatures,
    Tokens,
    encode_texts,
    open_tokenizer,
    special_tokens,
    windows_of,
)

Matrix = npt.NDArray[np.float32]

LAYOUT_FILE = "text_layout.json"

BATCH_TOKENS = 4096
BATCH_WINDOWS = 64


class TextLayout(NamedTuple):
    """What a scorer must know beside its weights."""

    codes: tuple[str, ...]
    """The labels, in the order of the logits."""
    labels: tuple[str, ...]
    """What they mean."""
    max_tokens: int
    windows: int


class TokenScorer(ABC):
    """Scores texts that are given as tokens; long ones window by window."""

    def __init__(self, tokenizer: Mapping[str, Any], layout: TextLayout, pad: int) -> None:
        """Keep what both engines need.

        Args:
            tokenizer: JSON of the tokenizer.
            layout: Labels and windows.
            pad: Number of the token for padding.
        """
        self.tokenizer = dict(tokenizer)
        self.layout = layout
        self._opened = open_tokenizer(tokenizer)
        self.special: SpecialTokens = special_tokens(self._opened, pad)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Split texts into the tokens that :meth:`logits` takes.

        Args:
            texts: Any texts, empty ones too.

        Returns:
            One array per text.
        """
        return encode_texts(self._opened, texts, self.layout.max_tokens * self.layout.windows)

    def _averaged(self, token_ids: Sequence[Tokens], width: int) -> Matrix:
        """Score every window and average over those of a text: (n, width)."""
        parts = [windows_of(ids, self.special, self.layout.max_tokens, self.layout.windows) for ids in token_ids]
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        flat = [window for part in parts for window in part]
        scored = np.empty((len(flat), width), dtype=np.float32)
        for places in batches_by_length([len(window) for window in flat]):
            scored[places] = self._score_windows(*padded([flat[place] for place in places], self.special.pad))
        if len(flat) == len(parts):
            return scored
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return (np.add.reduceat(scored.astype(np.float64), starts, axis=0) / counts[:, None]).astype(np.float32)

    @abstractmethod
    def _score_windows(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Matrix:
        """Score a batch of windows: two of (b, T) to (b, width)."""

    @abstractmethod
    def logits(self, token_ids: Sequence[Tokens]) -> Matrix:
        """Score texts.

        Args:
            token_ids: Tokens of each text, without special ones.

        Returns:
            (n, L): log-odds of each label; the mean over the windows of a long text.
        """


def padded(windows: Sequence[Tokens], pad: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Put windows of different lengths into one array.

    Args:
        windows: Tokens, special ones included.
        pad: The token that fills short rows.

    Returns:
        Tokens and mask (1 where there is a token), both (windows, longest).
    """
    lengths = np.array([len(window) for window in windows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(windows)
    return ids, mask.astype(np.int64)


def batches_by_length(lengths: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Put windows of like lengths together, so that little is padded.

    Args:
        lengths: Tokens of each window.

    Yields:
        Places of at most 64 windows, and of at most 4,096 tokens with padding unless a single window is longer.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while (
            stop < len(order)
            and stop - start < BATCH_WINDOWS
            and lengths[order[stop]] * (stop + 1 - start) <= BATCH_TOKENS
        ):
            stop += 1
        yield order[start:stop]
        start = stop


def layout_of(features: TextFeatures, codes: Any) -> TextLayout:
    """The layout of a scorer.

    Args:
        features: Parameters.
        codes: Frame with the columns ``code`` and ``label``.
    """
    names, labels = (tuple(str(value) for value in codes[column]) for column in ("code", "label"))
    return TextLayout(names, labels, features.max_tokens, features.windows)


def read_layout(directory: Path) -> tuple[dict[str, Any], TextLayout]:
    """Read the tokenizer and the layout of a directory.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: A file is damaged.
    """
    try:
        tokenizer = json.loads((directory / TOKENIZER_FILE).read_text(encoding="utf-8"))
        found = json.loads((directory / LAYOUT_FILE).read_text(encoding="utf-8"))
        layout = TextLayout(
            tuple(found["codes"]), tuple(found["labels"]), int(found["max_tokens"]), int(found["windows"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{directory}' holds no text scorer that can be read: {error}") from None
    return tokenizer, layout
