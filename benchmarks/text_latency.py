"""Latency of one short text through ONNX Runtime on one core, and what 8-bit integers cost in F1.

python benchmarks/text_latency.py TEXTS.parquet [--train 200] [--test 600] [--column ddc1] [--scorer DIRECTORY]: MiniLM
is fine-tuned on the first rows (or read from a directory with model.onnx and model.int8.onnx), judged on the rows
behind them. A short text is the beginning of one, of 32 tokens with the special ones at most. CPU milliseconds stand
beside those of the clock, which other processes on the machine stretch.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.checkpointing import NoCheckpoints
from augury.pipelines.model_training.global_threshold import best_micro_f1, micro_f1_at
from augury.pipelines.model_training.transformer_settings import TransformerSettings
from augury.pipelines.model_training.transformer_training import fit_transformer
from augury.predictors.encoder_scorer import EncoderScorer, OnnxScorer
from augury.predictors.text_encoder import TextFeatures, encode_texts, load_tokenizer
from augury.predictors.token_scorer import TokenScorer

SHORT = 32
REPEATS = 300


def targets_of(lists: pd.Series, codes: list[str]) -> npt.NDArray[np.float32]:
    """(n, L) of lists of codes."""
    return np.array([[code in set(map(str, found)) for code in codes] for found in lists], dtype=np.float32)


def fine_tune(table: pd.DataFrame, column: str, codes: list[str]) -> EncoderScorer:
    """Train with the default recipe."""
    features = TextFeatures()
    tokenizer = load_tokenizer(features, [])
    tokens = encode_texts(tokenizer, table["text"].tolist(), features.max_tokens * features.windows)
    frame = pd.DataFrame({"code": codes, "label": codes})
    fitted = fit_transformer(
        tokens, targets_of(table[column], codes), np.ones(len(table)), None, tokenizer, features,
        TransformerSettings(device="cpu"), frame, 42, NoCheckpoints(), "fine-tuning",
    )  # fmt: skip
    return fitted.scorer


def latency(score: Callable[[list[str]], Any], texts: list[str]) -> dict[str, float]:
    """Milliseconds from a text to its logits, one text at a time."""
    for text in texts[:20]:
        score([text])
    wall, cpu = [], []
    for number in range(REPEATS):
        asked = [texts[number % len(texts)]]
        begin, begin_cpu = time.perf_counter(), time.process_time()
        score(asked)
        wall.append(1e3 * (time.perf_counter() - begin))
        cpu.append(1e3 * (time.process_time() - begin_cpu))
    return {
        "p50_ms": float(np.median(wall)),
        "p95_ms": float(np.quantile(wall, 0.95)),
        "p50_cpu_ms": float(np.median(cpu)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--column", default="ddc1")
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--test", type=int, default=600)
    parser.add_argument("--scorer", type=Path, help="directory of a fine-tuned scorer; it is not trained then")
    given = parser.parse_args()
    table = pd.read_parquet(given.path, columns=["text", given.column])
    train, test = table.iloc[: given.train], table.iloc[given.train : given.train + given.test]
    with tempfile.TemporaryDirectory() as scratch:
        directory = given.scorer or Path(scratch)
        if given.scorer is None:
            codes = sorted({str(code) for found in train[given.column] for code in found})
            scorer = fine_tune(train, given.column, codes)
            scorer.save(directory)
            scorer.export_onnx(directory)
        scorers: dict[str, TokenScorer] = {
            "PyTorch float32": EncoderScorer.load(directory),
            "ONNX float32": OnnxScorer.load(directory, int8=False, threads=1),
            "ONNX int8": OnnxScorer.load(directory, int8=True, threads=1),
        }
    first = scorers["PyTorch float32"]
    tokens = first.tokens(test["text"].tolist())
    truth = targets_of(test[given.column], list(first.layout.codes)) > 0
    # Cut the texts and not their tokens: what is measured begins with a text
    short = [" ".join(text.split()[:SHORT]) for text in test["text"].head(100)]
    while any(len(ids) > SHORT - 2 for ids in first.tokens(short)):
        lengths = [len(ids) for ids in first.tokens(short)]
        short = [
            text if size <= SHORT - 2 else text.rsplit(" ", 1)[0] if " " in text else text[: SHORT // 2]
            for text, size in zip(short, lengths, strict=True)
        ]
    expected = None
    print(
        "| | p50 ms | p95 ms | p50 CPU ms | micro-F1 at 0.5 | at the best threshold | largest difference of a logit |"
    )
    print("|---|---|---|---|---|---|---|")
    found: dict[str, dict[str, float]] = {}
    for name, judged in scorers.items():
        times = latency(_scoring(judged), short)
        logits = judged.logits(tokens).astype(np.float64)
        expected = logits if expected is None else expected
        found[name] = times | {
            "micro_f1": micro_f1_at(logits, truth, 0.0),
            "best_micro_f1": best_micro_f1(logits, truth)[0],
            "difference": float(np.abs(logits - expected).max()),
        }
        cells = [f"{found[name][key]:.2f}" for key in times] + [
            f"{found[name][key]:.4f}" for key in ("micro_f1", "best_micro_f1", "difference")
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(json.dumps({"train": given.train, "test": len(test), "median_tokens": _median(first, short), "found": found}))


def _scoring(scorer: TokenScorer) -> Callable[[list[str]], Any]:
    return lambda texts: scorer.logits(scorer.tokens(texts))


def _median(scorer: TokenScorer, texts: list[str]) -> float:
    return float(np.median([len(ids) + 2 for ids in scorer.tokens(texts)]))


if __name__ == "__main__":
    main()
