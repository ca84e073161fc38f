"""A table by date as a catalog entry: round trips, what a killed save leaves, object stores, Spark's own folders."""

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog, DatasetError

from augury.datasets import daily_parquet
from augury.datasets.daily_parquet import DailyParquetDataset
from augury.errors import UserError, causes

DAYS = ["2024-02-28", "2024-02-29", "2024-03-01"]


@pytest.fixture
def table():
    rows = 12
    return pd.DataFrame(
        {
            "text": pd.Series(["ä", None, "\x00", ""] * 3, dtype=object),
            "date": [DAYS[row % 3] for row in range(rows)],
            "number": np.linspace(0, 1, rows),
            "small": np.arange(rows, dtype=np.float32),
            "missing": [np.nan, 1.0] * 6,
            "whole": np.arange(rows),
            "flag": [True, False] * 6,
            "time": pd.date_range("2024-02-28", periods=rows, freq="h").astype("datetime64[us]"),
            "empty": pd.Series([None] * rows, dtype=object),
            "sparse": pd.Series([None] * (rows - 1) + ["x"], dtype=object),
        }
    )


@pytest.fixture(params=["local", "store"])
def filepath(request, tmp_path):
    yield str(tmp_path / "03_primary" / "log") if request.param == "local" else "memory://lake/03_primary/log"
    fsspec.filesystem("memory").store.clear()


def by_day(frame):
    return frame.sort_values("date", kind="stable", ignore_index=True)


def files(filepath):
    if filepath.startswith("memory://"):
        names = fsspec.filesystem("memory").store
    else:
        names = fsspec.filesystem("file").find(filepath)
    return sorted(name.split("/log/")[1] for name in names)


def test_rows_values_types_and_columns_survive(filepath, table):
    before = table.copy(deep=True)
    dataset = DailyParquetDataset(filepath=filepath)
    assert not dataset.exists()
    dataset.save(table)
    pd.testing.assert_frame_equal(table, before)
    assert dataset.exists()
    found = DailyParquetDataset(filepath=filepath).load()
    pd.testing.assert_frame_equal(found, by_day(table), check_exact=True)
    assert [type(value) for value in found["empty"]] == [type(None)] * 12


def test_each_day_is_a_folder_and_all_have_one_schema(filepath, table):
    DailyParquetDataset(filepath=filepath).save(table)
    assert files(filepath) == ["_SUCCESS", *(f"date={day}/part-0.parquet" for day in DAYS)]
    if "://" not in filepath:
        schemas = [pq.read_schema(f"{filepath}/date={day}/part-0.parquet") for day in DAYS]
        assert all(schema.equals(schemas[0]) for schema in schemas)
        assert "date" not in schemas[0].names


def test_a_second_save_replaces_the_first_and_removes_its_days(filepath, table):
    dataset = DailyParquetDataset(filepath=filepath)
    dataset.save(table)
    newer = table[table["date"] != DAYS[0]].assign(number=5.0, extra="new").drop(columns="flag")
    dataset.save(newer)
    pd.testing.assert_frame_equal(dataset.load(), by_day(newer))
    assert files(filepath) == ["_SUCCESS", *(f"date={day}/part-0.parquet" for day in DAYS[1:])]


def test_a_table_without_rows_keeps_its_columns(filepath, table):
    dataset = DailyParquetDataset(filepath=filepath)
    dataset.save(table)
    dataset.save(table.head(0))
    assert dataset.exists()
    found = dataset.load()
    assert len(found) == 0
    assert list(found) == list(table)
    assert found.dtypes.equals(table.dtypes)
    dataset.save(table)
    assert len(dataset.load()) == 12


@pytest.mark.parametrize("columns", [["whole", "date", "text"], ["date"], ["number"]])
def test_some_columns_in_their_order(filepath, table, columns):
    DailyParquetDataset(filepath=filepath).save(table)
    found = DailyParquetDataset(filepath=filepath, load_args={"columns": columns}).load()
    pd.testing.assert_frame_equal(found, by_day(table)[columns])


@given(
    st.lists(
        st.tuples(st.dates(), st.floats(), st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)),
        max_size=20,
    )
)
@settings(max_examples=20)
def test_any_rows_survive(tmp_path_factory, rows):
    table = pd.DataFrame(
        {
            "number": pd.Series([number for _, number, _ in rows], dtype=float),
            "text": pd.Series([text for *_, text in rows], dtype=object),
            "date": pd.Series([day.isoformat() for day, *_ in rows], dtype=object),
        }
    )
    dataset = DailyParquetDataset(filepath=str(tmp_path_factory.mktemp("any") / "log"))
    dataset.save(table)
    pd.testing.assert_frame_equal(dataset.load(), by_day(table), check_exact=True)


