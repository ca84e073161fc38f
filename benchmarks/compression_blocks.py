"""Which codec for a block, on tables of measured blocks of other origin: trained on one, judged on another.

    python benchmarks/compression_blocks.py --train blocks_64k.parquet --test blocks_16k.parquet
    python benchmarks/compression_blocks.py --train blocks_64k.parquet            # folds by lineage instead
    python benchmarks/compression_blocks.py --train blocks_64k.parquet --corpus corpus=calgary,canterbury,loghub

A table has a row per block: its size, any numbers that describe its bytes, and ``<codec>_bytes``, ``<codec>_cus``,
``<codec>_dus`` (CPU microseconds) for any codecs; or a row per block and codec. Names are parameters (``--source``).
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.data_engineering.measured_block_sources import BlockSource, read_blocks
from augury.pipelines.data_engineering.measured_blocks import clean_blocks
from augury.pipelines.feature_engineering.measured_blocks import BlockFeatures, describe_layout
from augury.pipelines.model_training.codec_baselines import CodecBaselines, predict_codec_baselines
from augury.pipelines.model_training.codec_choice import CompressionModel, train_codec_choice
from augury.predictors.codec_accuracy import incompressible_auc, share_r2
from augury.predictors.codec_costs import LINK, Contexts, costs_of, crossed, outcome_array
from augury.predictors.compression import KB, CodecChooser, complete

PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "", "versions": {}}
LINKS = (1.0, 3.0, 10.0, 40.0, 80.0, 125.0, 250.0, 400.0, 800.0, 1250.0)


def prepare(path: Path, source: BlockSource) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table; its complete blocks, and a report with the names of codecs and statistics."""
    table, codecs, report = clean_blocks(read_blocks(pd.read_parquet(path), source), source)
    return table, report | {"codecs": list(codecs)}


def train(
    blocks: pd.DataFrame, report: dict[str, Any], contexts: Contexts, model: CompressionModel, seed: int
) -> tuple[CodecChooser, dict[str, Any]]:
    """Train on prepared blocks; the predictor, and what its own folds say."""
    layout = describe_layout(blocks, report, BlockFeatures()).model_dump(mode="json")
    predictor, _, training = train_codec_choice(blocks, layout, {}, model, contexts, seed, PROVENANCE)
    return predictor, training


def judge(
    predictor: CodecChooser, train_blocks: pd.DataFrame, blocks: pd.DataFrame, contexts: Contexts
) -> dict[str, Any]:
    """Replay a predictor on blocks that it was not trained on, in every context."""
    cases = crossed(blocks, contexts)
    cases["case"] = cases["block"] + " " + cases[LINK].map("{:g}".format)
    found = predictor.replay(cases)
    layout = predictor.specification.layout.model_dump(mode="json")
    rules = predict_codec_baselines(train_blocks, cases, layout, contexts, CodecBaselines())
    oracle = costs_of(outcome_array(cases, predictor.codecs), cases[LINK].to_numpy()).min(axis=1) * cases[LINK] / KB
    rows = []
    for link in contexts.link_mbps:
        inside = (cases[LINK] == link).to_numpy()
        best = oracle[inside].sum()
        columns = {"table": found["cost_table"], "inline": found["cost"], "at_leisure": found["cost_at_leisure"]}
        columns |= {
            name.removeprefix("cost_baseline_"): rules[name] for name in map(str, rules) if name.startswith("cost_")
        }
        regrets = {name: float(values[inside].sum() / best - 1) for name, values in columns.items()}
        rows.append({"link_mbps": link, **regrets, "looked": float(found["looked"][inside].mean())})
    once = complete(crossed(blocks, Contexts(link_mbps=(1.0,))), predictor.specification.layout)
    actual, predicted = outcome_array(blocks, predictor.codecs), predictor.outcomes(once)
    return {
        "links": rows,
        "share_r2": share_r2(predicted, actual, predictor.codecs),
        "incompressible_auc": incompressible_auc(predicted, actual),
    }


def show(title: str, links: list[dict[str, Any]]) -> None:
    """Print regrets in percent."""
    print(f"\n{title}: regret over the oracle in %")
    print(pd.DataFrame(links).set_index("link_mbps").mul(100).round(2).to_string())


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", "--data", type=Path, required=True, help="table to train on")
    parser.add_argument("--test", type=Path, help="table to judge on; blocks with the same content are left out of it")
    parser.add_argument("--corpus", help="COLUMN=a,b: judge on the rows with these values instead, train on the others")
    parser.add_argument("--links", type=float, nargs="+", default=LINKS, help="bandwidths (MB/s)")
    parser.add_argument("--source", default="{}", help="parameters of BlockSource as JSON")
    parser.add_argument("--model", default="{}", help="parameters of CompressionModel as JSON")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    source = BlockSource.model_validate(json.loads(arguments.source))
    model = CompressionModel.model_validate(json.loads(arguments.model))
    contexts = Contexts(link_mbps=tuple(arguments.links))
    begun = time.process_time()
    blocks, report = prepare(arguments.train, source)
    print(
        f"{len(blocks)} blocks, {blocks['lineage'].nunique()} lineages; codecs {report['codecs']}; {report['numbers']}"
    )
    others = None
    if arguments.corpus:
        column, _, values = arguments.corpus.partition("=")
        apart = pd.read_parquet(arguments.train)[column].isin(values.split(","))
        parts = []
        for inside in (apart, ~apart):
            part = read_blocks(pd.read_parquet(arguments.train)[inside], source)
            parts.append(clean_blocks(part, source)[0])
        others, blocks = parts
    elif arguments.test:
        others, found = prepare(arguments.test, source)
        shared = [codec for codec in report["codecs"] if codec in found["codecs"]]
        report = report | {"codecs": shared}
        # Files of the first table that are in the second too would make it no other corpus
        others = others[~others["lineage"].isin(blocks["lineage"])].reset_index(drop=True)
        print(f"judged on {len(others)} blocks of {others['lineage'].nunique()} other lineages; codecs {shared}")
    predictor, training = train(blocks, report, contexts, model, arguments.seed)
    show(f"folds by lineage ({model.folds})", training["links"])
    for name in ("r2_share", "r2_share_least", "incompressible_auc"):
        print(f"  {name}: {training['mean'][name]} +- {training['spread'][name]}")
    if others is not None and len(others):
        result = judge(predictor, blocks, others, contexts)
        show("judged on the others", result["links"])
        print("  share R2:", {name: round(value or np.nan, 3) for name, value in result["share_r2"].items()})
        print("  incompressible AUC:", result["incompressible_auc"])
    print(f"{time.process_time() - begun:.1f} s of CPU")


if __name__ == "__main__":
    main()
