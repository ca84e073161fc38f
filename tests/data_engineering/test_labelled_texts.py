"""Texts prepared: what is set aside, what is merged, what is closed, and who stands on which side."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.data_engineering.labelled_text_source import TextSource, clean_texts
from augury.pipelines.data_engineering.labelled_texts import TextSplit, prepare_texts

NO_CODES = pd.DataFrame()
WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("an", "el", "is", "ot", "um")]


def distinct_texts(rows, seed=1):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 12)) for _ in range(rows)]


def raw(rows=60, **columns):
    codes = [[["004"], ["512"], ["515", "530"], ["823"]][row % 4] for row in range(rows)]
    return pd.DataFrame({"text": distinct_texts(rows), "taxonomy_codes": codes, **columns})


def prepare(samples, codes=NO_CODES, seed=7, split=None, **source):
    return prepare_texts(samples, codes, TextSource(**source), split or TextSplit(), seed)


def test_the_columns_and_the_closure():
    texts, codes, _ = prepare(raw())
    assert texts.columns.tolist() == [
        *["sample_id", "text", "codes", "given_codes", "confidence", "group", "split", "origin", "oracle_codes"]
    ]
    assert texts["confidence"].dtype == np.float64
    assert texts["group"].dtype == np.int64
    assert texts["sample_id"].is_unique
    assert texts["codes"].tolist()[:4] == [
        ["000", "004"],
        ["500", "510", "512"],
        ["500", "510", "515", "530"],
        ["800", "820", "823"],
    ]
    assert texts["given_codes"].tolist()[2] == ["515", "530"]
    assert set(texts["origin"]) == {"measured"}
    assert texts["oracle_codes"].tolist() == [[]] * 60
    assert codes["code"].tolist() == ["000", "004", "500", "510", "512", "515", "530", "800", "820", "823"]
    assert codes["parent"].tolist() == [None, "000", None, "500", "510", "510", "500", None, "800", "820"]
    assert codes["level"].tolist() == [0, 1, 0, 1, 2, 2, 1, 0, 1, 2]
    assert codes["label"].tolist() == codes["code"].tolist()
    training = texts[texts["split"] == "train"]["codes"].explode().value_counts()
    assert dict(zip(codes["code"], codes["texts"], strict=True)) == training.to_dict()


def test_labels_come_from_the_table_of_codes():
    table = pd.DataFrame({"code": ["004", "512"], "label": ["Computers", None]})
    _, codes, report = prepare(raw(), table)
    labels = dict(zip(codes["code"], codes["label"], strict=True))
    assert labels["004"] == "Computers"
    assert labels["512"] == "512"
    assert report["codes_not_in_table"]["codes"] == 3
    assert "3 code(s) are not in taxonomy.codes" in report["notes"][0]


def test_the_sides_have_their_shares_and_every_code():
    texts, codes, report = prepare(raw(200), split=TextSplit(test_share=0.3, validation_share=0.2))
    sizes = texts["split"].value_counts()
    assert sizes["test"] == pytest.approx(60, abs=2)
    assert sizes["validation"] == pytest.approx(40, abs=2)
    assert report["splits"]["test"]["texts"] == sizes["test"]
    # The four kinds of texts are alike frequent on every side
    shares = pd.crosstab(texts["given_codes"].str.join(";"), texts["split"], normalize="columns")
    assert (shares - 0.25).abs().to_numpy().max() < 0.05
    assert (codes["texts"] > 0).all()


def test_a_rare_code_is_learnt_from():
    samples = raw(40)
    samples.at[5, "taxonomy_codes"] = ["999"]
    for seed in range(6):
        texts, _, report = prepare(samples, seed=seed)
        assert texts.set_index("text").at[samples.at[5, "text"], "split"] == "train"
        assert report["stratification"]["codes_without_training_text"] == 0


def test_the_same_seed_gives_the_same_sides_and_another_one_others():
    first, again, other = (prepare(raw(100), seed=seed)[0] for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert (first["split"] != other["split"]).any()


def test_near_duplicates_stand_on_one_side():
    samples = raw(120)
    for row in range(0, 60):
        words = samples.at[row, "text"].split()
        words[-1] = "other"
        samples.at[row + 60, "text"] = " ".join(words)
    texts, _, report = prepare(samples)
    assert texts.groupby("group")["split"].nunique().max() == 1
    assert report["near_duplicates"] == {"groups": 60, "texts": 120, "largest": 2}
    apart, _, _ = prepare(samples, near_duplicates=None)
    assert apart["group"].nunique() == 120


def test_each_row_that_makes_no_sense_is_told():
    samples = raw(40, sample_id=[f"s{row}" for row in range(40)], confidence=0.5)
    samples["text"] = samples["text"].astype(object)
    samples.at[0, "text"] = " \n\u200b"
    samples.at[1, "text"] = None
    samples.at[2, "taxonomy_codes"] = []
    samples.at[3, "taxonomy_codes"] = ["4"]
    samples.at[4, "confidence"] = 1.5
    samples.at[6, "sample_id"] = "s5"
    samples.at[8, "text"] = samples.at[12, "text"] + "\t "
    samples.at[9, "text"] = samples.at[12 + 3, "text"]
    texts, _, report = prepare(samples)
    assert report["set_aside"] == {
        "missing_text": 2,
        "no_code": 1,
        "malformed_code": 1,
        "unknown_code": 0,
        "invalid_confidence": 1,
        "duplicate_id": 1,
        "duplicate_text": 1,
        "conflicting_text": 1,
        "near_duplicate_of_test": 0,
    }
    assert report["rows_read"] == 40
    assert report["texts"] == len(texts) == 40 - 8
    assert report["set_aside_examples"]["malformed_code"][0].startswith("row 4, sample_id 's3': ")
    assert report["set_aside_examples"]["malformed_code"][0].endswith("codes 4")
    # Rows 10 and 16 have one text and different codes
    merged = texts.set_index("sample_id").at["s9", "given_codes"]
    assert merged == ["512", "823"]
    left_out, _, _ = prepare(samples, conflicting="set_aside")
    assert len(left_out) == len(texts) - 1
    assert not left_out["sample_id"].isin(["s9", "s15"]).any()
    with pytest.raises(UserError) as caught:
        prepare(samples, invalid="refuse")
    lines = str(caught.value).splitlines()
    assert "taxonomy.source.invalid is 'refuse'" in lines[0]
    assert lines[1].startswith("- missing_text: text is missing or empty: 2 row(s), for example row 1, sample_id 's0'")
    assert len(lines) == 8
    json.dumps(report, allow_nan=False)


def test_unknown_codes_are_kept_or_set_aside():
    table = pd.DataFrame({"code": ["004", "512", "515", "530"], "label": None})
    assert prepare(raw(), table)[2]["texts"] == 60
    assert prepare(raw(), table, unknown_codes="set_aside")[2]["set_aside"]["unknown_code"] == 15


def test_texts_are_brought_into_one_form():
    found = clean_texts(pd.Series(["  Cafe\u0301\r\n\tbar\x00 ", None, "a\ud800b", "\ufeffx"]))
    assert found.tolist() == ["Caf\u00e9 bar", "", "a\ufffdb", "x"]


def test_codes_are_cut_before_they_are_closed():
    samples = raw(40)
    samples["taxonomy_codes"] = [["512.3", "512.4"]] * 20 + [["823.91"]] * 20
    assert prepare(samples)[0]["codes"].tolist()[0] == ["500", "510", "512", "512.3", "512.4"]
    cut = prepare(samples, code_length=3)[0]
    assert cut["given_codes"].tolist()[0] == ["512"]
    assert cut["codes"].tolist()[-1] == ["800", "820", "823"]


def test_names_do_not_depend_on_the_order_of_rows():
    samples = raw(40)
    names = prepare(samples)[0].set_index("text")["sample_id"]
    again = prepare(samples[::-1].reset_index(drop=True))[0].set_index("text")["sample_id"]
    pd.testing.assert_series_equal(names.sort_index(), again.sort_index())


def test_a_given_split_is_kept_and_its_test_is_not_seen_before():
    samples = raw(60, split=["train"] * 40 + ["test"] * 20)
    words = samples.at[50, "text"].split()
    samples.at[3, "text"] = " ".join([*words[:-1], "other"])
    samples.at[4, "text"] = samples.at[52, "text"]
    texts, _, report = prepare(samples)
    assert report["split_by"] == "column"
    assert report["set_aside"]["near_duplicate_of_test"] == 1
    sides = texts.set_index("text")["split"]
    assert samples.at[3, "text"] not in sides.index
    assert sides[samples.at[52, "text"]] == "test"
    assert (sides[samples["text"][40:]] == "test").all()
    assert (sides == "validation").sum() == pytest.approx(38 / 8, abs=1)
    with pytest.raises(UserError, match="'split' must be one of train, validation, test: 1 row"):
        prepare(samples.assign(split=["dev"] + ["test"] * 59))
    with pytest.raises(UserError, match="the test split has no text"):
        prepare(samples.assign(split="train"))


def test_label_noise_is_told_where_it_is_known():
    samples = raw(40)
    assert prepare(samples)[2]["label_noise"] is None
    samples["true_codes"] = [["999"]] * 10 + samples["taxonomy_codes"].tolist()[10:]
    assert prepare(samples)[2]["label_noise"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("samples", "codes", "source", "message"),
    [
        (raw().rename(columns={"text": "txt"}), NO_CODES, {}, "required column missing: 'text' .*'txt'"),
        (raw(), NO_CODES, {"columns": {"text": "body"}}, "no column 'body', which taxonomy.source.columns.text names"),
        (raw(4, taxonomy_codes=[4, 5, 6, 7]), NO_CODES, {}, "codes must be text: .*4 row.*for example 4 in row 1"),
        (raw().head(0), NO_CODES, {}, "taxonomy.samples: the table has no rows"),
        (raw(4, taxonomy_codes=[["A1"]] * 4), NO_CODES, {}, "no row that can be used.\n- malformed_code"),
        (raw(4, confidence=["?", 1, 1, 1]), NO_CODES, {}, "'confidence' must be a number: 1 row"),
        (raw(), pd.DataFrame({"label": ["x"]}), {}, "taxonomy.codes: required column missing: 'code'"),
        (raw(), pd.DataFrame({"code": [4]}), {}, "taxonomy.codes: column 'code': codes must be text"),
        (raw(), pd.DataFrame({"code": ["a", "a"]}), {}, "must name each code once: 1 row"),
        (raw(), NO_CODES, {"hierarchy": "parents"}, "no table with a column 'parent'"),
    ],
)
def test_mistakes_are_refused_in_words(samples, codes, source, message):
    with pytest.raises(UserError, match=message):
        prepare(samples, codes, **source)


def test_columns_may_have_other_names():
    samples = raw().rename(columns={"text": "body", "taxonomy_codes": "notation"})
    _, _, report = prepare(samples, columns={"text": "body", "taxonomy_codes": "notation"})
    assert report["columns"] == {"text": "body", "taxonomy_codes": "notation"}
    with pytest.raises(ValueError, match="'txt' is no canonical column"):
        TextSource(columns={"txt": "body"})
    with pytest.raises(ValueError, match="below 1 together"):
        TextSplit(test_share=0.6, validation_share=0.4)


@given(
    codes=st.lists(
        st.lists(st.sampled_from(["004", "510", "512", "515", "823"]), min_size=1, max_size=3), min_size=20, max_size=40
    )
)
@settings(max_examples=8, deadline=None)
def test_any_codes_are_closed_and_counted(codes):
    texts, table, report = prepare(raw(len(codes), taxonomy_codes=codes), near_duplicates=None)
    parent = dict(zip(table["code"], table["parent"], strict=True))
    for given_codes, closed in zip(texts["given_codes"], texts["codes"], strict=True):
        expected = set(given_codes)
        for code in given_codes:
            while parent[code] is not None:
                code = parent[code]
                expected.add(code)
        assert closed == sorted(expected)
    assert sum(side["texts"] for side in report["splits"].values()) == len(texts)
    assert report["codes"]["cardinality"] == pytest.approx(np.mean([len(closed) for closed in texts["codes"]]))
