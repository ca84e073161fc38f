"""`python -m augury predict recommendation USER ...`: which items a user would want, or who would want an item."""

import json
from pathlib import Path
from typing import Any

import click
import pandas as pd

from augury.errors import UserError
from augury.predictors.recommendation import DEFAULT_K, SEPARATOR, Recommender
from augury.predictors.recommendation_answers import (
    HISTORY,
    Answer,
    answer_history,
    answer_new_item,
    answer_user,
)

WRITERS = (".parquet", ".csv", ".jsonl")


@click.command()
@click.argument("users", nargs=-1)
@click.option("--k", default=DEFAULT_K, show_default=True, type=click.IntRange(min=1), help="Length of the lists.")
@click.option("--history", help=f"Items that a new user has turned to, the oldest first, joined by '{SEPARATOR}'.")
@click.option("--new-item", help="Text of an item that nobody knows yet: who would want it, and what it resembles.")
@click.option("--all-users", is_flag=True, help="Recommend to all users of the training; with --out.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the lists: parquet, csv, jsonl.")
@click.option("--allow", help=f"Items to choose among: joined by '{SEPARATOR}', or a file with one per line.")
@click.option("--deny", help=f"Items to leave out: joined by '{SEPARATOR}', or a file with one per line.")
@click.option("--include-seen", is_flag=True, help="Recommend what a user has already turned to, too.")
@click.option(
    "--model",
    default="data/06_models/recommendation",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per list instead of tables.")
def command(
    users: tuple[str, ...],
    k: int,
    history: str | None,
    new_item: str | None,
    all_users: bool,
    out: Path | None,
    allow: str | None,
    deny: str | None,
    include_seen: bool,
    model: Path,
    as_json: bool,
) -> None:
    """Recommend items to USERS; a user that training did not know is shown what is popular."""
    asked = {"USERS": bool(users), "--history": history is not None, "--new-item": new_item is not None}
    asked["--all-users"] = all_users
    given = [name for name, there in asked.items() if there]
    if len(given) != 1:
        found = f"but there are {' and '.join(given)}" if given else "but there is none"
        raise UserError(
            f"Give one of {', '.join(asked)}, {found}. For example: python -m augury predict recommendation u1"
        )
    if (out is None) == all_users:
        raise UserError("--all-users and --out go together: the lists of all users are written into a file.")
    if out is not None and out.suffix.lower() not in WRITERS:
        raise UserError(f"--out: '{out}' must end with one of {', '.join(WRITERS)}.")
    if include_seen and not (users or all_users):
        raise UserError("--include-seen goes with USERS or --all-users.")
    if new_item is not None and (allow is not None or deny is not None):
        raise UserError("--allow and --deny do not go with --new-item.")
    recommender = Recommender.load(model, "recommendation")
    allowed, denied = _items(allow), _items(deny) or []
    if new_item is not None:
        answer = answer_new_item(recommender, new_item, k)
        click.echo(json.dumps(answer) if as_json else "\n".join(_new_item_tables(answer)))
    elif out is not None:
        table = _lists_of_all(recommender, k, allowed, denied, include_seen)
        _write(table, out)
        click.echo(f"{len(table):,} recommendations for {table['user_id'].nunique():,} users are in '{out}'.")
    else:
        answers = (
            [answer_history(recommender, _split(history), k, allowed, denied)]
            if history is not None
            else [answer_user(recommender, user, k, allowed, denied, include_seen) for user in users]
        )
        blocks = [json.dumps(answer) if as_json else "\n".join(_table(answer)) for answer in answers]
        click.echo(("\n" if as_json else "\n\n").join(blocks))


def _split(text: str) -> list[str]:
    return [name for part in text.split(SEPARATOR) if (name := part.strip())]


def _items(given: str | None) -> list[str] | None:
    """Items from a file with one per line, or from the argument itself."""
    if given is None:
        return None
    path = Path(given)
    try:
        if not path.is_file():
            return _split(given)
    except (OSError, ValueError):  # too long for a file's name, or with characters that none has
        return _split(given)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{given}' cannot be read: {error}") from None
    return [name for line in lines if (name := line.strip())]


def _lists_of_all(
    recommender: Recommender, k: int, allow: list[str] | None, deny: list[str], include_seen: bool
) -> pd.DataFrame:
    if allow is None and not deny and not include_seen:
        return recommender.recommend_all(k)
    users = recommender.user_ids.tolist()
    lists = recommender.recommend(users, k, allow, deny, filter_seen=not include_seen)
    rows = [
        (user, rank, item, score)
        for user, found in zip(users, lists, strict=True)
        for rank, (item, score) in enumerate(found, 1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "rank", "item_id", "score"])


def _write(table: pd.DataFrame, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        match path.suffix.lower():
            case ".parquet":
                table.to_parquet(path, index=False)
            case ".csv":
                table.to_csv(path, index=False)
            case _:
                table.to_json(path, orient="records", lines=True)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _table(answer: Answer) -> list[str]:
    who = "a new user" if answer["user_id"] is None else answer["user_id"]
    basis = "by what the user has turned to" if answer["based_on"] == HISTORY else "by popularity"
    rows = [(str(rank), entry["item_id"], f"{entry['score']:.4f}") for rank, entry in enumerate(answer["items"], 1)]
    return [
        f"{who}, {basis}",
        *(f"Note: {note}" for note in answer["notes"]),
        *_aligned(("rank", "item", "score"), rows),
    ]


def _new_item_tables(answer: Answer) -> list[str]:
    users = [(entry["user_id"], f"{entry['place']:,}") for entry in answer["users"]]
    similar = [(entry["item_id"], f"{entry['similarity']:.3f}") for entry in answer["similar_items"]]
    return [
        "Users who would have it highest on their lists",
        *_aligned(("user", "place"), users),
        "",
        "Items that it resembles",
        *_aligned(("item", "similarity"), similar),
    ]


def _aligned(heads: tuple[str, ...], rows: list[Any]) -> list[str]:
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    return [
        "  ".join(
            text.rjust(width) if place == len(heads) - 1 or heads[place] == "rank" else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]
