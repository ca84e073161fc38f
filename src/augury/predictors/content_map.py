"""From the text of an item to its factors, for items that nobody has turned to yet."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MOST_TOKENS = 128
"""Of an item's text; the rest is not read."""
TEXTS_AT_ONCE = 64


class ContentMap:
    """A ridge regression from the embedding of a text to the factors of an item."""

    def __init__(self, encoder: str, weights: Floats) -> None:
        """Keep the map.

        Args:
            encoder: Name of the encoder of the texts.
            weights: Shape ``(embedding + 1, factors)``; the last row is the intercept.
        """
        self.encoder = encoder
        self.weights = weights

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Factors of items by their texts.

        Args:
            texts: One per item.

        Returns:
            Shape ``(items, factors)``.
        """
        return self.of_embeddings(embed(self.encoder, texts))

    def of_embeddings(self, embeddings: Floats) -> Floats:
        """Factors of items by the embeddings of their texts, shape ``(items, embedding)``."""
        return (embeddings @ self.weights[:-1] + self.weights[-1]).astype(np.float32)


def fit_content_map(encoder: str, embeddings: Floats, factors: Floats, weights: Floats, l2: float) -> ContentMap:
    """Fit the map.

    Args:
        encoder: Name of the encoder.
        embeddings: Of the known items' texts, shape ``(items, embedding)``.
        factors: Of the known items, shape ``(items, factors)``.
        weights: How well each item's factors are known, such as its interactions, shape ``(items,)``.
        l2: Ridge, not on the intercept.

    Returns:
        The map.
    """
    known = weights.astype(np.float64)[:, None]
    total = max(float(known.sum()), 1e-12)
    inputs, targets = embeddings.astype(np.float64), factors.astype(np.float64)
    centre, level = (inputs * known).sum(axis=0) / total, (targets * known).sum(axis=0) / total
    inputs, targets = inputs - centre, targets - level
    left = inputs.T @ (inputs * known)
    left[np.diag_indices_from(left)] += l2
    slopes = np.linalg.solve(left, inputs.T @ (targets * known))
    return ContentMap(encoder, np.vstack([slopes, level - centre @ slopes]).astype(np.float32))


def embed(encoder: str, texts: Sequence[str]) -> Floats:
    """Embed texts, the mean of their tokens, normalised; needs the extra of deep models.

    Args:
        encoder: See :func:`~augury.predictors.text_encoder.resolve_encoder`.
        texts: Any.

    Returns:
        Shape ``(texts, embedding)``.
    """
    import torch

    from augury.predictors.text_encoder import (
        TextFeatures,
        encode_texts,
        load_encoder,
        load_tokenizer,
        mean_pooled,
        open_tokenizer,
        resolve_encoder,
        special_tokens,
        windows_of,
    )
    from augury.predictors.torch_device import computing

    directory = resolve_encoder(encoder)
    model = load_encoder(directory)
    tokenizer = open_tokenizer(load_tokenizer(TextFeatures(encoder=encoder), []))
    special = special_tokens(tokenizer, int(model.config.pad_token_id or 0))
    tokens = encode_texts(tokenizer, texts, MOST_TOKENS)
    order = np.argsort([len(row) for row in tokens], kind="stable")  # texts of like lengths need little padding
    found = np.zeros((len(texts), int(model.config.hidden_size)), dtype=np.float32)
    with computing(), torch.inference_mode():
        for start in range(0, len(order), TEXTS_AT_ONCE):
            chosen = order[start : start + TEXTS_AT_ONCE]
            rows = [windows_of(tokens[row], special, MOST_TOKENS, 1)[0] for row in chosen]
            ids = np.full((len(rows), max(map(len, rows))), special.pad, dtype=np.int64)
            mask = np.zeros(ids.shape, dtype=np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(row)], mask[place, : len(row)] = row, 1
            hidden = model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state
            found[chosen] = mean_pooled(hidden, torch.from_numpy(mask)).numpy()
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))