def test_the_catalog_makes_it(tmp_path, table):
    entry = {
        "type": "augury.datasets.daily_parquet.DailyParquetDataset",
        "filepath": str(tmp_path / "log"),
        "save_args": {"compression": "snappy"},
        "metadata": {"kedro-viz": {"layer": "primary"}},
    }
    catalog = DataCatalog.from_config({"query_cost.primary_log": entry})
    catalog.save("query_cost.primary_log", table)
    assert len(catalog.load("query_cost.primary_log")) == 12
    part = pq.ParquetFile(tmp_path / f"log/date={DAYS[0]}/part-0.parquet")
    assert part.metadata.row_group(0).column(0).compression == "SNAPPY"


# --- what a crash leaves ---


class Killed(BaseException):
    """Like a signal: nothing catches it."""


@pytest.mark.parametrize("parts", [0, 1, 2])
@pytest.mark.parametrize("first", [True, False], ids=["nothing before", "a table before"])
def test_a_save_that_is_killed_leaves_nothing_that_looks_complete(filepath, table, monkeypatch, parts, first):
    dataset = DailyParquetDataset(filepath=filepath)
    if not first:
        dataset.save(table.assign(number=-1.0))
    monkeypatch.setattr(daily_parquet, "BATCH", 1)
    written = []
    write = pq.write_table

    def write_some(*arguments, **options):
        if len(written) == parts:
            raise Killed
        written.append(write(*arguments, **options))

    monkeypatch.setattr(daily_parquet.pq, "write_table", write_some)
    with pytest.raises(Killed):
        dataset.save(table)
    monkeypatch.undo()
    if dataset.exists():
        # Locally the old table is untouched until the new one is complete
        assert not first
        assert "://" not in filepath
        assert (dataset.load()["number"] == -1.0).all()
    else:
        with pytest.raises(DatasetError, match="_SUCCESS is missing"):
            dataset.load()
    dataset.save(table)
    pd.testing.assert_frame_equal(dataset.load(), by_day(table))


def test_killed_between_two_renames_the_table_does_not_exist(tmp_path, table, monkeypatch):
    dataset = DailyParquetDataset(filepath=str(tmp_path / "log"))
    dataset.save(table)
    rename = daily_parquet.Path.rename

    def rename_old_only(self, target):
        if ".new-" in self.name:
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(daily_parquet.Path, "rename", rename_old_only)
    with pytest.raises(Killed):
        dataset.save(table)
    monkeypatch.undo()
    assert not dataset.exists()
    dataset.save(table)
    assert len(dataset.load()) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["log"], "nothing is left lying about"


def test_without_the_marker_nothing_is_loaded(tmp_path, table):
    dataset = DailyParquetDataset(filepath=str(tmp_path / "log"))
    with pytest.raises(DatasetError, match="Run the stage that makes it first"):
        dataset.load()
    dataset.save(table)
    (tmp_path / "log" / "_SUCCESS").unlink()
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="--only-missing-outputs"):
        dataset.load()


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "clue"),
    [
        (lambda table: table.drop(columns="date"), "partitioned by column 'date'"),
        (lambda table: table.assign(date=pd.Timestamp("2024-03-04")), "days as text such as '2024-03-04', not"),
        (lambda table: table.assign(date="04.03.2024"), "not '04.03.2024'"),
        (lambda table: table.assign(date=None), "not None"),
        (lambda table: table.to_dict("list"), "saves a pandas frame, not dict"),
    ],
)
def test_what_is_no_table_by_date_is_refused_and_the_old_one_stays(filepath, table, change, clue):
    dataset = DailyParquetDataset(filepath=filepath)
    dataset.save(table)
    with pytest.raises(DatasetError, match=clue):
        dataset.save(change(table))
    assert len(dataset.load()) == 12


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path, table):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match=r"holds 'thesis\.tex'"):
        DailyParquetDataset(filepath=str(tmp_path / "data")).save(table)
    assert (tmp_path / "data" / "thesis.tex").read_text() == "years of work"


