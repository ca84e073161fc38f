"""`python -m augury predict food_waste`: one answer per item, whatever the file; mistakes in one line."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError


@pytest.fixture(scope="session")
def waste_model(trained_waste, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "food_waste"
    trained_waste.predictor.save(folder)
    return folder


@pytest.fixture
def ask(waste_model):
    """A function that runs the command in this process."""

    def run(*arguments: str, given: str | None = None):
        command = ["predict", "food_waste", "--model", str(waste_model), *arguments]
        return CliRunner().invoke(cli, command, input=given, catch_exceptions=False)

    return run


@pytest.fixture
def items(waste_tables, trained_waste):
    names = ["purchase_id", *(column.name for column in trained_waste.predictor.metadata.inputs)]
    return waste_tables.purchases.tail(4)[names].reset_index(drop=True)


def answers(done) -> list[dict]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "jsonl"])
def test_every_kind_of_file_gets_the_predictors_answers(kind, ask, items, trained_waste, tmp_path):
    path = tmp_path / f"items.{kind}"
    match kind:
        case "csv":
            items.to_csv(path, index=False)
        case "parquet":
            items.to_parquet(path)
        case _:
            items.to_json(path, orient="records", date_format="iso", lines=kind == "jsonl")
    found = answers(ask(str(path), "--json"))
    expected = trained_waste.predictor.predict(items)
    assert [answer["item"] for answer in found] == items["purchase_id"].tolist()
    assert [answer["probability"] for answer in found] == pytest.approx(expected["probability"].tolist(), abs=1e-9)
    assert [answer["days_to_waste"] for answer in found] == pytest.approx(expected["days_to_waste"].tolist(), rel=1e-9)
    assert [answer["is_wasted"] for answer in found] == expected["is_wasted"].tolist()


def test_a_table_from_standard_input(ask):
    given = (
        "household_id,purchased_at,category,shelf_life_days\n007,2026-02-03T10:00:00,dairy,9\nnew,2026-02-03,meat,\n"
    )
    done = ask("--operating-point", "half", given=given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split()[:3] == ["item", "household", "category"]
    assert lines[1].split()[:3] == ["1", "007", "dairy"]
    assert "(probability >= 0.500, half)" in lines[-1]
    low, high = lines[1].split("(")[1].rstrip(")").split(" to ")
    assert 0 <= float(low) <= float(high)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("household_id,purchased_at\nh,2026-02-03\n", "required column missing: 'category'"),
        ("household_id,purchased_at,category\nh,yesterday,dairy\n", "must be a time in ISO 8601"),
        ("household_id,purchased_at,category\nh,2026-02-03,sweets\n", "column 'category' must be one of dairy"),
        ("household_id,purchased_at,category\n", "There is no item in the standard input"),
        ("", "There is no item in the standard input"),
        ("[{", "the standard input cannot be read"),
    ],
)
def test_mistakes_are_named(ask, given, message):
    with pytest.raises(UserError, match=message):
        ask(given=given)


def test_an_unknown_operating_point_comes_with_those_that_there_are(ask):
    with pytest.raises(UserError, match="f1_optimal"):
        ask("--operating-point", "f1", given="household_id,purchased_at,category\nh,2026-02-03,dairy\n")


def test_the_threshold_decides(ask, items, trained_waste, tmp_path):
    path = tmp_path / "items.csv"
    items.to_csv(path, index=False)
    for point, threshold in trained_waste.predictor.operating_points.items():
        for answer in answers(ask(str(path), "--json", "--operating-point", point)):
            assert answer["is_wasted"] == (answer["probability"] >= threshold)
            assert answer["threshold"] == threshold
    assert np.isfinite(pd.DataFrame(answers(ask(str(path), "--json")))["days_upper"]).all()
