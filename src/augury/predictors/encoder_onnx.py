"""ONNX of an encoder with a linear head over the mean of its tokens, in float32 and with 8-bit weights."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.text_encoder import mean_pooled


def export_encoder(
    encoder: Any,
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    target: Path,
    target_int8: Path,
    opset: int,
) -> None:
    """Write both models.

    Args:
        encoder: A ``transformers.PreTrainedModel``; left as it is.
        weight: (L, H) of the head.
        bias: (L,) of the head.
        target: File of the model in float32.
        target_int8: File of the model with 8-bit weights.
        opset: Version of ONNX's operators.
    """
    import copy

    import torch

    class Classifier(torch.nn.Module):
        def __init__(self, inner: Any, head: Any) -> None:
            super().__init__()
            self.inner, self.head = inner, head

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return self.head(mean_pooled(hidden, attention_mask))

    head = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    inner = copy.deepcopy(encoder).to("cpu").eval()
    inner.set_attn_implementation("eager")
    example = torch.ones((2, 8), dtype=torch.long)
    axes = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about branches that the example decides
        torch.onnx.export(
            Classifier(inner, head).eval(),
            (example, example),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "texts"}},
            opset_version=opset,
            # The newer exporter needs one more package, and what it writes cannot be quantised
            dynamo=False,
        )
    _quantise(target, target_int8)


def _quantise(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises on the root logger what the float model already is
    try:
        with tempfile.TemporaryDirectory() as scratch:
            written = Path(scratch) / "model.onnx"
            quantize_dynamic(str(source), str(written), per_channel=True, weight_type=QuantType.QInt8)
            target.write_bytes(written.read_bytes())
    finally:
        root.setLevel(level)
