"""Collect what `deduplication` learns from: sketches of versions of real files, and what deltas between them take."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.parameters import Parameters
from augury.pipelines.collection.file_versions import MINUTE_MS, Version, edited_versions, find_files, similar_files
from augury.predictors import delta_compression
from augury.predictors.block_index import digest_of
from augury.predictors.shingle_sketches import SketchRecipe, encode, exact_jaccard, sketch_blocks

ID_LETTERS = 24

logger = logging.getLogger(__name__)


class PairLimits(Parameters):
    """Which pairs of blocks are measured."""

    least_jaccard: float = Field(default=0.1, gt=0, lt=1, description="similarity from which a pair is listed")
    most_references: int = Field(
        default=32, ge=1, description="earlier blocks that a block is compressed against, at most"
    )


class DeduplicationCollection(Parameters):
    """What to measure."""

    folder: str | None = Field(description="folder of files, searched recursively; null: the libraries of this Python")
    suffixes: tuple[str, ...] = Field(min_length=1, description="how their names end")
    least_bytes: int = Field(ge=0, description="smallest file")
    most_bytes: int = Field(ge=1, description="largest file")
    lineages: int = Field(ge=2, description="files that get versions")
    most_versions: int = Field(ge=1, description="of a file; their number is drawn evenly from 1 on")
    folders: int = Field(ge=0, description="folders whose files are taken as they are, because they may be similar")
    files_per_folder: int = Field(ge=2, description="at most")
    pairs: PairLimits = PairLimits()


def collect_blocks(
    collection: DeduplicationCollection, sketch: SketchRecipe, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make versions of real files, measure them, and forget their content.

    Args:
        collection: What to measure.
        sketch: How blocks are sketched; its key is that of the names as well.
        seed: Draws files, edits and times.

    Returns:
        See :func:`measure_blocks`.

    Raises:
        UserError: There are no files.
    """
    return measure_blocks(_versions(collection, seed), collection.pairs, sketch, seed)


