"""Purchases of an interval, read from a real PostgreSQL in two ways; a hostile date does no harm."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, DatasetError
from load_purchases import load_purchases
from omegaconf.resolvers import oc
from pandas.testing import assert_frame_equal

from augury.datasets.adbc_query import ADBCQueryDataset, connected, read_interval
from augury.errors import UserError, causes

from workspace import make_project, s3_server

REPOSITORY = Path(__file__).parents[2]
HOSTILE = "2024-01-01'; DROP TABLE purchases; --"
SINCE, UNTIL = pd.Timestamp("2024-03-01"), pd.Timestamp("2025-06-01")
QUERY = "SELECT * FROM purchases WHERE purchased_at >= $1 AND purchased_at < $2 ORDER BY purchased_at, purchase_id"


@pytest.fixture
def filled(database, purchases, tmp_path):
    """The database with all purchases."""
    purchases.to_parquet(tmp_path / "purchases.parquet")
    load_purchases(tmp_path / "purchases.parquet", database.uri)
    return database


def catalog_of(env, monkeypatch, runtime_params=None, **environment):
    """The datasets of an environment, as `kedro run` builds them."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    loader = OmegaConfigLoader(
        REPOSITORY / "conf",
        env,
        runtime_params,
        base_env="base",
        default_run_env="local",
        merge_strategy={"globals": "soft"},
        custom_resolvers={"oc.env": oc.env},
    )
    entries = {"food_waste.purchases": loader["catalog"]["food_waste.purchases"]}
    return DataCatalog.from_config(entries, loader["credentials"])


def user_error(failure):
    return next(link for link in causes(failure.value) if isinstance(link, UserError))


def expected(purchases, since=SINCE, until=UNTIL):
    rows = purchases[(purchases["purchased_at"] >= since) & (purchases["purchased_at"] < until)]
    return rows.reset_index(drop=True)


# --- the entry of the production environment ---


@pytest.mark.parametrize("way", ["environment", "parameters", "both"])
def test_production_reads_the_interval_it_is_told(filled, purchases, monkeypatch, way):
    interval = {"since": str(SINCE), "until": str(UNTIL)}
    parameters = {"food_waste": {"source": interval}} if way != "environment" else None
    environment = {f"AUGURY_{name.upper()}": value for name, value in interval.items()}
    if way == "parameters":
        environment = {}
    if way == "both":  # the command line wins
        environment["AUGURY_SINCE"] = "2025-05-01"
    catalog = catalog_of("prod", monkeypatch, parameters, AUGURY_DATABASE=filled.uri, **environment)
    found = catalog["food_waste.purchases"]
    found = found.load()
    assert_frame_equal(found[list(purchases.columns)], expected(purchases), check_exact=True)
    assert 0 < len(found) < len(purchases)


def test_production_reads_everything_from_where_libpq_is_told(filled, purchases, monkeypatch):
    monkeypatch.delenv("AUGURY_DATABASE", raising=False)
    found = catalog_of("prod", monkeypatch, **filled.environment)["food_waste.purchases"].load()
    assert_frame_equal(found[list(purchases.columns)], purchases, check_exact=True)
    unknown = found.drop(columns=list(purchases.columns))
    assert unknown.isna().all(axis=None)
    assert unknown.dtypes["guests"] == np.float64
    assert unknown.dtypes["observed_until"] == "datetime64[us]"


def test_the_interval_is_half_open(filled, purchases):
    first, last = purchases["purchased_at"].iloc[[10, 20]]
    dataset = ADBCQueryDataset(sql=QUERY, since=first, until=last, credentials={"con": filled.sqlalchemy_uri})
    assert list(dataset.load()["purchase_id"]) == [f"p{row:04d}" for row in range(10, 20)]


def test_an_interval_without_rows_has_all_columns(filled, purchases):
    dataset = ADBCQueryDataset(sql=QUERY, since="2099-01-01", credentials={"con": filled.uri})
    empty = dataset.load()
    assert len(empty) == 0
    assert_frame_equal(empty[list(purchases.columns)], purchases.iloc[:0], check_exact=True)


