"""A fine-tuned encoder with a linear head: one logit per text and label, in PyTorch or in ONNX.

The directory is one of Hugging Face's: ``AutoModel`` and ``AutoTokenizer`` load it. The head lies in a file of its own,
because that of ``AutoModelForSequenceClassification`` reads the first token and this one reads the mean of all.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from augury.predictors.tensor_files import read_tensors, write_tensors
from augury.predictors.text_encoder import (
    TOKENIZER_FILE,
    TextFeatures,
    Tokens,
    load_encoder,
    mean_pooled,
    new_encoder,
    without_bars,
)
from augury.predictors.token_scorer import LAYOUT_FILE, Matrix, TextLayout, TokenScorer, layout_of, read_layout
from augury.predictors.torch_device import Precision, autocast_dtype, choose_device, computing

__all__ = [
    "HEAD_FILE", "LAYOUT_FILE", "ONNX_FILE", "ONNX_INT8_FILE", "EncoderScorer", "OnnxScorer", "TextLayout",
    "TokenScorer", "layout_of", "read_layout",
]  # fmt: skip

HEAD_FILE = "head.safetensors"
ONNX_FILE = "model.onnx"
ONNX_INT8_FILE = "model.int8.onnx"
OPSET = 17


class EncoderScorer(TokenScorer):
    """An encoder and a linear head over the mean of its tokens, in PyTorch."""

    def __init__(
        self,
        encoder: Any,
        weight: Matrix,
        bias: Matrix,
        tokenizer: Mapping[str, Any],
        layout: TextLayout,
        device: Any | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Put the parts together.

        Args:
            encoder: A ``transformers.PreTrainedModel``; moved to the device.
            weight: (L, H).
            bias: (L,).
            tokenizer: JSON of the tokenizer.
            layout: Labels and windows.
            device: Where to compute; the CPU unless told.
            precision: Of matrix products. In float32 a text's logits hardly depend on the texts beside it (1e-5);
                in bfloat16 they differ in the second decimal.
        """
        super().__init__(tokenizer, layout, int(encoder.config.pad_token_id or 0))
        self.device = choose_device("cpu") if device is None else device
        self.encoder = encoder.to(self.device).eval()
        self.weight = np.ascontiguousarray(weight, dtype=np.float32)
        self.bias = np.ascontiguousarray(bias, dtype=np.float32)
        self.precision: Precision = precision
        self.threads: int | None = None

    @classmethod
    def pretrained(
        cls, features: TextFeatures, tokenizer: Mapping[str, Any], codes: Any, seed: int, device: Any | None = None
    ) -> Self:
        """An encoder that has seen no label yet, under a head of zeros.

        Args:
            features: Parameters of tokens and encoder.
            tokenizer: JSON of the tokenizer.
            codes: Frame with the columns ``code`` and ``label``, in the order of the logits.
            seed: Seed of the weights that are drawn, if any.
            device: Where to compute.

        Returns:
            A scorer; :meth:`with_head` gives it a head.

        Raises:
            UserError: There is no such encoder.
        """
        encoder = new_encoder(features, tokenizer, seed)
        shape = (len(codes), int(encoder.config.hidden_size))
        zeros = np.zeros(shape, dtype=np.float32)
        return cls(encoder, zeros, zeros[:, 0], tokenizer, layout_of(features, codes), device)

    def with_head(self, weight: npt.ArrayLike, bias: npt.ArrayLike) -> Self:
        """The same encoder under another head.

        Args:
            weight: (L, H), for vectors as :meth:`embeddings` returns them.
            bias: (L,).

        Returns:
            A new scorer that shares the encoder.
        """
        head, offset = np.asarray(weight, dtype=np.float32), np.asarray(bias, dtype=np.float32)
        return type(self)(self.encoder, head, offset, self.tokenizer, self.layout, self.device, self.precision)

    def embeddings(self, token_ids: Sequence[Tokens]) -> Matrix:
        """Vectors of texts.

        Args:
            token_ids: Tokens of each text, without special ones.

        Returns:
            (n, H): the mean over a text's tokens, and over its windows if it is long.
        """
        width = self.weight.shape[1]
        with computing(self.threads or "auto"):
            return self._averaged(token_ids, width) if len(token_ids) else np.empty((0, width), dtype=np.float32)

    def logits(self, token_ids: Sequence[Tokens]) -> Matrix:
        """See :meth:`TokenScorer.logits`."""
        # The head is linear, so that the mean over windows may be taken before it
        return self.embeddings(token_ids) @ self.weight.T + self.bias

    def _score_windows(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Matrix:
        import torch

        dtype = autocast_dtype(self.device, self.precision)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None),
        ):
            tokens, real = (torch.from_numpy(part).to(self.device) for part in (ids, mask))
            hidden = self.encoder(input_ids=tokens, attention_mask=real).last_hidden_state
            pooled: Matrix = mean_pooled(hidden, real).float().cpu().numpy()
        return pooled

    def save(self, directory: Path, export_bin: bool = False) -> None:
        """Write a directory in Hugging Face format.

        Args:
            directory: Target, created if needed.
            export_bin: Write the encoder's weights as ``pytorch_model.bin`` too, for old readers. That file is a
                pickle; :meth:`load` never reads it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        numbers = dict(enumerate(self.layout.codes))
        self.encoder.config.update(
            {
                "id2label": numbers,
                "label2id": {code: number for number, code in numbers.items()},
                "problem_type": "multi_label_classification",
            }
        )
        with without_bars():
            self.encoder.save_pretrained(directory)
        write_tensors(directory / HEAD_FILE, {"weight": self.weight, "bias": self.bias})
        _write_json(directory / LAYOUT_FILE, self.layout._asdict())
        self._save_tokenizer(directory)
        if export_bin:
            import torch

            torch.save(self.encoder.state_dict(), directory / "pytorch_model.bin")

    def _save_tokenizer(self, directory: Path) -> None:
        opened = self._opened
        names = {number: token for token, number in opened.get_vocab().items()}
        masks = [token for token in names.values() if token.lower() in ("[mask]", "<mask>")]
        known = {
            "unk_token": self.tokenizer["model"].get("unk_token"),
            "sep_token": names.get(self.special.suffix[-1]) if self.special.suffix else None,
            "pad_token": names.get(self.special.pad),
            "cls_token": names.get(self.special.prefix[0]) if self.special.prefix else None,
            "mask_token": masks[0] if masks else None,
        }
        roles = {role: token for role, token in known.items() if token}
        _write_json(directory / TOKENIZER_FILE, self.tokenizer, indent=None)
        # Written here and not by the library, whose file names the directory that the tokenizer came from
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": self.layout.max_tokens}
        _write_json(directory / "tokenizer_config.json", config | {"clean_up_tokenization_spaces": False} | roles)
        _write_json(directory / "special_tokens_map.json", roles)
        lines = "".join(f"{names[number]}\n" for number in sorted(names))
        (directory / "vocab.txt").write_text(lines, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, device: Any | None = None) -> Self:
        """Read what :meth:`save` wrote; executes no code from the directory.

        Args:
            directory: What was given to :meth:`save`.
            device: Where to compute.

        Returns:
            A scorer whose logits equal the saved one's bit for bit.

        Raises:
            FileNotFoundError: A file is missing.
            UserError: A file is damaged.
        """
        tokenizer, layout = read_layout(directory)
        head = read_tensors(directory / HEAD_FILE, ("weight", "bias"))
        return cls(load_encoder(directory), head["weight"], head["bias"], tokenizer, layout, device)

    def export_onnx(self, directory: Path) -> None:
        """Write the scorer of one window as ONNX: ``input_ids``, ``attention_mask`` (b, T) -> ``logits`` (b, L).

        Writes model.onnx in float32 and model.int8.onnx, whose matrix products take 8-bit integers (weights per
        channel, activations as they come).

        Args:
            directory: Target, created if needed.
        """
        from augury.predictors.encoder_onnx import export_encoder

        directory.mkdir(parents=True, exist_ok=True)
        export_encoder(self.encoder, self.weight, self.bias, directory / ONNX_FILE, directory / ONNX_INT8_FILE, OPSET)


class OnnxScorer(TokenScorer):
    """The same scores by ONNX Runtime, without PyTorch."""

    def __init__(
        self,
        model: bytes | Path,
        tokenizer: Mapping[str, Any],
        layout: TextLayout,
        pad: int,
        threads: int | None = None,
    ) -> None:
        """Open a session.

        Args:
            model: An ONNX model, or the file that holds it.
            tokenizer: JSON of the tokenizer.
            layout: Labels and windows.
            pad: Number of the token for padding.
            threads: Threads of one operation; None: as many as the machine has cores.
        """
        import onnxruntime

        super().__init__(tokenizer, layout, pad)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait for work in a loop would take the cores of everything else in a service
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        source = model if isinstance(model, bytes) else str(model)
        self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    @classmethod
    def load(cls, directory: Path, int8: bool = True, threads: int | None = None) -> Self:
        """Open the ONNX model of a directory that :class:`EncoderScorer` wrote.

        Args:
            directory: With both :meth:`EncoderScorer.save` and :meth:`EncoderScorer.export_onnx` done.
            int8: The small and fast one, whose logits differ a little.
            threads: See :meth:`__init__`.

        Returns:
            The scorer.

        Raises:
            FileNotFoundError: A file is missing.
            UserError: A file is damaged.
        """
        tokenizer, layout = read_layout(directory)
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        model = (directory / (ONNX_INT8_FILE if int8 else ONNX_FILE)).read_bytes()
        return cls(model, tokenizer, layout, int(config.get("pad_token_id") or 0), threads)

    def logits(self, token_ids: Sequence[Tokens]) -> Matrix:
        """See :meth:`TokenScorer.logits`."""
        width = len(self.layout.codes)
        return self._averaged(token_ids, width) if len(token_ids) else np.empty((0, width), dtype=np.float32)

    def _score_windows(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Matrix:
        scored: Matrix = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return scored


def _write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
