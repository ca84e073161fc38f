"""`python -m augury predict compression FILE --link-mbps 125`: which codec for the blocks of these files?"""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors import load_predictor
from augury.predictors.block_statistics import STATISTICS, cut, sample_blocks
from augury.predictors.codec_costs import LINK, PRICE, READS
from augury.predictors.compression import CodecChooser

KIB = 1024


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--link-mbps", type=click.FloatRange(min=1e-3), required=True, help="Bandwidth of the link (MB/s).")
@click.option("--cpu-price", type=click.FloatRange(min=1e-3), default=1.0, show_default=True, help="Of CPU time.")
@click.option(
    "--reads", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Decompressions of a block."
)
@click.option("--block-kib", type=click.IntRange(min=1), default=64, show_default=True, help="Size of a block (KiB).")
@click.option("--inline", is_flag=True, help="Count the time of the decision: look at a block only where that pays.")
@click.option(
    "--model",
    default="data/06_models/compression",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per block instead of a summary by file.")
def command(
    files: tuple[Path, ...],
    link_mbps: float,
    cpu_price: float,
    reads: float,
    block_kib: int,
    inline: bool,
    model: Path,
    as_json: bool,
) -> None:
    """Choose a codec for every block of some files, and say what it will cost."""
    predictor = load_predictor(model, "compression")
    if not isinstance(predictor, CodecChooser):
        raise UserError(f"'{model}' holds a predictor of family '{predictor.metadata.family}', no chooser of codecs.")
    strange = [name for name in predictor.specification.layout.numbers if name not in STATISTICS]
    if len(strange) == len(predictor.specification.layout.numbers):
        raise UserError(
            f"'{model}' was trained on statistics that this command does not compute, such as '{strange[0]}'. Train it "
            "on blocks measured by: kedro run --pipelines=collection --namespaces=compression"
        )
    context = {LINK: link_mbps, PRICE: cpu_price, READS: reads}
    chosen = "codec" if inline else "codec_at_leisure"
    for path in files:
        blocks = _blocks(path, block_kib * KIB).assign(**context)
        answers = predictor.predict(blocks)
        if as_json:
            for place, row in enumerate(answers.to_dict("records")):
                click.echo(
                    json.dumps({"file": str(path), "block": place, "size": int(blocks["size"].iloc[place]), **row})
                )
        elif len(blocks):
            click.echo("\n".join(_lines(path, blocks, answers, chosen)))
        else:
            click.echo(f"{path.name}: empty")


def _blocks(path: Path, block_size: int) -> pd.DataFrame:
    if path.stat().st_size == 0:
        return sample_blocks(np.zeros(0, np.uint8), [], [])
    data = np.memmap(path, dtype=np.uint8, mode="r")
    return sample_blocks(data, *cut(len(data), block_size))


def _lines(path: Path, blocks: pd.DataFrame, answers: pd.DataFrame, chosen: str) -> list[str]:
    sizes = blocks["size"].to_numpy()
    usual, best = answers["cost_table_us"].sum() / 1000, answers["cost_us"].sum() / 1000
    lines = [f"{path.name}: {len(blocks):,} blocks, {sizes.sum():,} bytes"]
    shares: dict[Any, float] = (
        pd.Series(sizes).groupby(answers[chosen].to_numpy()).sum().sort_values(ascending=False) / sizes.sum()
    ).to_dict()
    lines += [f"  {codec:<12} {share:6.1%} of the bytes" for codec, share in shares.items()]
    stored = (answers["stored_share"] * sizes).sum() / sizes.sum()
    lines.append(f"  about {stored:.0%} of the bytes are left; {best:,.1f} ms of CPU and link")
    lines.append(f"  the table's {answers['codec_table'].iloc[0]} for all of them: {usual:,.1f} ms")
    hopeless = float((answers["least_share"] >= 0.95).mean())
    if hopeless:
        lines.append(f"  {hopeless:.0%} of the blocks cannot be made smaller")
    return lines