def test_the_query_may_be_in_a_file_and_use_one_bound_often(filled, purchases, tmp_path):
    path = tmp_path / "query.sql"
    path.write_text(
        "SELECT count(*) AS n, min($2) AS until FROM purchases WHERE purchased_at < $2 AND $2 < '2099-01-01'"
    )
    dataset = ADBCQueryDataset(filepath=str(path), until=UNTIL, credentials={"con": filled.uri})
    assert dataset.load().to_dict("records") == [{"n": (purchases["purchased_at"] < UNTIL).sum(), "until": UNTIL}]
    missing = ADBCQueryDataset(filepath=str(tmp_path / "no.sql"), credentials={"con": filled.uri})
    with pytest.raises(DatasetError, match=r"no\.sql', the file with the query, does not exist"):
        missing.load()


def test_types_of_postgresql(filled):
    sql = """SELECT 1::smallint AS small, 2::int AS whole, NULL::bigint AS none, 0.5::real AS half,
        3.25::numeric(9,2) AS digits, 'NaN'::numeric AS nan, NULL::numeric AS no_digits, true AS flag,
        date '2024-02-29' AS day, timestamptz '2024-01-01 00:30+02' AS moment,
        'é'::varchar(3) AS text, '{"a": 1}'::jsonb AS json"""
    found = ADBCQueryDataset(sql=sql, credentials={"con": filled.uri}).load()
    want = pd.DataFrame(
        {
            "small": [1], "whole": [2], "none": [np.nan], "half": [0.5], "digits": [3.25], "nan": [np.nan],
            "no_digits": [np.nan], "flag": [True], "day": pd.Series(["2024-02-29"], dtype="datetime64[us]"),
            "moment": pd.Series(["2023-12-31 22:30"], dtype="datetime64[us]"), "text": ["é"], "json": ['{"a": 1}'],
        }
    )  # fmt: skip
    assert_frame_equal(found, want, check_exact=True)
    strange = ADBCQueryDataset(sql="SELECT gen_random_uuid() AS id", credentials={"con": filled.uri})
    with pytest.raises(DatasetError) as failure:
        strange.load()
    assert re.search(r"Column .id. has the type .*uuid.*id::text", str(user_error(failure)))


# --- hostile and mistaken input ---


@pytest.mark.parametrize("bound", ["since", "until"])
@pytest.mark.parametrize("way", ["environment", "parameters"])
def test_a_hostile_date_does_not_reach_the_server(filled, monkeypatch, bound, way):
    parameters = {"food_waste": {"source": {bound: HOSTILE}}} if way == "parameters" else None
    environment = {f"AUGURY_{bound.upper()}": HOSTILE} if way == "environment" else {}
    # Nobody listens at this address: the refusal comes before a connection
    catalog = catalog_of("prod", monkeypatch, parameters, AUGURY_DATABASE="postgresql://127.0.0.1:9/x", **environment)
    with pytest.raises(DatasetError) as failure:
        catalog["food_waste.purchases"].load()
    assert str(user_error(failure)) == (
        f"{bound} must be a date or a time such as 2024-01-31 or 2024-01-31T12:00:00, not {HOSTILE!r}."
    )


@pytest.mark.parametrize(
    "hostile", [HOSTILE, "x' OR '1'='1", "$2", "'::text", "augury.bound_2", "\\'; SELECT 1; --", "\0"]
)
@pytest.mark.parametrize("bound", ["since", "until"])
def test_a_hostile_date_that_reaches_the_server_is_a_value(filled, purchases, hostile, bound):
    values = {"since": "2024-01-01", "until": "2025-01-01"} | {bound: hostile}
    with pytest.raises(UserError, match="PostgreSQL at ") as refusal:
        read_interval(filled.uri, QUERY, **values)
    assert "\n" not in str(refusal.value)
    assert filled.query("SELECT count(*) FROM purchases") == [(len(purchases),)]


