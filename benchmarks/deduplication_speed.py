"""Speed of sketches and queries on real blocks of 10 KB, on one core, with datasketch beside it.

python benchmarks/deduplication_speed.py [--data FOLDER] [--blocks 100000] [--queries 5000] [--datasketch 200]

Blocks are pieces of the files under FOLDER (default: the libraries of this Python) at random places, so that many
overlap. Bars: 15,000 signatures/s, 10 times datasketch on the same sampled shingles, 10,000 queries/s on 100,000
blocks. Times are CPU times; datasketch is given the shingles, whose hashing is not counted for it.
"""

import argparse
import json
import os
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augury.predictors import shingle_kernels
from augury.predictors.band_index import BandIndex, Banding
from augury.predictors.block_index import IndexSettings
from augury.predictors.shingle_sketches import SketchRecipe, limits_of, rates, sketch_blocks

BLOCK = 10_240
SUFFIXES = (".py", ".pyi", ".h", ".txt", ".json", ".so", ".pyc", ".rst", ".md", ".js", ".html", ".c", ".java")


def pieces(folder: Path, count: int, random: Any) -> list[bytes]:
    """Pieces of files at random places."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    sizes = np.array([path.stat().st_size for path in paths], dtype=np.float64)
    usable = sizes >= BLOCK
    # Large files would be nearly all of it
    weights = np.where(usable, np.minimum(sizes, 2e6), 0)
    drawn = np.sort(random.choice(len(paths), count, p=weights / weights.sum()))
    found, last, content = [], -1, b""
    for place in drawn.tolist():
        if place != last:
            last, content = place, paths[place].read_bytes()
        start = int(random.integers(max(len(content) - BLOCK, 0) + 1))
        found.append(content[start : start + BLOCK])
    return [found[place] for place in random.permutation(len(found))]


def cpu_seconds(action: Callable[[], Any], repeats: int = 3) -> float:
    """The least CPU time of some repeats."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times)


def signatures(blocks: list[bytes], few: list[bytes]) -> list[dict[str, Any]]:
    """Signatures a second of ours and of datasketch, which gets the very shingles that our sampling keeps."""
    from datasketch import MinHash

    rows = []
    for hashes, sampling in ((128, 1), (128, 4), (128, 16), (256, 4), (256, 16)):
        recipe = SketchRecipe(hashes=hashes, sampling=sampling, least_sampling=sampling)
        sketch_blocks(blocks[:2], recipe)
        own = len(blocks) / cpu_seconds(partial(sketch_blocks, blocks, recipe))
        limits = limits_of(rates(np.array([len(block) for block in few]), recipe))
        kept = [
            np.unique(shingle_kernels.sampled_shingles(np.frombuffer(block, np.uint8), limit, np.uint64(0), 0))
            for block, limit in zip(few, limits, strict=True)
        ]
        words = [[int(value).to_bytes(8, "little") for value in values] for values in kept]

        def theirs(words: Any = words, hashes: int = hashes) -> None:
            for shingles in words:
                MinHash(num_perm=hashes).update_batch(shingles)

        other = len(few) / cpu_seconds(theirs, 2)
        rows.append(
            {
                "hashes": hashes,
                "one shingle of": sampling,
                "shingles of a block": float(np.mean([len(values) for values in kept])),
                "ours/s": own,
                "MB/s": own * BLOCK / 1e6,
                "datasketch/s": other,
                "times": own / other,
            }
        )
    return rows


def queries(blocks: list[bytes], asked: list[bytes], threshold: float) -> dict[str, float]:
    """Queries a second on an index of all blocks."""
    settings = IndexSettings()
    cells = np.concatenate(
        [sketch_blocks(blocks[at : at + 2000], settings.sketch) for at in range(0, len(blocks), 2000)]
    )
    index = BandIndex(Banding(), settings.sketch.cells)
    started = time.process_time()
    index.add(cells)
    index.compact()
    built = time.process_time() - started
    wanted = sketch_blocks(asked, settings.sketch)
    index.search(wanted[:10], 10, threshold)
    looked_up = cpu_seconds(lambda: index.search(wanted, 10, threshold))
    whole = cpu_seconds(lambda: index.search(sketch_blocks(asked, settings.sketch), 10, threshold))
    one = cpu_seconds(lambda: [index.search(wanted[at : at + 1], 10, threshold) for at in range(500)])
    found = index.search(wanted, 10, threshold)
    return {
        "blocks": len(blocks),
        "inserts/s": len(blocks) / built,
        "queries/s": len(asked) / looked_up,
        "queries/s with sketching": len(asked) / whole,
        "queries/s one by one": 500 / one,
        "candidates": float(found.candidates.mean()),
        "with a match": float((found.rows[:, 0] >= 0).mean()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(sysconfig.get_paths()["purelib"]))
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--datasketch", type=int, default=100, help="Blocks that datasketch signs.")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    random = np.random.default_rng(0)
    blocks = pieces(arguments.data, arguments.blocks + arguments.queries, random)
    asked, blocks = blocks[: arguments.queries], blocks[arguments.queries :]
    for row in signatures(blocks[:2000], blocks[: arguments.datasketch]):
        print(json.dumps({name: round(value, 1) for name, value in row.items()}))
    found = queries(blocks, asked, IndexSettings().threshold)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
