"""`python -m augury predict taxonomy FILE`: which codes belong to a text, and how probable are they?"""

import io
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors.taxonomy import TextClassifier

TEXT = "text"
IDENTIFIERS = ("sample_id", "document_id", "id")
TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq")
WRITTEN = (".jsonl", ".csv", ".parquet")
SHOWN = 60
"""Characters of a text in its heading."""


@click.command()
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--limit", type=click.IntRange(min=1), help="Show so many of the most probable codes, given or not.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Show the codes from this probability on, in place of those given."
)
@click.option(
    "--model",
    default="data/06_models/taxonomy",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per text instead of a table.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead: .jsonl, .csv or .parquet."
)
def command(
    file: str, limit: int | None, threshold: float | None, model: Path, as_json: bool, out: Path | None
) -> None:
    """Give the text of FILE (default: standard input) its codes.

    A table of texts (CSV, Parquet, JSON, JSON lines, with a column `text`) is answered text by text.
    """
    if out is not None and out.suffix.lower() not in WRITTEN:
        raise UserError(f"'{out}' cannot be written: its name has to end with {', '.join(WRITTEN)}.")
    single = file == "-" or Path(file).suffix.lower() not in TABLES
    texts = _read_text(file) if single else _read_table(file)
    predictor = TextClassifier.load(model, "taxonomy")
    found = answers(predictor, texts, limit, threshold)
    if out is not None:
        _write(found, out)
        click.echo(f"{len(found):,} texts in '{out}'")
        return
    for number, answer in enumerate(found):
        if as_json:
            click.echo(json.dumps(answer, ensure_ascii=False))
        else:
            heading = [] if single else [f"{answer['id']}: {_shortened(texts[TEXT].iloc[number])}"]
            click.echo("\n".join([*([""] if number else []), *heading, *_lines(answer)]))


def answers(
    predictor: TextClassifier, texts: pd.DataFrame, limit: int | None, threshold: float | None
) -> list[dict[str, Any]]:
    """Say which codes texts have.

    Args:
        predictor: The predictor.
        texts: ``id`` and ``text``.
        limit: The largest number of codes; None: any.
        threshold: The smallest probability of a code; None: as the predictor decides, or without one where there is a
            limit.

    Returns:
        For each text ``id`` and ``codes``, a list of ``code, label, probability, given``, the most probable first.
    """
    probabilities = np.asarray(predictor.probabilities(texts[TEXT].tolist()), dtype=np.float64)
    given = predictor.decide(probabilities)
    shown = given if threshold is None and limit is None else probabilities >= (threshold or 0.0)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    found = []
    for name, row, own, inside, places in zip(texts["id"], probabilities, given, shown, order, strict=True):
        chosen = places[inside[places]][:limit]
        found.append(
            {
                "id": name,
                "codes": [
                    {
                        "code": predictor.codes[place],
                        "label": predictor.labels[place],
                        "probability": round(float(row[place]), 5),
                        "given": bool(own[place]),
                    }
                    for place in chosen
                ],
            }
        )
    return found


def _name(file: str) -> str:
    return "the standard input" if file == "-" else f"'{file}'"


def _content(file: str) -> bytes:
    with click.open_file(file, "rb") as stream:
        content: bytes = stream.read()
    return content


def _read_text(file: str) -> pd.DataFrame:
    content = _content(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is {content[error.start]:#04x}"
        raise UserError(f"The text of {_name(file)} is not UTF-8: {byte}.") from None
    if not text.strip():
        raise UserError(f"There is no text in {_name(file)}.")
    return pd.DataFrame({"id": ["1" if file == "-" else Path(file).name], TEXT: [text]})


def _read_table(file: str) -> pd.DataFrame:
    content, suffix = _content(file), Path(file).suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            table = pd.read_parquet(io.BytesIO(content))
        elif suffix in (".csv", ".tsv"):
            separator = "\t" if suffix == ".tsv" else ","
            # All columns are text: an identifier 007 stays what it is
            table = pd.read_csv(
                io.BytesIO(content), dtype=str, sep=separator, encoding="utf-8-sig", keep_default_na=False
            )
        else:
            table = pd.DataFrame(_records(content.decode("utf-8-sig")))
    except (ValueError, OSError, AttributeError, TypeError) as error:  # of JSON, of UTF-8, of pandas, of Arrow
        raise UserError(f"{_name(file)} cannot be read: {str(error).splitlines()[0]}") from None
    if table.empty:
        raise UserError(f"There is no text in {_name(file)}.")
    columns = [str(name) for name in table.columns]
    if TEXT not in columns:
        raise UserError(f"{_name(file)} has no column '{TEXT}'. {near_matches(TEXT, columns)}")
    wrong = ~table[TEXT].map(lambda value: isinstance(value, str)).astype(bool)
    if wrong.any():
        at = int(wrong.to_numpy().argmax())
        raise UserError(
            f"{_name(file)}: column '{TEXT}' must be text: {int(wrong.sum())} of {len(table)} rows break this, for "
            f"example {table[TEXT].tolist()[at]!r} in row {at}."
        )
    identifier = next((name for name in IDENTIFIERS if name in columns), None)
    numbers = [str(number) for number in range(1, len(table) + 1)]
    names = numbers if identifier is None else table[identifier].astype(str).tolist()
    return pd.DataFrame({"id": names, TEXT: table[TEXT].tolist()})


def _records(text: str) -> list[Any]:
    """A list of objects, an object with ``samples`` or ``documents``, or one object per line."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(found, dict):
        found = found.get("samples", found.get("documents", [found]))
    if not isinstance(found, list):
        raise ValueError("it must hold objects, or a list of them")
    return [record if isinstance(record, dict) else {TEXT: record} for record in found]


def _lines(answer: dict[str, Any]) -> list[str]:
    if not answer["codes"]:
        return ["  no code"]
    width = max(len("code"), *(len(one["code"]) for one in answer["codes"]))
    longest = max(len("label"), *(len(one["label"]) for one in answer["codes"]))
    rows = [f"  {'code'.ljust(width)}  {'label'.ljust(longest)}  probability"]
    for one in answer["codes"]:
        mark = "" if one["given"] else "  (not given)"
        rows.append(f"  {one['code'].ljust(width)}  {one['label'].ljust(longest)}  {one['probability']:11.3f}{mark}")
    return rows


def _shortened(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."


def _write(found: list[dict[str, Any]], out: Path) -> None:
    if out.suffix.lower() == ".jsonl":
        lines = (json.dumps(answer, ensure_ascii=False) for answer in found)
        out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return
    rows = pd.DataFrame(
        [{"id": answer["id"], **one} for answer in found for one in answer["codes"]],
        columns=["id", "code", "label", "probability", "given"],
    )
    if out.suffix.lower() == ".csv":
        rows.to_csv(out, index=False)
    else:
        rows.to_parquet(out, index=False)
