"""Fine-tuning of an encoder with a linear head for many labels, exactly resumable after a kill."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from augury.checkpointing import Checkpoint, Checkpoints, fingerprint_of
from augury.curve_table import curve_table
from augury.errors import UserError
from augury.pipelines.model_training.encoder_stack import EncoderStack
from augury.pipelines.model_training.global_threshold import best_micro_f1, micro_f1_at
from augury.pipelines.model_training.label_loss import Targets, apply_confidence, label_weights, prior_bias
from augury.pipelines.model_training.length_buckets import epoch_batches, planned_epochs, steps_per_epoch
from augury.pipelines.model_training.transformer_settings import TransformerSettings
from augury.predictors.encoder_scorer import EncoderScorer, layout_of
from augury.predictors.text_encoder import (
    SCRATCH,
    WEIGHTS_FILE,
    TextFeatures,
    Tokens,
    file_digest,
    resolve_encoder,
    windows_of,
)
from augury.predictors.torch_device import autocast_dtype, choose_device, choose_threads, computing

__all__ = ["FittedTransformer", "apply_confidence", "fit_transformer"]

Validation = tuple[Sequence[Tokens], npt.NDArray[np.bool_]]

CURVE_POINTS = 50

_BETAS = (0.9, 0.999)
_MEBIBYTE = 2**20


class FittedTransformer(NamedTuple):
    """What a training yields."""

    scorer: EncoderScorer
    curves: pd.DataFrame
    """``step``, ``epoch``, ``name`` (loss, learning_rate, validation_f1, validation_loss, samples_per_second),
    ``value``, ``seconds`` since the start."""
    facts: dict[str, Any]
    """JSON: seconds, device, precision, epochs, best_epoch, stopped_by, validation and further ones."""


def fit_transformer(
    tokens: Sequence[Tokens],
    targets: Targets,
    weights: npt.NDArray[np.float64],
    validation: Validation | None,
    tokenizer: Mapping[str, Any],
    features: TextFeatures,
    settings: TransformerSettings,
    codes: pd.DataFrame,
    seed: int,
    checkpoints: Checkpoints,
    progress: str = "",
) -> FittedTransformer:
    """Fine-tune an encoder.

    The loss is the binary cross-entropy, summed over labels and averaged over texts by weight. The head starts at the
    log-odds of each label's share. A long text is trained by its first window and scored by all of them.

    Args:
        tokens: Tokens of each training text, without special ones.
        targets: (n, L), from 0 to 1.
        weights: (n,), at least 0; a text of weight 0 is as if it were absent.
        validation: Tokens and (m, L) truth of texts that choose the best epoch; None keeps the last one.
        tokenizer: JSON of the tokenizer.
        features: Parameters of tokens and encoder.
        settings: Parameters of the training.
        codes: Frame of the labels: ``code``, ``label`` and, for ``parent_loss_share``, ``parent``.
        seed: Decides the order of texts and what dropout hides.
        checkpoints: Where the training keeps how far it has come; it is cleared at the end.
        progress: Name of the progress bar; empty for none.

    Returns:
        See :class:`FittedTransformer`. The same arguments on the same processor give the same weights bit for bit,
        whether the training was interrupted or not; on a GPU they differ in the last digits.

    Raises:
        UserError: No text, no label, no such encoder or device, a damaged checkpoint.
    """
    started = time.monotonic()
    kept = np.flatnonzero(np.asarray(weights) > 0)
    if not len(kept) or not len(codes):
        raise UserError(
            f"A text classifier needs texts and codes to learn from: {len(kept)} of {len(weights)} training texts have "
            f"a confidence above 0, {len(codes)} codes are modelled."
        )
    tokens = [np.asarray(tokens[place], dtype=np.int32) for place in kept.tolist()]
    targets = np.ascontiguousarray(targets[kept], dtype=np.float32)
    weights = np.asarray(weights, dtype=np.float64)[kept]
    with computing(settings.threads, seed):
        training = _Training(tokens, targets, weights, validation, tokenizer, features, settings, codes, seed, progress)
        training.resume(checkpoints)
        training.run(checkpoints, started)
        fitted = training.fitted(time.monotonic() - started)
    checkpoints.clear()
    return fitted


class _Training:
    """The state of a training between steps, and how to bring it back."""

    def __init__(
        self,
        tokens: Sequence[Tokens],
        targets: Targets,
        weights: npt.NDArray[np.float64],
        validation: Validation | None,
        tokenizer: Mapping[str, Any],
        features: TextFeatures,
        settings: TransformerSettings,
        codes: pd.DataFrame,
        seed: int,
        progress: str,
    ) -> None:
        import torch

        self.settings, self.seed, self.progress, self.validation = settings, seed, progress, validation
        self.device = choose_device(settings.device)
        self.dtype = autocast_dtype(self.device, settings.precision)
        self.epochs = planned_epochs(len(tokens), settings)
        self.steps = self.epochs * steps_per_epoch(len(tokens), settings.batch_size)
        self.fingerprint = self._fingerprint(tokens, targets, weights, tokenizer, features)
        scorer = EncoderScorer.pretrained(features, tokenizer, codes, seed, self.device)
        self.layout, self.tokenizer, self.encoder = layout_of(features, codes), tokenizer, scorer.encoder
        windows = [windows_of(ids, scorer.special, features.max_tokens, 1)[0] for ids in tokens]
        self.lengths = np.array([len(window) for window in windows], dtype=np.int64)
        self.stack = EncoderStack(
            self.encoder,
            windows,
            scorer.special.pad,
            0 if features.encoder == SCRATCH else settings.frozen_layers,
            self.dtype,
            self.device,
            settings.cache_megabytes * _MEBIBYTE,
            progress,
        )
        shares = np.average(targets.astype(np.float64), axis=0, weights=weights)
        self.positive = np.clip((1 - shares) / np.maximum(shares, 1e-9), 1.0, settings.positive_weight_cap)
        self.head = torch.nn.Linear(scorer.weight.shape[1], len(codes)).to(self.device)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.copy_(torch.from_numpy(prior_bias(shares, self.positive, len(tokens))))
        self.targets = torch.from_numpy(targets).to(self.device)
        self.weights = torch.from_numpy((weights / weights.mean()).astype(np.float32)).to(self.device)
        self.label_weights = torch.from_numpy(label_weights(codes, settings.parent_loss_share)).to(self.device)
        self.positive_weights = torch.from_numpy(self.positive.astype(np.float32)).to(self.device)
        named = [(f"encoder.{name}", part) for name, part in self.encoder.named_parameters() if part.requires_grad]
        self.trained = dict(named) | {f"head.{name}": part for name, part in self.head.named_parameters()}
        self.optimizer = _optimizer(self.trained, settings)

        self.step, self.epoch, self.curves, self.resumed_at = 0, 0, list[list[Any]](), None
        self.sums = {"loss": 0.0, "batches": 0, "samples": 0, "seconds": 0.0}
        self.seconds_before = 0.0
        self.best: dict[str, Any] = {}
        self.best_epoch, self.best_validation, self.stopped_by = 0, dict[str, float](), "epochs"
        self.samples_done, self.seconds_done = 0, 0.0

    def _fingerprint(
        self,
        tokens: Sequence[Tokens],
        targets: Targets,
        weights: npt.NDArray[np.float64],
        tokenizer: Mapping[str, Any],
        features: TextFeatures,
    ) -> str:
        import torch
        import transformers

        def flat(texts: Sequence[Tokens]) -> npt.NDArray[np.int32]:
            return np.concatenate([np.asarray(ids, dtype=np.int32) for ids in texts] or [np.empty(0, np.int32)])

        arrays: dict[str, npt.NDArray[Any]] = {
            "tokens": flat(tokens),
            "lengths": np.array([len(ids) for ids in tokens]),
            "targets": targets,
            "weights": weights,
        }
        if self.validation is not None:
            arrays["validation_tokens"] = flat(self.validation[0])
            arrays["validation_lengths"] = np.array([len(ids) for ids in self.validation[0]])
            arrays["validation_targets"] = np.asarray(self.validation[1])
        scratch = features.encoder == SCRATCH
        return fingerprint_of(
            arrays,
            {
                "settings": self.settings.model_dump(exclude={"checkpoint_steps"}),
                "features": features.model_dump(exclude={"min_support"}),
                "tokenizer": hashlib.sha256(json.dumps(tokenizer, sort_keys=True).encode()).hexdigest(),
                "encoder": None if scratch else file_digest(resolve_encoder(features.encoder) / WEIGHTS_FILE),
                "seed": self.seed,
                # Other numbers of threads or other hardware would end with other last bits
                "computed": [str(self.device.type), str(self.dtype), choose_threads(self.settings.threads)],
                "versions": [torch.__version__, transformers.__version__],
            },
        )

    def resume(self, checkpoints: Checkpoints) -> None:
        """Go back to where the last checkpoint was written.

        Raises:
            UserError: It lacks something, or something has the wrong shape.
        """
        found = checkpoints.load(self.fingerprint)
        if found is None:
            return
        try:
            self._restore(found)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"taxonomy.training_checkpoints is damaged ({type(error).__name__}: {error}). Delete it, or set "
                "'taxonomy.model.resume' to false to start afresh."
            ) from None

    def _restore(self, found: Checkpoint) -> None:
        import torch

        tensors, state = found.tensors, found.state
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(torch.from_numpy(tensors[f"weights/{name}"]))
                if state["step"]:
                    moments = (torch.from_numpy(np.array(tensors[f"{kind}/{name}"])) for kind in ("first", "second"))
                    first, second = (moment.to(self.device) for moment in moments)
                    count = torch.tensor(float(state["step"]), dtype=torch.float32, device=self.device)
                    self.optimizer.state[parameter] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
        self.best = {
            name: torch.from_numpy(np.array(tensors[f"best/{name}"]))
            for name in self.trained
            if f"best/{name}" in tensors
        }
        self.step, self.epoch, self.curves, self.sums = state["step"], state["epoch"], state["curves"], state["sums"]
        self.best_epoch, self.best_validation = state["best_epoch"], state["best_validation"]
        self.stopped_by, self.seconds_before = state["stopped_by"], state["seconds"]
        self.samples_done, self.seconds_done = state["samples_done"], state["seconds_done"]
        self.resumed_at = state["step"]

    def save(self, checkpoints: Checkpoints, seconds: float) -> None:
        """Write a checkpoint: only what is trained."""
        tensors: dict[str, npt.NDArray[Any]] = {}
        for name, parameter in self.trained.items():
            tensors[f"weights/{name}"] = parameter.detach().cpu().numpy().copy()
            moments = self.optimizer.state[parameter]
            tensors[f"first/{name}"] = moments["exp_avg"].cpu().numpy().copy()
            tensors[f"second/{name}"] = moments["exp_avg_sq"].cpu().numpy().copy()
        tensors |= {f"best/{name}": part.numpy() for name, part in self.best.items()}
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "curves": self.curves,
            "sums": self.sums,
            "best_epoch": self.best_epoch,
            "best_validation": self.best_validation,
            "stopped_by": self.stopped_by,
            "seconds": seconds,
            "samples_done": self.samples_done,
            "seconds_done": self.seconds_done,
        }
        checkpoints.save(self.fingerprint, tensors, state)

    def run(self, checkpoints: Checkpoints, started: float) -> None:
        """Train what is left of the epochs."""
        per_epoch, texts = self.steps // self.epochs, len(self.lengths)

        def seconds() -> float:
            return self.seconds_before + time.monotonic() - started

        with tqdm(
            total=self.epochs * texts,
            initial=self.epoch * texts,
            desc=self.progress,
            unit="text",
            mininterval=2,
            disable=not self.progress,
        ) as bar:
            while self.epoch < self.epochs and self.stopped_by == "epochs":
                batches = epoch_batches(self.lengths, self.settings.batch_size, self.seed, self.epoch)
                self.stack.train(True)
                for places in batches[self.step - self.epoch * per_epoch :]:
                    before = time.monotonic()
                    rate = self._set_rates()
                    loss = self._train_step(places)
                    self.step += 1
                    self._count(loss, len(places), time.monotonic() - before, rate, seconds())
                    bar.update(len(places))
                    bar.set_postfix(loss=f"{loss:.3f}", F1=self._shown_f1(), refresh=False)
                    every = self.settings.checkpoint_steps
                    if every and self.step % every == 0 and self.step % per_epoch:
                        self.save(checkpoints, seconds())
                self.epoch += 1
                self._validate(seconds())
                bar.set_postfix(loss=f"{loss:.3f}", F1=self._shown_f1())
                self.save(checkpoints, seconds())

    def _set_rates(self) -> float:
        """Linear warm-up and decay; returns the body's rate."""
        warm = max(round(self.settings.warm_up * self.steps), 1)
        share = min((self.step + 1) / warm, (self.steps - self.step) / max(self.steps - warm, 1), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["full_rate"]
        return share * self.settings.body_learning_rate

    def _train_step(self, places: npt.NDArray[np.intp]) -> float:
        """One step of the optimiser; returns the loss."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        # One seed a step: what dropout hides follows from the step alone, and a checkpoint needs no generator's state
        torch.manual_seed((self.seed * 1_000_003 + self.step) % 2**63)
        total = 0.0
        for part in np.array_split(places, min(self.settings.gradient_accumulation, len(places))):
            chosen = torch.from_numpy(part).to(self.device)
            logits = self.head(self.stack.pooled(part))
            each = binary_cross_entropy_with_logits(
                logits, self.targets[chosen], pos_weight=self.positive_weights, reduction="none"
            )
            loss = ((each * self.label_weights).sum(1) * self.weights[chosen]).sum() / len(places)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def _count(self, loss: float, samples: int, spent: float, rate: float, seconds: float) -> None:
        self.samples_done += samples
        self.seconds_done += spent
        self.sums["loss"] += loss
        self.sums["batches"] += 1
        self.sums["samples"] += samples
        self.sums["seconds"] += spent
        if self.step % max(self.steps // CURVE_POINTS, 1) == 0 or self.step == self.steps:
            self._add("loss", self.sums["loss"] / self.sums["batches"], seconds)
            self._add("learning_rate", rate, seconds)
            self._add("samples_per_second", self.sums["samples"] / max(self.sums["seconds"], 1e-9), seconds)
            self.sums = dict.fromkeys(self.sums, 0)

    def _add(self, name: str, value: float, seconds: float) -> None:
        self.curves.append([self.step, self.step * self.epochs / self.steps, name, float(value), seconds])

    def _shown_f1(self) -> str:
        last = next((row[3] for row in reversed(self.curves) if row[2] == "validation_f1"), None)
        return "-" if last is None else f"{last:.3f}"

    def _validate(self, seconds: float) -> None:
        """Judge the epoch, keep its weights if they are the best, and decide whether to go on."""
        if self.validation is None or not len(self.validation[0]):
            self.best_epoch = self.epoch
            return
        self.stack.train(False)
        tokens, truth = self.validation[0], np.asarray(self.validation[1], dtype=bool)
        logits = self._scorer().logits(tokens).astype(np.float64)
        f1, threshold = best_micro_f1(logits, truth)
        loss = float(np.mean(np.sum(np.logaddexp(0, logits) - logits * truth, axis=1)))
        self._add("validation_f1", f1, seconds)
        self._add("validation_loss", loss, seconds)
        best = self.best_validation
        if not best or (f1, -loss) > (best["micro_f1"], -best["loss"]):
            self.best_epoch = self.epoch
            at_half = micro_f1_at(logits, truth, 0.0)
            self.best_validation = {
                "micro_f1": f1,
                "threshold": float(1 / (1 + np.exp(-threshold))),
                "micro_f1_at_half": at_half,
                "loss": loss,
                "texts": len(tokens),
            }
            self.best = {name: part.detach().cpu().clone() for name, part in self.trained.items()}
        elif self.settings.patience is not None and self.epoch - self.best_epoch >= self.settings.patience:
            self.stopped_by = "early stopping"

    def _scorer(self) -> EncoderScorer:
        weight, bias = (part.detach().cpu().numpy() for part in (self.head.weight, self.head.bias))
        precision = self.settings.precision
        return EncoderScorer(self.encoder, weight, bias, self.tokenizer, self.layout, self.device, precision)

    def fitted(self, seconds: float) -> FittedTransformer:
        """The best weights in a scorer, and the account."""
        import torch

        with torch.no_grad():
            for name, part in self.best.items():
                self.trained[name].copy_(part)
        self.stack.train(False)
        self.encoder.requires_grad_(False)
        scorer = self._scorer()
        scorer.precision = "float32"  # in which a text's logits do not depend on its neighbours
        scorer.weight, scorer.bias = scorer.weight.copy(), scorer.bias.copy()
        counts = [sum(part.numel() for part in parts) for parts in (self.trained.values(), self.encoder.parameters())]
        facts = {
            "seconds": self.seconds_before + seconds,
            "device": str(self.device),
            "precision": "float32" if self.dtype is None else "bfloat16",
            "threads": choose_threads(self.settings.threads),
            "texts": len(self.lengths),
            "epochs": self.epoch,
            "planned_epochs": self.epochs,
            "steps": self.step,
            "best_epoch": self.best_epoch,
            "stopped_by": self.stopped_by,
            "samples_per_second": self.samples_done / max(self.seconds_done, 1e-9),
            "trained_weights": counts[0],
            "encoder_weights": counts[1],
            "resumed_at_step": self.resumed_at,
            "validation": self.best_validation,
        }
        return FittedTransformer(scorer, curve_table(self.curves), facts)


def _optimizer(trained: Mapping[str, Any], settings: TransformerSettings) -> Any:
    import torch

    groups = []
    for head in (False, True):
        rate = settings.head_learning_rate if head else settings.body_learning_rate
        for matrix in (False, True):
            parts = [
                part for name, part in trained.items() if name.startswith("head.") == head and (part.ndim > 1) == matrix
            ]
            decay = settings.weight_decay if matrix else 0.0
            if parts:
                groups.append({"params": parts, "lr": rate, "full_rate": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=_BETAS, fused=True)
