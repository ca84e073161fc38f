"""Purchases go into PostgreSQL and come back as they were."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from load_purchases import load_purchases, main
from pandas.testing import assert_frame_equal

from augury.datasets.adbc_query import ADBCQueryDataset
from augury.errors import UserError

EVERYTHING = "SELECT * FROM purchases WHERE purchased_at >= $1 AND purchased_at < $2 ORDER BY purchased_at, purchase_id"


def read(database):
    return ADBCQueryDataset(sql=EVERYTHING, credentials={"con": database.uri}).load()


def as_csv(purchases, path):
    purchases.to_csv(path, index=False)


def as_parquet(purchases, path):
    purchases.to_parquet(path, index=False)


@pytest.mark.parametrize("write", [as_parquet, as_csv])
def test_every_value_and_type_comes_back(purchases, database, tmp_path, write):
    path = tmp_path / f"purchases.{write.__name__.removeprefix('as_')}"
    write(purchases, path)
    assert load_purchases(path, database.uri) == {"read": 300, "added": 300, "updated": 0, "unchanged": 0}
    assert_frame_equal(read(database)[list(purchases.columns)], purchases, check_exact=True)


def test_loading_again_changes_nothing_and_a_correction_one_row(purchases, database, tmp_path):
    path = tmp_path / "purchases.parquet"
    purchases.to_parquet(path)
    load_purchases(path, database.uri)
    assert load_purchases(path, database.uri) == {"read": 300, "added": 0, "updated": 0, "unchanged": 300}

    corrected = purchases[["purchase_id", "household_id", "purchased_at", "category", "outcome"]].copy()
    corrected.loc[7, "outcome"] = "wasted" if purchases.loc[7, "outcome"] != "wasted" else None
    corrected = pd.concat([corrected, corrected.tail(1).assign(purchase_id="new")], ignore_index=True)
    corrected.to_parquet(path)
    assert load_purchases(path, database.uri) == {"read": 301, "added": 1, "updated": 1, "unchanged": 299}
    after = read(database).set_index("purchase_id")
    before = purchases.set_index("purchase_id")
    assert_frame_equal(
        after.loc[before.index, before.columns].drop(columns="outcome"),
        before.drop(columns="outcome"),
        check_exact=True,
    )
    assert after.loc[purchases.loc[7, "purchase_id"], "outcome"] == corrected.loc[7, "outcome"]


def test_booleans_categories_nanoseconds_zones_and_whole_numbers_fit(purchases, database, tmp_path):
    frame = purchases.assign(
        is_bulk=purchases["is_bulk"] == 1,
        household_size=purchases["household_size"].astype("int32"),
        category=purchases["category"].astype("category"),
        purchased_at=purchases["purchased_at"]
        .astype("datetime64[ns]")
        .dt.tz_localize("UTC")
        .dt.tz_convert("Asia/Tokyo"),
    )
    frame.to_parquet(tmp_path / "purchases.parquet")
    load_purchases(tmp_path / "purchases.parquet", database.uri)
    assert_frame_equal(
        read(database)[list(purchases.columns)],
        purchases.assign(is_bulk=frame["is_bulk"].astype(float)),
        check_exact=True,
    )


def refused(purchases, database, path, match):
    purchases.to_parquet(path)
    with pytest.raises(UserError, match=match) as refusal:
        load_purchases(path, database.uri)
    assert "\n" not in str(refusal.value)
    assert database.query("SELECT count(*) FROM purchases") == [(0,)]


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("price", -1.0, "purchases_price_check"),
        ("price", np.inf, "purchases_price_check"),
        ("discount", 1.5, "purchases_discount_check"),
        ("outcome", "lost", "purchases_outcome_check"),
        ("is_planned", 0.5, "purchases_is_planned_check"),
        ("resolved_at", pd.Timestamp("1999-01-01"), "purchases_check"),
        ("household_id", None, 'null value in column "household_id"'),
        ("purchase_id", "p0001", "'p0001' is there 2 times"),
    ],
)
def test_a_row_that_breaks_a_rule_keeps_the_whole_file_out(purchases, database, tmp_path, column, value, match):
    frame = purchases.copy()
    frame.loc[250, column] = value
    refused(frame, database, tmp_path / "purchases.parquet", match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda frame: frame.assign(flavour="sweet"), "column flavour, which the table has not"),
        (lambda frame: frame.drop(columns="purchase_id"), "lacks the column purchase_id"),
        (lambda frame: frame.assign(price="cheap"), "column 'price' must be double"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(purchases, database, tmp_path, change, match):
    refused(change(purchases), database, tmp_path / "purchases.parquet", match)


def test_the_command_says_what_it_did_and_hides_no_mistake(purchases, database, tmp_path):
    path = tmp_path / "purchases.parquet"
    purchases.to_parquet(path)
    done = CliRunner().invoke(main, [str(path)], env={**database.environment, "AUGURY_DATABASE": None})
    assert done.exit_code == 0, done.output
    assert done.output.strip() == (
        f"{database.socket}/{database.name}, purchases: 300 read, 300 added, 0 updated, 0 unchanged"
    )
    done = CliRunner().invoke(main, [str(tmp_path / "missing.csv")], env={"AUGURY_DATABASE": database.uri})
    assert done.exit_code == 1
    assert "must be an existing .parquet or .csv file" in done.output


def test_the_schema_can_be_applied_twice(database, schema):
    database.query(schema)
    indexes = {row[0] for row in database.query("SELECT indexname FROM pg_indexes WHERE tablename = 'purchases'")}
    assert indexes == {"purchases_pkey", "purchases_purchased_at", "purchases_household"}


def test_the_script_runs_as_documented(database, purchases, tmp_path, monkeypatch):
    path = tmp_path / "purchases.parquet"
    purchases.to_parquet(path)
    for name, value in {**database.environment}.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "deploy/postgres/load_purchases.py", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "300 added" in done.stdout
