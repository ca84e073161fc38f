"""A table that grows part by part: nothing is lost, nothing half is read, nothing is written twice."""

import fsspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.datasets.parquet_parts import ParquetPartsDataset


def part(*numbers):
    return pd.DataFrame({"number": list(numbers), "text": [f"row {number}" for number in numbers]})


def numbers(dataset):
    loaded = dataset.load()
    return loaded["number"].tolist() if len(loaded) else []


@pytest.fixture
def dataset(tmp_path):
    return ParquetPartsDataset(path=str(tmp_path / "parts"))


def test_what_does_not_exist_yet_is_an_empty_table(dataset):
    assert not dataset.exists()
    assert dataset.load().empty


def test_parts_come_back_in_the_order_they_were_saved(dataset):
    for start in range(0, 30, 3):
        dataset.save(part(start, start + 1, start + 2))
    assert dataset.exists()
    assert numbers(dataset) == list(range(30))
    assert dataset.load().index.tolist() == list(range(30))


def test_another_process_goes_on_where_the_first_one_stopped(dataset, tmp_path):
    dataset.save(part(1))
    again = ParquetPartsDataset(path=str(tmp_path / "parts"))
    again.save(part(2))
    assert numbers(dataset) == numbers(again) == [1, 2]


def test_an_empty_part_writes_nothing(dataset, tmp_path):
    dataset.save(part())
    assert not (tmp_path / "parts").exists()
    dataset.save(part(1))
    dataset.save(part())
    assert len(list((tmp_path / "parts").iterdir())) == 1


def test_a_half_written_part_is_ignored(dataset, tmp_path):
    dataset.save(part(1))
    whole = next((tmp_path / "parts").glob("part-*.parquet"))
    (tmp_path / "parts" / f".{whole.name}.tmp").write_bytes(whole.read_bytes()[:100])
    assert numbers(dataset) == [1]


def test_a_save_that_fails_leaves_no_part(dataset, monkeypatch):
    dataset.save(part(1))
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", lambda self, file, index: file.write(b"PAR1") and 1 / 0)
        with pytest.raises(Exception, match="division by zero"):
            dataset.save(part(2))
    assert numbers(dataset) == [1]


def test_a_lost_part_takes_only_its_own_rows(dataset, tmp_path):
    for number in (1, 2, 3):
        dataset.save(part(number))
    sorted((tmp_path / "parts").glob("part-*.parquet"))[1].unlink()
    assert numbers(dataset) == [1, 3]


def test_it_works_on_an_object_store():
    dataset = ParquetPartsDataset(path="memory://parts/table")
    try:
        dataset.save(part(1))
        dataset.save(part(2))
        assert numbers(dataset) == [1, 2]
    finally:
        fsspec.filesystem("memory").store.clear()


@given(sizes=st.lists(st.integers(0, 4), max_size=6))
@settings(max_examples=20)
def test_any_partition_of_a_table_gives_the_table(sizes, tmp_path_factory):
    dataset = ParquetPartsDataset(path=str(tmp_path_factory.mktemp("parts") / "table"))
    whole = part(*range(sum(sizes)))
    start = 0
    for size in sizes:
        dataset.save(whole.iloc[start : start + size])
        start += size
    assert numbers(dataset) == whole["number"].tolist()
