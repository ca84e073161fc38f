"""Measure what codecs make of blocks of real files: bytes and CPU time; of the blocks only statistics are kept."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.collection.block_files import Block, BlockFiles, find_blocks
from augury.predictors.block_statistics import sample_blocks
from augury.predictors.codecs import NONE, Codec, open_codec

logger = logging.getLogger(__name__)

POLICY = "label"
"""Of rows that were measured for their own sake: every codec was tried on every block."""

CLOCK_US = 20.0
"""What is shorter than this is measured several times between two looks at the clock."""


class Timing(Parameters):
    """How CPU time is measured."""

    repeats: int = Field(default=5, ge=1, description="measurements of one codec on one block; the shortest counts")
    budget_us: float = Field(default=2000.0, gt=0, description="after as much CPU time no further one is begun (us)")
    most_load: float | None = Field(
        default=None, gt=0,
        description="load average by core above which nothing is measured; null: the load is noted beside each block",
    )  # fmt: skip
    patience_s: float = Field(default=300.0, ge=0, description="how long to wait for the load to fall, at the most")


class CompressionCollection(Parameters):
    """What is measured."""

    files: BlockFiles = BlockFiles()
    codecs: tuple[str, ...] = Field(
        default=("lz4", "zstd-1", "zstd-3", "zstd-9", "zlib-6", "brotli-5", "lzma-6"),
        min_length=1,
        description="none is always there",
    )
    timing: Timing = Timing()


def measure_blocks(collection: CompressionCollection, seed: int) -> pd.DataFrame:
    """Measure the codecs on blocks of real files.

    Args:
        collection: Which files, which codecs, how often.
        seed: Of the choice of the blocks.

    Returns:
        One row per block and codec: ``ts`` (ms), ``block``, ``lineage``, ``size``, the statistics, ``magic``,
        ``codec``, ``stored_bytes``, ``compress_us``, ``decompress_us``, ``sample_us``, ``cpu_load``, ``policy``,
        ``propensity``. No bytes of the blocks.

    Raises:
        UserError: An unknown codec, no files, a codec that does not restore a block, or a machine that is too busy.
    """
    codecs = [open_codec(name) for name in dict.fromkeys((*collection.codecs, NONE)) if name != NONE]
    overhead = _clock_overhead()
    rows: list[dict[str, Any]] = []
    blocks = find_blocks(collection.files, seed)
    with tqdm(total=collection.files.blocks, desc="blocks", unit="block", mininterval=2) as bar:
        for block in blocks:
            load = _quiet_load(collection.timing)
            rows += _measure(block, codecs, collection.timing, overhead, load)
            bar.update()
    return _compact(pd.DataFrame(rows))


def _measure(
    block: Block, codecs: list[Codec], timing: Timing, overhead: float, load: float
) -> Iterator[dict[str, Any]]:
    data = np.frombuffer(block.content, dtype=np.uint8)
    size = len(data)
    # Statistics first: what a codec made of the block must not be known to them
    statistics = {str(name): value for name, value in sample_blocks(data, [0], [size]).iloc[0].items()}
    shared: dict[str, Any] = {
        "ts": int(time.time() * 1000), "block": block.identifier, "lineage": block.lineage, **statistics,
        "sample_us": _sample_us(data, timing, overhead), "cpu_load": load, "policy": POLICY, "propensity": 1.0,
    }  # fmt: skip
    yield {**shared, "codec": NONE, "stored_bytes": size, "compress_us": 0.0, "decompress_us": 0.0}
    for codec in codecs:
        packed = codec.compress(block.content)
        if codec.decompress(packed) != block.content:
            raise UserError(f"Codec '{codec.name}' does not restore a block of {size} bytes.")
        yield {
            **shared,
            "codec": codec.name,
            "stored_bytes": len(packed),
            "compress_us": shortest_us(partial(codec.compress, block.content), timing, overhead),
            "decompress_us": shortest_us(partial(codec.decompress, packed), timing, overhead),
        }  # fmt: skip


def shortest_us(action: Callable[[], Any], timing: Timing, overhead: float = 0.0) -> float:
    """The shortest of several measurements of an action's CPU time.

    Args:
        action: What is measured; called once more than it is measured.
        timing: How often.
        overhead: What a look at the clock takes itself (us).

    Returns:
        CPU time of this thread (us), at least 0.
    """
    best, spent, calls = np.inf, 0.0, 1
    for _ in range(timing.repeats):
        begun = time.thread_time_ns()
        for _ in range(calls):
            action()
        elapsed = max((time.thread_time_ns() - begun) / 1000 - overhead, 0.0)
        best = min(best, elapsed / calls)
        spent += elapsed
        if spent > timing.budget_us:
            break
        calls = max(calls, min(int(CLOCK_US / max(elapsed / calls, 0.5)), 20))
    return float(best)


def _sample_us(data: Any, timing: Timing, overhead: float) -> float:
    """CPU time of the statistics of one block, without what a call from Python adds to it."""
    from augury.predictors.block_statistics_kernel import sample_many

    times = 32
    starts, stops = np.zeros(times, np.int64), np.full(times, len(data), np.int64)
    values, kinds = np.empty((times, 10), np.float32), np.empty(times, np.int8)
    return shortest_us(lambda: sample_many(data, starts, stops, values, kinds), timing, overhead) / times


def _clock_overhead() -> float:
    """What two looks at the clock take (us)."""
    gaps = []
    for _ in range(200):
        begun = time.thread_time_ns()
        gaps.append(time.thread_time_ns() - begun)
    return min(gaps) / 1000


def _quiet_load(timing: Timing) -> float:
    """The load by core, once it is low enough.

    Raises:
        UserError: It does not fall.
    """
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] / cores
    deadline = time.monotonic() + timing.patience_s
    while timing.most_load is not None and load > timing.most_load:
        if time.monotonic() > deadline:
            raise UserError(
                f"The load is {load:.2f} by core, above 'compression.collection.timing.most_load' "
                f"({timing.most_load:g}): times would be those of a busy machine. Wait, or set it to null to note the "
                "load beside each block instead."
            )
        time.sleep(1)
        load = os.getloadavg()[0] / cores
    return load


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    """Types and rounding that keep the file small; times keep 3 to 4 digits, which is more than they repeat to."""
    counts = {"ts": "int64", "size": "int32", "stored_bytes": "int32"}
    texts = ("block", "lineage", "magic", "codec", "policy")
    for name in table.columns:
        if name in counts:
            table[name] = table[name].astype(np.dtype(counts[name]))
        elif name not in texts:
            values = table[name].to_numpy(np.float64)
            digits = 10.0 ** (3 - np.floor(np.log10(np.maximum(np.abs(values), 1e-3))))
            table[name] = (np.rint(values * digits) / digits).astype(np.float32)
    return table