def test_columns_that_are_not_there_are_named(tmp_path, table):
    DailyParquetDataset(filepath=str(tmp_path / "log")).save(table)
    with pytest.raises(DatasetError, match=r"has no column numbr\. There are: text, date, number"):
        DailyParquetDataset(filepath=str(tmp_path / "log"), load_args={"columns": ["numbr"]}).load()
    with pytest.raises(DatasetError, match="knows only 'columns', not engine"):
        DailyParquetDataset(filepath=str(tmp_path / "log"), load_args={"engine": "x"})


# --- S3 ---


@pytest.fixture(scope="module")
def s3_server():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_entry(url, path, **credentials):
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return DailyParquetDataset(
        filepath=path,
        credentials={"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": url}} | credentials,
    )


@pytest.fixture
def bucket(s3_server):
    import s3fs

    filesystem = s3fs.S3FileSystem(key="test", secret="test", client_kwargs={"endpoint_url": s3_server})
    if not filesystem.exists("lake"):
        filesystem.mkdir("lake")
    yield filesystem
    if filesystem.exists("lake/log"):
        filesystem.rm("lake/log", recursive=True)


def test_on_s3_as_anywhere_else(s3_server, bucket, table):
    dataset = s3_entry(s3_server, "s3://lake/log")
    assert not dataset.exists()
    dataset.save(table)
    pd.testing.assert_frame_equal(s3_entry(s3_server, "s3://lake/log").load(), by_day(table), check_exact=True)
    newer = table[table["date"] == DAYS[2]]
    dataset.save(newer)
    pd.testing.assert_frame_equal(dataset.load(), newer.reset_index(drop=True))
    bucket.invalidate_cache()
    assert bucket.find("lake/log") == ["lake/log/_SUCCESS", f"lake/log/date={DAYS[2]}/part-0.parquet"]
    bucket.rm_file("lake/log/_SUCCESS")
    assert not dataset.exists()


def test_wrong_credentials_are_one_clear_line(s3_server, table, monkeypatch):
    import requests

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    wrong = s3_entry(s3_server, "s3://lake/log", key="AKIAWRONG", secret="wrong")
    none = s3_entry(s3_server, "s3://lake/log", key=None, secret=None)
    elsewhere = s3_entry("http://127.0.0.1:9", "s3://lake/log", config_kwargs={"retries": {"max_attempts": 0}})
    unknown = s3_entry(s3_server, "s3://no-such-lake/log")
    # From now on the server asks who is there
    requests.post(f"{s3_server}/moto-api/reset-auth", data="0", timeout=10)
    try:
        for dataset, action in (
            (wrong, lambda dataset: dataset.save(table)),
            (wrong, lambda dataset: dataset.load()),
            (none, lambda dataset: dataset.save(table)),
            (elsewhere, lambda dataset: dataset.load()),
        ):
            with pytest.raises((UserError, DatasetError)) as caught:
                action(dataset)
            line = str(next(link for link in causes(caught.value) if isinstance(link, UserError)))
            assert line.startswith("'s3://lake/log': ")
            assert "AWS_ACCESS_KEY_ID" in line
            assert "\n" not in line
    finally:
        requests.post(f"{s3_server}/moto-api/reset-auth", data="inf", timeout=10)
    with pytest.raises((UserError, DatasetError), match="bucket does not exist"):
        unknown.save(table)


# --- Spark ---


@pytest.mark.spark
def test_spark_and_pandas_read_what_the_other_wrote(spark, tmp_path, table):
    from augury.datasets.daily_spark import DailySparkDataset

    text = table.drop(columns="empty").assign(text=table["text"].replace("\x00", "nul"))
    ours, theirs = DailyParquetDataset(filepath=str(tmp_path / "a")), DailySparkDataset(filepath=str(tmp_path / "b"))
    assert not theirs.exists()
    with pytest.raises(DatasetError, match="_SUCCESS is missing"):
        theirs.load()
    ours.save(text)
    frame = DailySparkDataset(filepath=str(tmp_path / "a")).load()
    assert dict(frame.dtypes)["date"] == "string"
    assert dict(frame.dtypes)["time"] == "timestamp_ntz"
    theirs.save(frame)
    assert theirs.exists()
    found = DailyParquetDataset(filepath=str(tmp_path / "b")).load().sort_values("whole", ignore_index=True)
    order = [name for name in text if name != "date"] + ["date"]
    pd.testing.assert_frame_equal(found, text[order], check_exact=True)
    (tmp_path / "b" / "_SUCCESS").unlink()
    assert not theirs.exists(), "an interrupted stage is repeated"
    theirs.save(frame.filter("whole < 3"))
    assert theirs.load().count() == 3
