"""Blocks whose outcomes follow from their statistics, up to noise; and a chooser trained on them by the real nodes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.data_engineering.measured_block_sources import BlockSource
from augury.pipelines.data_engineering.measured_blocks import LineageSplit, prepare_blocks
from augury.pipelines.feature_engineering.measured_blocks import BlockFeatures, build_block_features
from augury.pipelines.model_training.codec_choice import CompressionModel, train_codec_choice
from augury.predictors.codec_costs import Contexts

SEED = 5
CONTEXTS = Contexts(link_mbps=(10.0, 100.0, 400.0))
PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
SPEEDS = {"lz4": (0.9, 0.0015, 0.0003), "zstd-3": (0.7, 0.004, 0.0009), "lzma-6": (0.6, 0.25, 0.02)}
"""Codec -> how much of the entropy it stores, us to compress and to decompress a byte."""


def simulate_blocks(lineages: int = 40, per_lineage: int = 12, seed: int = SEED) -> pd.DataFrame:
    """The layout that collection writes, one row per block and codec."""
    rng = np.random.default_rng(seed)
    many = lineages * per_lineage
    kind = np.repeat(rng.uniform(0.05, 1.0, lineages), per_lineage)
    entropy = np.clip(8 * np.minimum(kind + rng.normal(0, 0.08, many), 1), 0.1, 8)
    size = rng.choice([8192, 32768, 131072], many)
    blocks = pd.DataFrame(
        {
            "ts": 1_700_000_000_000 + np.arange(many),
            "block": [f"{number:024x}" for number in rng.permutation(many)],
            "lineage": np.repeat([f"{number:024x}" for number in range(lineages)], per_lineage),
            "size": size,
            "entropy": entropy,
            "match_rate": np.clip(1 - entropy / 8 + rng.normal(0, 0.05, many), 0, 1),
            "zero_share": rng.uniform(0, 0.3, many),
            "magic": rng.choice(["text", "other", "archive"], many),
            "sample_us": 2.0,
            "cpu_load": rng.uniform(0, 2, many),
            "policy": "label",
            "propensity": 1.0,
        }
    )
    rows = [blocks.assign(codec="none", stored_bytes=size, compress_us=0.0, decompress_us=0.0)]
    for codec, (share, packing, unpacking) in SPEEDS.items():
        stored = np.where(entropy > 7.7, size + 20, size * np.minimum(share * entropy / 8 + 0.02, 1))
        noise = rng.lognormal(0, 0.05, (2, many))
        busy = np.where(entropy > 7.7, 0.4, 1.0)  # codecs give up early on noise
        rows.append(
            blocks.assign(
                codec=codec,
                stored_bytes=stored.astype(int),
                compress_us=size * packing * noise[0] * busy,
                decompress_us=size * unpacking * noise[1],
            )
        )
    return pd.concat(rows, ignore_index=True)


def small_model(**changes: Any) -> CompressionModel:
    settings = {
        "folds": 3,
        "trees": {"rounds": 25, "learning_rate": 0.2, "num_leaves": 8},
        "neural": {"epochs": 8, "hidden": [16], "device": "cpu", "learning_rate": 0.01, "batch_size": 16},
        "gates": {"margins": [0.0, 0.1], "inline_margins": [0.05, 0.1], "sizes": [0, 32768]},
    }
    return CompressionModel.model_validate(settings | changes)


@pytest.fixture(scope="session")
def measured() -> pd.DataFrame:
    return simulate_blocks()


@pytest.fixture(scope="session")
def tables(measured: pd.DataFrame) -> SimpleNamespace:
    """``primary``, ``train``, ``holdout`` (cases) and both reports."""
    primary, data = prepare_blocks(measured, BlockSource(), LineageSplit(holdout_share=0.3), SEED)
    train, holdout, layout = build_block_features(primary, data, CONTEXTS, BlockFeatures())
    return SimpleNamespace(primary=primary, data=data, train=train, holdout=holdout, layout=layout)


@pytest.fixture(scope="session")
def train_choice(tables: SimpleNamespace) -> Any:
    """A function: changed parameters -> predictor, curves, report."""

    def train(blocks: pd.DataFrame | None = None, **changes: Any) -> Any:
        rows = tables.train if blocks is None else blocks
        return train_codec_choice(rows, tables.layout, {}, small_model(**changes), CONTEXTS, SEED, PROVENANCE)

    return train


@pytest.fixture(scope="session")
def trained(train_choice: Any) -> SimpleNamespace:
    predictor, curves, report = train_choice()
    return SimpleNamespace(predictor=predictor, curves=curves, report=report)


@pytest.fixture(scope="session")
def network(train_choice: Any) -> SimpleNamespace:
    predictor, curves, report = train_choice(kind="neural", folds=2)
    return SimpleNamespace(predictor=predictor, curves=curves, report=report)
