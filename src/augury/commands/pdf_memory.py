"""`python -m augury predict pdf_memory FILE --dpi 150`: how much memory will this job need, and why?"""

import json
import math
from pathlib import Path
from typing import Any

import click
import pandas as pd

from augury.errors import UserError
from augury.predictors import load_predictor
from augury.predictors.bounded_regression import BoundedRegression
from augury.predictors.pdf_memory import CATEGORY, DERIVED
from augury.predictors.pdf_structure import scan_pdfs

TOP = 4
SMALL = 0.05
"""Shares of the prior, and factors this close to 1, are not worth a line."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dpi", type=click.FloatRange(min=1), help="Resolution of the rendering (dots per inch).")
@click.option("--operation", default="render", show_default=True, help="What the job does: render, text, rewrite.")
@click.option(
    "--model",
    default="data/06_models/pdf_memory",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file instead of text.")
def command(files: tuple[Path, ...], dpi: float | None, operation: str, model: Path, as_json: bool) -> None:
    """Predict the peak memory of PDF jobs: the likely value, safe upper bounds, and the reasons."""
    if operation == "render" and dpi is None:
        raise UserError("A rendering needs its resolution, for example --dpi 150.")
    predictor = load_predictor(model, "pdf_memory")
    if not isinstance(predictor, BoundedRegression):
        raise UserError(f"'{model}' holds a predictor of family '{predictor.metadata.family}', not of PDF memory.")
    jobs = scan_pdfs(files)
    jobs[CATEGORY], jobs["dpi"] = operation, math.nan if dpi is None else dpi
    predictions = predictor.predict(jobs)
    reasons = predictor.explain(jobs)
    for row, path in enumerate(files):
        answer = predictions.iloc[row].to_dict()
        if as_json:
            failed = bool(jobs["parse_failed"].iloc[row])
            click.echo(json.dumps({"file": str(path), **answer, "parse_failed": failed, **reasons[row]}))
        else:
            click.echo("\n".join(_lines(path, jobs.iloc[row], answer, reasons[row])))


def _lines(path: Path, job: pd.Series, answer: dict[str, float], reasons: dict[str, Any]) -> list[str]:
    resolution = f" at {job['dpi']:g} dpi" if job[CATEGORY] == "render" else ""
    lines = [f"{path.name}: {job[CATEGORY]}{resolution}", f"  likely      {answer['predicted']:10,.1f} MB"]
    for name, value in answer.items():
        if name.startswith("upper_"):
            lines.append(f"  {name.removeprefix('upper_')} % safe   {value:10,.1f} MB")
    if job["parse_failed"]:
        lines.append("  The file could not be parsed: only its size and header are known.")
    prior, factors = reasons["prior"], reasons["factors"]
    total = sum(prior.values())
    words = {item.name: item.description for item in DERIVED} | {"base": "the engine itself"}
    lines.append("  why:")
    for name, amount in list(prior.items())[:TOP]:
        if amount > SMALL * total:
            lines.append(f"    {amount:10,.1f} MB  {words.get(name, name)}")
    for name, factor in list(factors.items())[:TOP]:
        if abs(math.log(factor)) > SMALL:
            lines.append(f"    x {factor:8.2f}     {name}{_value(job, name)}")
    return lines


def _value(job: pd.Series, name: str) -> str:
    return f" = {job[name]:,.6g}" if name in job.index and not isinstance(job[name], str) else ""
