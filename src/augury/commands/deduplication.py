"""`python -m augury predict deduplication FILE ...`: which stored files a file resembles, and what a delta takes."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from augury.errors import UserError
from augury.predictors.block_index import MANIFEST_FILE, BlockIndex, Match
from augury.predictors.deduplication import NearDuplicateIndex
from augury.predictors.delta_compression import delta, plain

DEFAULT_TOP_K = 5


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--index",
    "index_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of an index; without it, each file is looked up among those before it.",
)
@click.option("--add", is_flag=True, help="Add the files to the index, which is created where it is missing.")
@click.option("--remove", is_flag=True, help="Take the files out of the index; they need not exist any more.")
@click.option("--top-k", default=DEFAULT_TOP_K, show_default=True, type=click.IntRange(min=1), help="Matches shown.")
@click.option(
    "--model",
    default="data/06_models/deduplication",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor: an index that there is already keeps its own settings.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file instead of a table.")
def command(
    files: tuple[Path, ...],
    index_folder: Path | None,
    add: bool,
    remove: bool,
    top_k: int,
    model: Path,
    as_json: bool,
) -> None:
    """Find the stored files that FILES (or the files in folders) resemble."""
    if index_folder is None and (add or remove):
        raise UserError("--add and --remove go with --index: without one, nothing is kept.")
    if add and remove:
        raise UserError("--add and --remove exclude each other.")
    if remove and index_folder is not None:
        index = BlockIndex.load(index_folder)
        for path in files:
            index.remove(_name(path))
        index.save(index_folder)
        click.echo(f"Removed {len(files)} file(s); {len(index):,} are left.")
        return
    there = index_folder is not None and (index_folder / MANIFEST_FILE).exists()
    if index_folder is not None and not there and not add:
        raise UserError(f"'{index_folder}' holds no index of blocks. Create it with --add.")
    index = BlockIndex.load(index_folder) if there and index_folder else BlockIndex(_settings(model))
    keeps = add or index_folder is None
    found = [_answer(index, path, top_k, keeps) for path in _files(files)]
    if add and index_folder is not None:
        index.save(index_folder)
    click.echo("\n".join(json.dumps(answer) for answer in found) if as_json else "\n".join(_table(found)))


def _settings(model: Path) -> Any:
    return NearDuplicateIndex.load(model, "deduplication").settings


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(inside for inside in path.rglob("*") if inside.is_file())
        elif path.is_file():
            yield path
        else:
            raise UserError(f"There is no file '{path}'.")


def _name(path: Path) -> str:
    return str(path.resolve())


def _answer(index: BlockIndex, path: Path, top_k: int, keeps: bool) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from None
    name = _name(path)
    matches = [match for match in index.find_similar(content, top_k + 1) if match.block != name][:top_k]
    if keeps:
        if name in index:
            index.remove(name)
        index.add([name], [content])
    alone = len(plain(content))
    return {
        "file": str(path),
        "bytes": len(content),
        "zstd_bytes": alone,
        "matches": [_match(match, content) for match in matches],
    }


def _match(match: Match, content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "block": match.block,
        "similarity": round(match.similarity, 3),
        "identical": match.identical,
        "delta_bytes": None,
    }
    with contextlib.suppress(OSError):  # the index may be all that is left of it
        found["delta_bytes"] = 0 if match.identical else len(delta(content, Path(match.block).read_bytes()))
    return found


def _table(answers: list[dict[str, Any]]) -> Iterator[str]:
    for answer in answers:
        yield f"{answer['file']}: {answer['bytes']:,} bytes, {answer['zstd_bytes']:,} with zstd"
        if not answer["matches"]:
            yield "  resembles nothing that is stored"
        for match in answer["matches"]:
            how = "identical" if match["identical"] else f"similarity {match['similarity']:.3f}"
            size = "" if match["delta_bytes"] is None else f", {match['delta_bytes']:,} bytes as a difference"
            yield f"  {match['block']}: {how}{size}"
