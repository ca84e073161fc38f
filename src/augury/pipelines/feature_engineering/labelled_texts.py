"""Tokens and targets of labelled texts: computed once, read by every model and every fold."""

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.predictors.text_encoder import (
    SCRATCH,
    WEIGHTS_FILE,
    TextFeatures,
    encode_texts,
    file_digest,
    load_tokenizer,
    open_tokenizer,
    resolve_encoder,
    special_tokens,
)

__all__ = ["TextFeatures", "build_text_features"]

TRAIN = "train"
QUANTILES = (0.5, 0.9, 0.99)
KEPT = ("sample_id", "text", "split", "group", "confidence", "origin")


def build_text_features(
    primary_texts: pd.DataFrame, primary_codes: pd.DataFrame, features: TextFeatures, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Choose the codes to model and split the texts into tokens.

    Args:
        primary_texts: ``sample_id``, ``text``, ``codes`` (closed upward), ``confidence``, ``group``, ``split``
            and, if it is known, ``origin``.
        primary_codes: ``code``, ``label``, ``parent``, ``level``, ``texts`` (of the training split).
        features: Parameters.
        seed: Read by nothing yet: a vocabulary that is learnt here depends on the training texts alone.

    Returns:
        Texts with ``targets`` (list[int32]: rows of the codes) and ``token_ids`` (list[int32]: no special tokens); the
        modelled codes with ``prior``, the share of training texts that have them; the tokenizer as JSON; an account.

    Raises:
        UserError: No training text, no code with enough of them, no such encoder.
    """
    training = (primary_texts["split"] == TRAIN).to_numpy()
    if not training.any():
        raise UserError("taxonomy.primary_texts: no text is in the split 'train' (column 'split'); bring more texts.")
    modelled = primary_codes[primary_codes["texts"] >= features.min_support].reset_index(drop=True)
    if modelled.empty:
        most = int(primary_codes["texts"].max()) if len(primary_codes) else 0
        raise UserError(
            f"Parameter 'taxonomy.features.min_support' is {features.min_support}, but the most frequent of "
            f"{len(primary_codes)} codes has {most} training texts: lower it or bring more texts."
        )
    targets = _places(primary_texts["codes"], modelled["code"])
    tokenizer = load_tokenizer(features, primary_texts.loc[training, "text"])
    opened = open_tokenizer(tokenizer)
    limit = features.max_tokens * features.windows
    encoded = encode_texts(opened, primary_texts["text"].tolist(), limit + 1)
    lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
    texts = primary_texts[[name for name in KEPT if name in primary_texts]].reset_index(drop=True)
    texts["targets"] = pd.Series(targets, dtype=object)
    texts["token_ids"] = pd.Series([ids[:limit] for ids in encoded], dtype=object)

    of_training = np.concatenate([targets[row] for row in np.flatnonzero(training)])
    counts = np.bincount(of_training, minlength=len(modelled))
    codes = modelled.assign(prior=counts / training.sum())
    room = features.max_tokens - sum(map(len, special_tokens(opened, 0)[:2]))
    dropped = primary_codes.loc[primary_codes["texts"] < features.min_support, "code"]
    unknown = opened.token_to_id(tokenizer["model"].get("unk_token") or "")
    total = max(int(lengths.sum()), 1)
    report = {
        "encoder": features.encoder,
        "encoder_sha256": _digest(features),
        "vocabulary": opened.get_vocab_size(),
        "codes": len(codes),
        "codes_without_support": {"count": len(dropped), "examples": dropped.head(10).tolist()},
        "texts_without_modelled_code": int(sum(len(places) == 0 for places in targets)),
        "tokens": {
            "mean": float(lengths.mean()),
            **{f"quantile_{int(q * 100)}": float(np.quantile(lengths, q)) for q in QUANTILES},
            "of_at_most": limit + 1,
        },
        "share_of_unknown_tokens": float(sum(int((ids == unknown).sum()) for ids in encoded) / total)
        if unknown is not None
        else 0.0,
        "share_longer_than_a_window": float((lengths > room).mean()),
        "share_cut_off": float((lengths > room * features.windows).mean()),
        "versions": {"tokenizers": version("tokenizers")},
    }
    return texts, codes, tokenizer, report


def _places(codes: pd.Series, modelled: pd.Series) -> list[npt.NDArray[np.int32]]:
    """The rows of the modelled codes that each text has, sorted."""
    lists = codes.to_list()
    owners = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    numbers = pd.Index(modelled).get_indexer(pd.Index([code for found in lists for code in found], dtype=object))
    order = np.lexsort((numbers, owners))
    owners, numbers = owners[order], numbers[order]
    known = numbers >= 0
    counts = np.bincount(owners[known], minlength=len(lists))
    return np.split(numbers[known].astype(np.int32), np.cumsum(counts)[:-1])


def _digest(features: TextFeatures) -> str | None:
    if features.encoder == SCRATCH:
        return None
    return file_digest(resolve_encoder(features.encoder) / WEIGHTS_FILE)
