"""Records in every form: what is text stays text, what was a number is refused, and a save is whole or not there."""

import gzip
import json
import sys

import fsspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog
from kedro.io.core import DatasetError

from augury.datasets.records import RecordsDataset
from augury.errors import UserError

FORMS = ["json", "jsonl", "ndjson", "csv", "tsv", "parquet", "json.gz", "jsonl.gz", "csv.gz"]
TYPES = {"strings": ["text"], "identifiers": ["sample_id"], "lists": ["taxonomy_codes"]}


def entry(path, **arguments):
    return RecordsDataset(filepath=str(path), **{**TYPES, **arguments})


def records():
    return pd.DataFrame(
        {
            "sample_id": ["007", "1e5", None],
            "text": ['Of "dogs", cats; and\u2028others\nand NA', "NA", None],
            "taxonomy_codes": [["000", "004"], ["1,5", "a;b"], []],
            "confidence": [1.0, 0.25, None],
        }
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_back_what_it_got(form, tmp_path):
    dataset = entry(tmp_path / "deep" / f"samples.{form}")
    assert not dataset.exists()
    dataset.save(records())
    assert dataset.exists()
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded, records())
    # What was loaded can be saved again: arrays of Parquet files too
    dataset.save(loaded)
    pd.testing.assert_frame_equal(dataset.load(), records())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [f"samples.{form}"]


@given(
    codes=st.lists(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), max_size=3), min_size=1),
    form=st.sampled_from(["json", "jsonl", "csv", "tsv", "parquet"]),
)
@settings(max_examples=20, deadline=None)
def test_any_codes_survive_every_form(codes, form, tmp_path_factory):
    dataset = entry(tmp_path_factory.mktemp("records") / f"r.{form}")
    dataset.save(pd.DataFrame({"taxonomy_codes": codes}))
    assert dataset.load()["taxonomy_codes"].tolist() == codes


def test_the_object_of_the_original_keeps_what_stands_beside_its_records(tmp_path):
    path = tmp_path / "samples.json"
    path.write_text(
        json.dumps({"metadata": {"version": 2}, "samples": [{"text": "a", "taxonomy_codes": ["000"], "confidence": 1}]})
    )
    frame = entry(path).load()
    assert frame["taxonomy_codes"].tolist() == [["000"]]
    assert frame.attrs["metadata"] == {"version": 2}
    entry(path).save(frame)
    assert json.loads(path.read_text())["metadata"] == {"version": 2}


def test_a_plain_list_and_a_mark_at_the_beginning_are_read(tmp_path):
    path = tmp_path / "samples.json"
    path.write_text("\ufeff" + json.dumps([{"text": "a"}, {"text": "b", "more": 1}]))
    assert entry(path).load()["more"].tolist()[1] == 1


@pytest.mark.parametrize("cell", ["004; 512", "004,512", '["004", "512"]'])
def test_lists_in_csv_have_several_spellings(cell, tmp_path):
    path = tmp_path / "samples.csv"
    pd.DataFrame({"text": ["a"], "taxonomy_codes": [cell]}).to_csv(path, index=False)
    assert entry(path).load()["taxonomy_codes"].tolist() == [["004", "512"]]


def test_one_code_in_csv_keeps_its_zeros(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("sample_id,text,taxonomy_codes,confidence\n01,000,000,\n02,NA,004,0.5\n")
    frame = entry(path).load()
    assert frame["taxonomy_codes"].tolist() == [["000"], ["004"]]
    assert frame["text"].tolist() == ["000", "NA"]
    assert frame["sample_id"].tolist() == ["01", "02"]
    assert frame["confidence"].isna().tolist() == [True, False]
    assert frame["confidence"].dtype == float


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.json", '{"samples": [{"taxonomy_codes": ["512"]}, {"taxonomy_codes": [0]}]}'),
        ("s.jsonl", '{"taxonomy_codes": ["512"]}\n{"taxonomy_codes": 4}\n'),
        ("s.csv", 'taxonomy_codes\n"512"\n"[4, 5]"\n'),
    ],
)
def test_codes_that_are_numbers_are_refused_in_texts(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=r"'taxonomy_codes' must be text.*1 record\(s\), for example record 2"):
        entry(tmp_path / name).load()


@pytest.mark.parametrize("values", [[4, 512], [4.0, None], [[4], [512]]])
def test_codes_that_are_numbers_are_refused_in_parquet(values, tmp_path):
    pd.DataFrame({"taxonomy_codes": values}).to_parquet(tmp_path / "s.parquet")
    with pytest.raises(DatasetError, match="lost their leading zeros"):
        entry(tmp_path / "s.parquet").load()
    with pytest.raises(DatasetError, match="lost their leading zeros"):
        entry(tmp_path / "t.csv").save(pd.DataFrame({"taxonomy_codes": values}))
    assert not (tmp_path / "t.csv").exists()


