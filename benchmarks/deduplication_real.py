"""Deduplication on real versions of files: recall, precision and bytes saved, with the defaults and with training.

python benchmarks/deduplication_real.py --data FOLDER [--json]

FOLDER holds either versions.tar.zst (members <number>_<name>/<version>), docs.parquet (doc, file_id, version, ts,
bytes) and, where they are there, pairs.parquet (doc_a, doc_b, jaccard5: of shingles of five words) and chunks.parquet
(doc, offset, length, dup); or any files, whose folders are their lineages and whose times of change are their order.

Bars: recall >= 0.99 at J >= 0.8 and >= 0.92 at J >= 0.5 with precision >= 0.90; J is the exact Jaccard similarity of
sets of 8-byte shingles.
"""

import argparse
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics import pair_retrieval
from augury.pipelines.collection.block_sketches import PairLimits, measure_blocks
from augury.pipelines.collection.file_versions import Version
from augury.pipelines.data_engineering.sketched_blocks import BlockSource, BlockSplit, prepare_blocks
from augury.pipelines.evaluation.delta_costs import store_holdout
from augury.pipelines.feature_engineering.sketched_blocks import build_block_features
from augury.pipelines.model_training.minhash_choices import MinHashModel
from augury.pipelines.model_training.minhash_lsh import train_near_duplicates
from augury.predictors.band_index import BandIndex
from augury.predictors.block_index import BlockIndex, IndexSettings, digest_of
from augury.predictors.deduplication import NearDuplicateIndex
from augury.predictors.delta_replay import DeltaRules
from augury.predictors.shingle_sketches import SketchRecipe, decode, estimates, sketch_blocks
from augury.predictors.similar_pairs import known_pairs, similar_pairs, without_identical

BARS = {"recall_0.8": 0.99, "recall_0.5": 0.92, "precision": 0.90}
PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "1970-01-01T00:00:00+00:00", "versions": {}}


def read_versions(folder: Path) -> tuple[list[Version], pd.DataFrame | None]:
    """Versions in the order of time, and the table of documents where the folder has one."""
    if not (folder / "docs.parquet").exists():
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        found = [
            Version(int(path.stat().st_mtime * 1000), str(path.parent), path.suffix or "none", path.read_bytes())
            for path in paths
        ]
        return sorted(found, key=lambda version: version.ts), None
    import zstandard

    with (folder / "versions.tar.zst").open("rb") as packed:
        content = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        texts = {}
        for member in archive.getmembers():
            handle = archive.extractfile(member)
            if handle is not None:
                number, _, version = member.name.removeprefix("./").partition("/")
                texts[int(number.split("_")[0]), int(Path(version).stem)] = handle.read()
    docs = pd.read_parquet(folder / "docs.parquet").sort_values(["ts", "doc"], ignore_index=True)
    versions = [
        Version(ts * 1000, str(file), "source", texts[file, version])
        for ts, file, version in docs[["ts", "file_id", "version"]].to_numpy(dtype=np.int64).tolist()
    ]
    wrong = int((docs["bytes"].to_numpy() != np.array([len(version.content) for version in versions])).sum())
    if wrong:
        raise SystemExit(f"{wrong} of {len(docs)} texts do not have the size that docs.parquet says.")
    return versions, docs


def judge_pairs(blocks: pd.DataFrame, pairs: pd.DataFrame, settings: IndexSettings) -> dict[str, float]:
    """Recall and precision over all pairs of blocks, without those of identical ones."""
    cells = decode(blocks["sketch"].tolist(), settings.sketch.cells)
    found, candidates = similar_pairs(cells, settings.banding, 0.3)
    joined = pair_retrieval.with_truth(without_identical(found, blocks), known_pairs(blocks, pairs))
    near = joined["jaccard"] >= 0.5
    return {
        "pairs_0.5": int(near.sum()),
        "pairs_0.8": int((joined["jaccard"] >= 0.8).sum()),
        "recall_0.8": pair_retrieval.recall(joined, 0.8, settings.threshold),
        "recall_0.5": pair_retrieval.recall(joined, 0.5, settings.threshold),
        "precision": pair_retrieval.precision(joined, 0.5, settings.threshold),
        "candidates": candidates,
    }


def savings(predictor: NearDuplicateIndex, blocks: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, float]:
    """Bytes in time order under every policy, as a share of zstd alone."""
    predictions, facts = store_holdout(predictor, blocks, pairs)
    totals = {name: float(values.sum()) for name, values in predictions.items() if str(name).startswith("cost")}
    alone = totals["cost_baseline_zstd_alone"]
    shares = {str(name).removeprefix("cost_baseline_"): total / alone for name, total in totals.items()}
    return shares | {"bytes_saved_per_cpu_second": facts["bytes_saved_per_cpu_second"], "mb_zstd_alone": alone / 1e6}


