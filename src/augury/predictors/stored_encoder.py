"""An encoder as the files it is published in, opened by the engine that is asked for and not before.

A service that answers through ONNX Runtime never imports PyTorch; the training never loads what it has just exported.
The files are kept in memory: a directory may be replaced by a newer model while a process still serves the older one.
"""

import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from augury.errors import UserError
from augury.predictors.encoder_scorer import (
    HEAD_FILE,
    LAYOUT_FILE,
    ONNX_FILE,
    ONNX_INT8_FILE,
    EncoderScorer,
    OnnxScorer,
    TokenScorer,
    read_layout,
)
from augury.predictors.torch_device import DeviceName, choose_device

Backend: TypeAlias = Literal["torch", "onnx", "int8"]

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", HEAD_FILE, LAYOUT_FILE)
FURTHER = (
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", ONNX_FILE, ONNX_INT8_FILE, "pytorch_model.bin",
)  # fmt: skip

LETTERS_PER_TOKEN = 200
"""What lies behind this many letters per token that is read cannot be read: a token of more is a word of nonsense."""


class StoredEncoder:
    """A directory of an encoder in memory. May be shared by threads."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """Keep the files.

        Args:
            files: Name -> content, of :data:`NEEDED` and some of :data:`FURTHER`.
        """
        self.files = files
        self._opened: dict[tuple[Any, ...], TokenScorer] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, scorer: EncoderScorer, *, onnx: bool = True, export_bin: bool = False) -> Self:
        """Store a trained encoder.

        Args:
            scorer: Encoder and head.
            onnx: Whether to export both ONNX models, which takes some seconds.
            export_bin: Whether to write the weights as ``pytorch_model.bin`` too, a pickle for old readers.

        Returns:
            What :meth:`write` publishes.
        """
        with tempfile.TemporaryDirectory() as scratch:
            scorer.save(Path(scratch), export_bin=export_bin)
            if onnx:
                scorer.export_onnx(Path(scratch))
            return cls.read(Path(scratch))

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a directory.

        Raises:
            FileNotFoundError: A needed file is missing.
            UserError: The tokenizer or the labels cannot be read.
        """
        read_layout(directory)
        present = [name for name in FURTHER if (directory / name).is_file()]
        return cls({name: (directory / name).read_bytes() for name in (*NEEDED, *present)})

    def write(self, directory: Path) -> None:
        """Write the files, with the directory if needed."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (directory / name).write_bytes(content)

    @property
    def has_onnx(self) -> bool:
        """Whether the ONNX models are there."""
        return ONNX_FILE in self.files and ONNX_INT8_FILE in self.files

    def open(self, backend: Backend, threads: int | None = None, device: DeviceName = "cpu") -> TokenScorer:
        """The scorer of an engine, opened when it is first asked for.

        Args:
            backend: ``torch``, or ``onnx`` and ``int8`` for ONNX Runtime.
            threads: Of ONNX Runtime; None: as many as there are cores.
            device: Where PyTorch computes.

        Returns:
            The scorer, the same one every time.

        Raises:
            UserError: The model was saved without ONNX, or a file is damaged.
        """
        key = (backend, device) if backend == "torch" else (backend, threads)
        with self._lock:
            if key not in self._opened:
                self._opened[key] = (
                    self._open_torch(device) if backend == "torch" else self._open_onnx(backend, threads)
                )
            return self._opened[key]

    def _open_torch(self, device: DeviceName) -> EncoderScorer:
        with tempfile.TemporaryDirectory() as scratch:
            for name in (*NEEDED, "tokenizer_config.json"):
                if name in self.files:
                    (Path(scratch) / name).write_bytes(self.files[name])
            return EncoderScorer.load(Path(scratch), choose_device(device))

    def _open_onnx(self, backend: Backend, threads: int | None) -> OnnxScorer:
        name = ONNX_INT8_FILE if backend == "int8" else ONNX_FILE
        if name not in self.files:
            raise UserError(
                f"The model was saved without {name}; train it with 'model.export_onnx: true', or ask for the "
                "backend 'torch'."
            )
        with tempfile.TemporaryDirectory() as scratch:
            for small in ("tokenizer.json", LAYOUT_FILE):
                (Path(scratch) / small).write_bytes(self.files[small])
            tokenizer, layout = read_layout(Path(scratch))
        config = json.loads(self.files["config.json"])
        return OnnxScorer(self.files[name], tokenizer, layout, int(config.get("pad_token_id") or 0), threads)

    def logits(self, texts: Sequence[str], backend: Backend, threads: int | None, device: DeviceName) -> Any:
        """Score texts.

        Args:
            texts: Any texts; of very long ones the beginning is read.
            backend: See :meth:`open`.
            threads: See :meth:`open`.
            device: See :meth:`open`.

        Returns:
            float32 of shape (texts, labels).
        """
        scorer = self.open(backend, threads, device)
        longest = LETTERS_PER_TOKEN * scorer.layout.max_tokens * scorer.layout.windows
        return scorer.logits(scorer.tokens([text[:longest] for text in texts]))