def test_numbers_are_names_but_not_texts(tmp_path):
    path = tmp_path / "s.json"
    path.write_text('[{"sample_id": 17}, {"sample_id": null}, {"sample_id": "017"}]')
    assert entry(path).load()["sample_id"].tolist() == ["17", None, "017"]
    pd.DataFrame({"sample_id": [17.0, None]}).to_parquet(tmp_path / "s.parquet")
    assert entry(tmp_path / "s.parquet").load()["sample_id"].tolist() == ["17", None]
    path.write_text('[{"sample_id": 1.5}]')
    with pytest.raises(DatasetError, match="'sample_id' must be text"):
        entry(path).load()


def test_rating_files_of_the_ncf_paper(tmp_path):
    path = tmp_path / "shop.train.rating"
    path.write_text("00\t032\t4\t978824330\n1\t34\t2.5\t978824331\n")
    dataset = RecordsDataset(filepath=str(path), key="interactions")
    frame = dataset.load()
    assert frame.columns.tolist() == ["user_id", "item_id", "implicit_rating", "timestamp"]
    assert frame["user_id"].tolist() == ["00", "1"]
    assert frame["item_id"].tolist() == ["032", "34"]
    assert frame["implicit_rating"].tolist() == [4.0, 2.5]
    assert frame["timestamp"].tolist() == [978824330, 978824331]
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame)


def test_an_optional_file_may_be_missing(tmp_path):
    dataset = RecordsDataset(filepath=str(tmp_path / "codes.csv"), strings=["code", "label"], optional=True)
    assert not dataset.exists()
    assert dataset.load().empty
    assert dataset.load().columns.tolist() == ["code", "label"]
    with pytest.raises(DatasetError, match="is missing"):
        entry(tmp_path / "samples.json").load()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.json", b"{", "is not JSON"),
        ("s.json", b'{"records": []}', "has no key 'samples'. There are: records."),
        ("s.json", b'{"samples": 3}', "must hold a list of records"),
        ("s.json", b'[{"text": "a"}, "b"]', "record 2: 'b'"),
        ("s.jsonl", b'{"text": "a"}\n{"text":\n', "line 2"),
        ("s.jsonl", b"\xff", "is not UTF-8"),
        ("s.csv", b"", "is empty"),
        ("s.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read as CSV"),
        ("s.parquet", b"PAR1", "is not a Parquet file"),
        ("s.json.gz", b"[]", "is not a whole gzip file"),
        ("s.json.gz", gzip.compress(b"[]" * 99, mtime=0)[:-9], "is not a whole gzip file"),
    ],
)
def test_broken_files_are_refused_by_name(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        entry(tmp_path / name).load()
    assert name in str(caught.value)
    # The command line shows its message alone
    assert isinstance(caught.value.__cause__, UserError)


@pytest.mark.parametrize("name", ["samples", "samples.xlsx", "samples.parquet.gz", "samples.gz"])
def test_a_name_must_say_what_is_in_the_file(name, tmp_path):
    with pytest.raises(DatasetError, match="the end of the name must say"):
        entry(tmp_path / name)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    dataset = entry(tmp_path / "s.json")
    dataset.save(records())
    monkeypatch.setattr("augury.datasets.records.os.replace", lambda *_: 1 / 0)
    with pytest.raises(DatasetError, match="division by zero"):
        dataset.save(records().head(1))
    assert len(dataset.load()) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


def test_it_works_on_an_object_store():
    dataset = entry("memory://bucket/samples.jsonl.gz")
    try:
        dataset.save(records())
        pd.testing.assert_frame_equal(dataset.load(), records())
    finally:
        fsspec.filesystem("memory").store.clear()


def test_the_catalog_makes_it_with_a_validator(tmp_path, monkeypatch):
    # PySpark, which Kedro looks for, ends a process whose main module has no file: it takes it for a doctest
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    (tmp_path / "s.json").write_text('{"samples": [{"text": "a", "taxonomy_codes": ["000"], "confidence": 2}]}')
    described = {
        "taxonomy.samples": {
            "type": "augury.datasets.records.RecordsDataset",
            "filepath": str(tmp_path / "s.json"),
            "lists": ["taxonomy_codes"],
            "validator": "augury.schemas.labelled_texts.LabelledTexts",
        }
    }
    with pytest.raises(Exception, match="'confidence': must be between 0 and 1: 1 row"):
        DataCatalog.from_config(described).load("taxonomy.samples")