def judge_words(versions: list[Version], docs: pd.DataFrame, path: Path) -> dict[str, float]:
    """The pairs of the set itself, whose similarity is that of shingles of five words."""
    pairs = pd.read_parquet(path)
    settings = IndexSettings(sketch=SketchRecipe(words=5))
    cells = sketch_blocks([version.content for version in versions], settings.sketch)
    places = pd.Series(np.arange(len(docs)), index=docs["doc"])
    left, right = (places.loc[pairs[name]].to_numpy() for name in ("doc_a", "doc_b"))
    keys = BandIndex(settings.banding, settings.sketch.cells).keys(cells)
    shared = (keys[left] == keys[right]).any(axis=1)
    estimate = np.where(shared, estimates(cells, left, right), -1)
    truth = pairs["jaccard5"].to_numpy()
    taken = estimate >= settings.threshold
    return {
        "pairs": len(pairs),
        "recall_0.8": float(taken[truth >= 0.8].mean()),
        "recall_0.5": float(taken[truth >= 0.5].mean()),
        "precision": float((truth[taken] >= 0.5).mean()),
    }


def judge_chunks(versions: list[Version], docs: pd.DataFrame, path: Path) -> dict[str, float]:
    """Whether identical chunks are recognised in the order of their arrival, by the digest alone."""
    chunks = pd.read_parquet(path)
    texts = dict(zip(docs["doc"], (version.content for version in versions), strict=True))
    digests = [
        digest_of(texts[doc][offset : offset + length], 1)
        for doc, offset, length in chunks[["doc", "offset", "length"]].to_numpy(dtype=np.int64).tolist()
    ]
    again = pd.DataFrame({"method": chunks["method"], "digest": digests}).duplicated().to_numpy()
    return {"chunks": len(chunks), "agreement": float((again == chunks["dup"].to_numpy().astype(bool)).mean())}


def by_training(blocks: pd.DataFrame, pairs: pd.DataFrame, sketch: SketchRecipe, share: float) -> dict[str, Any]:
    """Choose on some lineages, judge on the others."""
    primary, kept, report = prepare_blocks(blocks, pairs, BlockSource(), BlockSplit(holdout_share=share), 42)
    train, train_pairs, held, held_pairs, _ = build_block_features(primary, kept, sketch)
    predictor, account = train_near_duplicates(train, train_pairs, report, {}, sketch, MinHashModel(), 42, PROVENANCE)
    return {
        "chosen": account["chosen"],
        "lineages": report["lineages"],
        **judge_pairs(held, held_pairs, predictor.settings),
        **savings(predictor, held, held_pairs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--references", type=int, default=96, help="Deltas measured for a block, at most.")
    parser.add_argument("--holdout", type=float, default=0.5, help="Share of the lineages that judge a training.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    versions, docs = read_versions(arguments.data)
    settings = IndexSettings()
    started = time.process_time()
    limits = PairLimits(least_jaccard=0.1, most_references=arguments.references)
    blocks, pairs = measure_blocks(versions, limits, settings.sketch, 42)
    found: dict[str, Any] = {"blocks": len(blocks), "lineages": int(blocks["lineage"].nunique())}
    found["mb"] = blocks["size"].sum() / 1e6
    found["measuring_cpu_s"] = time.process_time() - started
    found["defaults"] = judge_pairs(blocks, pairs, settings)
    first = ~blocks["digest"].duplicated()
    contents = [version.content for version, kept in zip(versions, first, strict=True) if kept]
    index = BlockIndex.build(((str(row), content) for row, content in enumerate(contents)), settings)
    started = time.process_time()
    index.find_many(contents, 10)
    found["queries_per_s"] = len(contents) / (time.process_time() - started)
    cases = blocks.assign(**{"group": blocks["lineage"]})
    metadata: Any = type("Described", (), {"data": type("Rows", (), {"rows": 0})})
    predictor = NearDuplicateIndex(metadata, BlockIndex(settings), settings.sketch, DeltaRules())
    found["in_time_order"] = savings(predictor, cases, pairs)
    try:
        found["trained"] = by_training(blocks, pairs, settings.sketch, arguments.holdout)
    except ValueError as error:
        found["trained"] = {"refused": str(error)}
    for name, judge in (("pairs", judge_words), ("chunks", judge_chunks)):
        path = arguments.data / f"{name}.parquet"
        if docs is not None and path.exists():
            found[name] = judge(versions, docs, path)
    if arguments.json:
        print(json.dumps(found, indent=1, default=float))
        return
    for name, part in found.items():
        if isinstance(part, dict):
            print(name)
            for key, value in part.items():
                bar = f"  (bar {BARS[key]})" if key in BARS else ""
                print(f"  {key:28} {value:.4f}{bar}" if isinstance(value, float) else f"  {key:28} {value}{bar}")
        else:
            print(f"{name:30} {part:,.1f}")


if __name__ == "__main__":
    main()