def test_a_transaction_sees_only_its_own_bounds(filled):
    with connected(filled.uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('augury.bound_1', $1, true)", (HOSTILE,))
        assert cursor.fetchall() == [(HOSTILE,)]
        connection.rollback()
        cursor.execute("SELECT nullif(current_setting('augury.bound_1', true), '')")
        assert cursor.fetchall() == [(None,)]


@pytest.fixture(scope="module")
def account(postgresql):
    """A user with a password, on the server whose own user needs none."""
    postgresql.create("accounts")
    postgresql.administrator.query("CREATE ROLE ann LOGIN PASSWORD 'right'")
    postgresql.ask_for_passwords("ann")
    return f"postgresql://ann:{{password}}@/accounts?host={postgresql.socket}"


@pytest.mark.parametrize(
    ("password", "sql", "reason"),
    [
        ("wrong-secret", "SELECT 1", 'FATAL: password authentication failed for user "ann"'),
        ("right", "SELECT * FROM purchases", 'ERROR: relation "purchases" does not exist'),
        ("right", "SELECT FROM WHERE", 'ERROR: syntax error at or near "WHERE"'),
    ],
)
def test_what_the_server_refuses_is_one_line(account, password, sql, reason):
    with pytest.raises(DatasetError) as failure:
        ADBCQueryDataset(sql=sql, credentials={"con": account.format(password=password)}).load()
    message = str(user_error(failure))
    assert f"/accounts: {reason}. " in message
    assert "credentials.yml" in message
    assert "\n" not in message
    assert "secret" not in message


def test_a_database_that_is_not_there(postgresql):
    with pytest.raises(DatasetError) as failure:
        ADBCQueryDataset(
            sql="SELECT 1", credentials={"con": f"postgresql://postgres@/nowhere?host={postgresql.socket}"}
        ).load()
    assert 'FATAL: database "nowhere" does not exist. ' in str(user_error(failure))


# --- Kedro's own dataset ---


@pytest.fixture
def sqlalchemy_entry():
    """The entry that docs/deployment.md shows."""
    text = (REPOSITORY / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(food_waste\.purchases:\n  type: pandas\.SQLQueryDataset.*?)```", text, re.DOTALL)
    return block


def test_the_documented_sqlalchemy_entry_gives_the_same_rows(filled, purchases, sqlalchemy_entry):
    entry = yaml.safe_load(sqlalchemy_entry)["food_waste.purchases"]
    del entry["validator"], entry["metadata"]
    entry["credentials"] = {"con": filled.sqlalchemy_uri}
    entry["load_args"]["params"] = {"since": str(SINCE), "until": str(UNTIL)}
    catalog = DataCatalog.from_config({"purchases": entry})
    found = catalog["purchases"].load()
    fast = ADBCQueryDataset(sql=QUERY, since=SINCE, until=UNTIL, credentials={"con": filled.uri}).load()
    # SQLAlchemy's times are nanoseconds, its empty columns objects; the values are the same
    assert_frame_equal(
        found.astype(fast.dtypes)[list(purchases.columns)], fast[list(purchases.columns)], check_exact=True
    )

    entry["load_args"]["params"] = {"since": HOSTILE, "until": str(UNTIL)}
    with pytest.raises(DatasetError, match="invalid input syntax for type timestamp"):
        DataCatalog.from_config({"purchases": entry})["purchases"].load()
    with psycopg.connect(filled.uri) as connection:
        assert connection.execute("SELECT count(*) FROM purchases").fetchone() == (len(purchases),)


# --- a run ---


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.mark.slow
def test_a_production_run_reads_the_interval_and_writes_to_the_store(database, project):
    sample = REPOSITORY / "data" / "01_raw" / "food_waste" / "purchases.parquet"
    counts = load_purchases(sample, database.uri)
    assert counts["added"] == counts["read"] > 10_000
    times = pd.read_parquet(sample, columns=["purchased_at"])["purchased_at"]
    since, until = times.quantile([0.1, 0.9]).dt.normalize()
    command = ("run", "--pipelines=data_engineering", "--namespaces=food_waste", "--env=prod")
    with s3_server() as s3:
        environment = {**s3.environment, **database.environment}
        bound = f"--params=food_waste.source.since={since.date()}"
        done = project.kedro(*command, bound, **environment, AUGURY_UNTIL=str(until.date()))
        assert done.returncode == 0, done.stderr
        with s3.filesystem().open("s3://lake/03_primary/food_waste/purchases.parquet") as file:
            primary = pd.read_parquet(file)
        assert primary["purchased_at"].between(since, until, inclusive="left").all()
        assert len(primary) == times.between(since, until, inclusive="left").sum()

        failed = {
            "food_waste.purchases: since must be a date or a time such as 2024-01-31": project.kedro(
                *command, **environment, AUGURY_SINCE=HOSTILE
            ),
            "Parameter 'food_waste.source.until": project.kedro(
                *command, f"--params=food_waste.source.until={HOSTILE}", **environment
            ),
        }
    for said, run in failed.items():
        assert run.returncode == 1
        assert said in " ".join(run.stderr.split())
        assert "Traceback" not in run.stderr
    assert database.query("SELECT count(*) FROM purchases") == [(counts["read"],)]
