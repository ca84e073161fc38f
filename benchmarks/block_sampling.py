"""How long a look at a block takes, in the processor's cache and from memory.

    python benchmarks/block_sampling.py --bytes 200000000 /usr/lib/python3/dist-packages
    python benchmarks/block_sampling.py                                       # this Python's own packages

Blocks are drawn from many megabytes of real files. What is measured is CPU time of batches of a hundred, because a
longer stretch on a busy machine is interrupted, and what ran meanwhile takes the caches: the quartiles say how much.
"""

import argparse
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np

from augury.predictors.block_statistics import STATISTICS
from augury.predictors.block_statistics_kernel import sample_many

BATCH = 100


def read(folder: Path, most: int) -> Any:
    """Files of a folder, one after another, up to so many bytes."""
    parts, total = [], 0
    for path in sorted(folder.rglob("*")):
        if total >= most:
            break
        if path.is_file() and path.stat().st_size > 0:
            parts.append(np.fromfile(path, np.uint8)[: most - total])
            total += len(parts[-1])
    return np.concatenate(parts)


def measure(data: Any, starts: Any, size: int, warm: bool) -> list[float]:
    """Microseconds by block of every batch; warm: each batch looks at twenty blocks again and again."""
    values, kinds = np.empty((BATCH, len(STATISTICS)), np.float32), np.empty(BATCH, np.int8)
    found = []
    for first in range(0, len(starts) - BATCH + 1, BATCH):
        own = starts[first : first + BATCH]
        if warm:
            own = np.tile(own[:20], BATCH // 20)
            sample_many(data, own, own + size, values, kinds)
        begun = time.thread_time_ns()
        sample_many(data, own, own + size, values, kinds)
        found.append((time.thread_time_ns() - begun) / 1000 / BATCH)
    return found


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(sysconfig.get_paths()["purelib"]))
    parser.add_argument("--bytes", type=int, default=200_000_000, help="read at most; should exceed every cache")
    parser.add_argument("--kib", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256], help="sizes of the blocks")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    data = read(arguments.folder, arguments.bytes)
    rng = np.random.default_rng(arguments.seed)
    print(
        f"{len(data) / 1e6:.0f} MB; microseconds by block: 5 %, first quartile, median, third quartile of the batches"
    )
    for kib in arguments.kib:
        size = kib * 1024
        starts = rng.permutation((len(data) - size) // size)[:6000].astype(np.int64) * size
        measure(data, starts[: 2 * BATCH], size, warm=True)  # compiled
        for name, warm in (("memory", False), ("cache", True)):
            quantiles = np.quantile(measure(data, starts, size, warm), [0.05, 0.25, 0.5, 0.75])
            print(f"{kib:4} KiB, {len(starts):5} blocks, {name:6}:", *(f"{value:6.2f}" for value in quantiles))


if __name__ == "__main__":
    main()