def measure_blocks(
    versions: Sequence[Version], limits: PairLimits, sketch: SketchRecipe, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sketch and compress blocks, alone and against each other.

    Args:
        versions: In the order of time.
        limits: Which pairs are measured.
        sketch: How blocks are sketched.
        seed: Draws the reference of ``random_bytes``.

    Returns:
        Two tables without content.

        - Blocks in the order of time: ``block``, ``lineage`` (pseudonyms), ``ts`` (milliseconds), ``kind``, ``size``
          (bytes), ``digest`` (keyed), ``sketch``, ``plain_bytes`` (zstd alone), ``previous_bytes`` and ``random_bytes``
          (the delta to the block stored before it, and to one drawn evenly from all before it; the first block has its
          plain bytes there), ``plain_us`` and ``sketch_us`` (CPU microseconds).
        - Pairs: ``block``, ``reference`` (an earlier block), ``jaccard`` (exact, of 8-byte shingles), ``delta_bytes``,
          ``delta_us``. Every pair of at least ``least_jaccard``; the ``most_references`` most similar ones of a block
          have a delta.
    """
    contents = [version.content for version in versions]
    names = [_pseudonym(f"block {row}", sketch.key) for row in range(len(versions))]
    cells, sketch_us = _timed_sketches(contents, sketch)
    random = np.random.default_rng([seed, 1])
    rows: list[dict[str, Any]] = []
    compressed: list[tuple[int | None, float | None]] = []
    pairs = _pairs(exact_jaccard(contents), limits)
    progress = tqdm(total=len(contents) + len(pairs), desc="deltas", unit="delta", mininterval=2)
    for row, content in enumerate(contents):
        packed, plain_us = _timed(partial(delta_compression.plain, content))
        drawn = int(random.integers(row)) if row else 0
        rows.append(
            {
                "plain_bytes": len(packed),
                "previous_bytes": len(delta_compression.delta(content, contents[row - 1])) if row else len(packed),
                "random_bytes": len(delta_compression.delta(content, contents[drawn])) if row else len(packed),
                "plain_us": plain_us,
            }
        )
        progress.update()
    for row, reference, measured in zip(pairs["row"], pairs["of"], pairs["measured"], strict=True):
        if measured:
            packed, delta_us = _timed(partial(delta_compression.delta, contents[row], contents[reference]))
            compressed.append((len(packed), delta_us))
        else:
            compressed.append((None, None))
        progress.update()
    progress.close()
    blocks = pd.DataFrame(
        {
            "block": names,
            "lineage": [_pseudonym(f"lineage {version.lineage}", sketch.key) for version in versions],
            "ts": [version.ts for version in versions],
            "kind": [version.kind for version in versions],
            "size": [len(content) for content in contents],
            "digest": [digest_of(content, sketch.key) for content in contents],
            "sketch": encode(cells),
        }
    )
    blocks = pd.concat([blocks, pd.DataFrame(rows)], axis=1).assign(sketch_us=sketch_us)
    deltas = pd.DataFrame(compressed, columns=["delta_bytes", "delta_us"])
    table = pd.DataFrame(
        {
            "block": np.array(names, dtype=object)[pairs["row"]],
            "reference": np.array(names, dtype=object)[pairs["of"]],
            "jaccard": pairs["jaccard"].round(4),
            "delta_bytes": deltas["delta_bytes"].astype("Int64"),
            "delta_us": deltas["delta_us"].astype("float32").round(1),
        }
    )
    logger.info("Measured %d blocks and %d pairs.", len(blocks), len(table))
    return blocks, table


def _versions(collection: DeduplicationCollection, seed: int) -> list[Version]:
    files = find_files(collection.folder, collection.suffixes, collection.least_bytes, collection.most_bytes)
    rng = np.random.default_rng(seed)
    chosen = [files[place] for place in rng.permutation(len(files))[: collection.lineages]]
    found: list[Version] = []
    for number, path in enumerate(chosen):
        own = np.random.default_rng([seed, 2, number])
        donor = files[int(own.integers(len(files)))]
        found += edited_versions(path, donor, int(own.integers(1, collection.most_versions + 1)), own)
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    several = [folder for folder, inside in by_folder.items() if len(inside) > 1]
    for place in rng.permutation(len(several))[: collection.folders]:
        inside = by_folder[several[place]]
        start = int(rng.integers(max(len(inside) - collection.files_per_folder, 0) + 1))
        found += similar_files(inside[start : start + collection.files_per_folder], rng)
    # A file's lineage is one, whether it was edited or taken as it is
    own_files = {str(path): str(path.parent) for path in chosen}
    several_chosen = {version.lineage for version in found if version.kind == "similar"}
    merged = [
        version._replace(lineage=own_files[version.lineage])
        if own_files.get(version.lineage) in several_chosen
        else version
        for version in found
    ]
    ordered = sorted(merged, key=lambda version: (version.ts, version.lineage, version.kind))
    # Each in a minute of its own, so that the times alone say which block came first
    moments = np.array([version.ts for version in ordered]) // MINUTE_MS - np.arange(len(ordered))
    moments = (np.maximum.accumulate(moments) + np.arange(len(ordered))) * MINUTE_MS
    return [version._replace(ts=int(ts)) for version, ts in zip(ordered, moments, strict=True)]


def _pairs(jaccard: npt.NDArray[np.float32], limits: PairLimits) -> pd.DataFrame:
    """All pairs that are similar enough, and whether their delta is measured."""
    row, reference = np.nonzero(jaccard >= limits.least_jaccard)
    pairs = pd.DataFrame({"row": row, "of": reference, "jaccard": jaccard[row, reference]})
    place = pairs.groupby("row")["jaccard"].rank(method="first", ascending=False)
    return pairs.assign(measured=place <= limits.most_references)


def _timed_sketches(contents: list[bytes], recipe: SketchRecipe) -> tuple[Any, npt.NDArray[np.float64]]:
    """Sketches, and the time that each took by its share of the bytes."""
    sketch_blocks(contents[:1], recipe)  # compiles
    cells, taken = _timed(lambda: sketch_blocks(contents, recipe))
    sizes = np.array([len(content) for content in contents], dtype=np.float64)
    return cells, (taken * sizes / max(sizes.sum(), 1)).round(1)


def _timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action returns, and the CPU microseconds that it takes."""
    started = time.thread_time_ns()
    found = action()
    return found, round((time.thread_time_ns() - started) / 1000, 1)


def _pseudonym(name: str, key: int) -> str:
    secret = key.to_bytes(8, "little") if key else b""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=ID_LETTERS // 2, key=secret).hexdigest()
