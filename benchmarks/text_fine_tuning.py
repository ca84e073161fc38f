"""CPU seconds of fine-tuning MiniLM on few texts, beside the loop that one would write first, in the same run.

python benchmarks/text_fine_tuning.py TEXTS.parquet [--texts 200] [--epochs 3] [--max-tokens 128] [--column ddc1]
[--plain-steps 4]: a table with a column `text` and a column of code lists. The peer trains all layers in float32 on
texts that are padded to 256 tokens, in the order of the file; it is timed on a few steps after one to warm up, and
scaled to as many steps as the whole job has. CPU seconds are those of user and system, of all threads, without imports.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from augury.checkpointing import NoCheckpoints
from augury.pipelines.model_training.transformer_settings import TransformerSettings
from augury.pipelines.model_training.transformer_training import fit_transformer
from augury.predictors.text_encoder import TextFeatures, encode_texts, load_encoder, load_tokenizer, resolve_encoder

PLAIN_TOKENS = 256
BATCH = 16


def read_texts(path: Path, rows: int, column: str) -> tuple[list[str], npt.NDArray[np.float32], pd.DataFrame]:
    """Texts, targets (n, L) and the frame of codes."""
    table = pd.read_parquet(path, columns=["text", column]).head(rows)
    codes = sorted({str(code) for found in table[column] for code in found})
    targets = np.array([[code in set(map(str, found)) for code in codes] for found in table[column]], dtype=np.float32)
    return table["text"].tolist(), targets, pd.DataFrame({"code": codes, "label": codes})


def ours(
    texts: list[str], targets: npt.NDArray[np.float32], codes: pd.DataFrame, epochs: int, max_tokens: int
) -> tuple[float, dict[str, Any]]:
    """CPU seconds from the texts to the fine-tuned scorer, reading the weights included."""
    settings = TransformerSettings(epochs=epochs, min_steps=0, batch_size=BATCH, device="cpu")
    features = TextFeatures(max_tokens=max_tokens, windows=1)
    start = time.process_time()
    tokenizer = load_tokenizer(features, [])
    tokens = encode_texts(tokenizer, texts, max_tokens)
    fitted = fit_transformer(
        tokens, targets, np.ones(len(texts)), None, tokenizer, features, settings, codes, 42, NoCheckpoints()
    )
    return time.process_time() - start, fitted.facts


def plain(texts: list[str], targets: npt.NDArray[np.float32], steps: int) -> float:
    """CPU seconds of one step of the plain loop."""
    tokenizer = load_tokenizer(TextFeatures(), [])
    tokens = encode_texts(tokenizer, texts, PLAIN_TOKENS - 2)
    ids = torch.zeros((len(texts), PLAIN_TOKENS), dtype=torch.long)
    for row, found in enumerate(tokens):
        ids[row, : len(found) + 2] = torch.tensor([101, *found.tolist(), 102])
    mask = (ids != 0).long()
    encoder = load_encoder(resolve_encoder("minilm")).train()
    head = torch.nn.Linear(encoder.config.hidden_size, targets.shape[1])
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=2e-5)
    labels = torch.from_numpy(targets)

    def step(number: int) -> None:
        rows = torch.arange(number * BATCH, (number + 1) * BATCH) % len(texts)
        pooled = encoder(input_ids=ids[rows], attention_mask=mask[rows]).last_hidden_state[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(pooled), labels[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step(0)
    start = time.process_time()
    for number in range(1, steps + 1):
        step(number)
    return (time.process_time() - start) / steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--column", default="ddc1")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--plain-steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    texts, targets, codes = read_texts(given.path, given.texts, given.column)
    load_encoder(resolve_encoder("minilm"))  # imports what neither shall pay for
    seconds, facts = ours(texts, targets, codes, given.epochs, given.max_tokens)
    steps = given.epochs * -(-given.texts // BATCH)
    other = plain(texts, targets, given.plain_steps) * steps
    samples = given.texts * given.epochs
    print(f"| {given.texts} texts x {given.epochs} epochs | CPU s | texts per CPU s | |")
    print("|---|---|---|---|")
    print(f"| augury ({facts['precision']}, {given.max_tokens} tokens) | {seconds:.1f} | {samples / seconds:.1f} | |")
    scaled = f"{given.plain_steps} of {steps} steps, scaled"
    print(f"| plain (float32, {PLAIN_TOKENS} tokens) | {other:.1f} | {samples / other:.1f} | {scaled} |")
    print(json.dumps({"seconds": round(seconds, 2), "plain_seconds": round(other, 2), "ratio": other / seconds}))


if __name__ == "__main__":
    main()
