"""An encoder cut in two: lower layers that stay as they are and are computed once, upper layers that are trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from augury.predictors.text_encoder import Tokens, mean_pooled
from augury.predictors.token_scorer import batches_by_length, padded

DIVISIBLE = ("bert", "roberta", "xlm-roberta", "camembert")
"""Kinds of encoders whose layers follow each other without anything between them; others run as a whole."""


class EncoderStack:
    """The encoder of a training, with its windows."""

    def __init__(
        self,
        encoder: Any,
        windows: Sequence[Tokens],
        pad: int,
        frozen_layers: int,
        dtype: Any | None,
        device: Any,
        cache_bytes: int,
        progress: str = "",
    ) -> None:
        """Freeze the lower layers, and remember what they say about each window if that fits into memory.

        Args:
            encoder: A ``transformers.PreTrainedModel`` on the device.
            windows: Tokens of each text, special ones included.
            pad: The token for padding.
            frozen_layers: Layers that are not trained; 0 trains everything, the embeddings too.
            dtype: Of matrix products; None: float32.
            device: Where to compute.
            cache_bytes: Memory for the frozen layers' results.
            progress: Name of the progress bar; empty for none.
        """
        import torch

        self.encoder, self.windows, self.pad = encoder, windows, pad
        self.dtype, self.device = dtype, device
        layers = list(_layers(encoder))
        frozen = min(frozen_layers, len(layers))
        self.divided = encoder.config.model_type in DIVISIBLE and frozen > 0
        self.lower, self.upper = layers[:frozen], layers[frozen:]
        for parameter in encoder.parameters():
            parameter.requires_grad_(frozen == 0)
        for layer in self.upper:
            layer.requires_grad_(True)
        for name, module in encoder.named_children():
            if name in ("pooler", "lm_head"):  # not read: the head takes the mean of all tokens
                module.requires_grad_(False)
        self._cached: Any | None = None
        lengths = np.array([len(window) for window in windows], dtype=np.int64)
        self._starts = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)[:-1]])).to(device)
        self._lengths = torch.from_numpy(lengths).to(device)
        width = int(encoder.config.hidden_size)
        kept = dtype or torch.float32
        if self.divided and int(lengths.sum()) * width * kept.itemsize <= cache_bytes:
            self._fill(torch.empty((int(lengths.sum()), width), dtype=kept, device=device), progress)

    def _fill(self, cache: Any, progress: str) -> None:
        import torch

        lengths = self._lengths.cpu().numpy()
        bar = tqdm(
            total=len(lengths), desc=f"{progress} (frozen layers)", unit="text", disable=not progress, leave=False
        )
        with bar, torch.no_grad():
            for places in batches_by_length(lengths):
                hidden, mask = self._enter(places)
                cache[torch.cat([self._places(place) for place in places])] = hidden[mask.bool()].to(cache.dtype)
                bar.update(len(places))
        self._cached = cache

    def _places(self, text: int) -> Any:
        import torch

        start = int(self._starts[text])
        return torch.arange(start, start + int(self._lengths[text]), device=self.device)

    def train(self, training: bool) -> None:
        """Switch the dropout of the trained layers on or off, and choose the faster attention for either."""
        self.encoder.eval()
        # The backward pass of the fused attention is slow on the CPU: 1.2 times the whole step
        eager = training and self.device.type == "cpu"
        self.encoder.set_attn_implementation("eager" if eager else "sdpa")
        for layer in self.upper if self.divided else [self.encoder]:
            layer.train(training)

    def pooled(self, places: npt.NDArray[np.intp]) -> Any:
        """Vectors of a batch of texts, with gradients for the upper layers.

        Args:
            places: Which texts.

        Returns:
            (b, H), float32.
        """
        import torch

        with torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            if not self.divided:
                ids, mask = self._tokens(places)
                return mean_pooled(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
            if self._cached is None:
                with torch.no_grad():
                    hidden, mask = self._enter(places)
            else:
                hidden, mask = self._recall(places)
            hidden = self._through(self.upper, hidden, mask)
            return mean_pooled(hidden, mask)

    def _recall(self, places: npt.NDArray[np.intp]) -> tuple[Any, Any]:
        import torch

        assert self._cached is not None
        chosen = torch.from_numpy(np.asarray(places)).to(self.device)
        lengths = self._lengths[chosen]
        steps = torch.arange(int(lengths.max()), device=self.device)
        mask = steps < lengths[:, None]
        # Padding shows the text's first token: any finite vector serves, the mask hides it
        rows = self._starts[chosen][:, None] + torch.where(mask, steps, 0)
        return self._cached[rows].float(), mask

    def _enter(self, places: npt.NDArray[np.intp]) -> tuple[Any, Any]:
        """Embeddings and frozen layers."""
        import torch

        ids, mask = self._tokens(places)
        with torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            hidden = self._through(self.lower, self.encoder.embeddings(input_ids=ids), mask)
        return hidden, mask

    def _through(self, layers: Sequence[Any], hidden: Any, mask: Any) -> Any:
        shown = _attention_mask(mask, hidden.dtype, self.encoder.config._attn_implementation == "sdpa")
        for layer in layers:
            hidden = _apply(layer, hidden, shown)
        return hidden

    def _tokens(self, places: npt.NDArray[np.intp]) -> tuple[Any, Any]:
        import torch

        ids, mask = padded([self.windows[place] for place in places], self.pad)
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)


def _layers(encoder: Any) -> Any:
    """The list of an encoder's layers, whatever it is called."""
    import torch

    count = getattr(encoder.config, "num_hidden_layers", 0)
    for module in encoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    return []


def _attention_mask(mask: Any, dtype: Any, fused: bool) -> Any | None:
    """What hides padding from the attention: true where there is a token, or something very negative elsewhere."""
    import torch

    if bool(mask.all()):
        return None
    if fused:
        return mask.bool()[:, None, None, :]
    hidden = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return hidden.masked_fill(mask == 0, torch.finfo(dtype).min)[:, None, None, :]


def _apply(layer: Any, hidden: Any, mask: Any | None) -> Any:
    found = layer(hidden, mask)
    return found[0] if isinstance(found, tuple) else found
