"""`python -m augury predict taxonomy`: codes, labels and probabilities of a text or of a table of texts."""

import json
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.commands import taxonomy
from augury.errors import UserError

from ..evaluation.classified_texts import word_classifier

CODES = ("000", "004", "500")
LABELS = ("Computer science", "Data processing", "Science")


class StagedClassifier:
    """Says what the first word of a text says, and gives codes from 0.5 on."""

    codes, labels = CODES, LABELS
    WORDS: ClassVar = {"data": (0.9, 0.8, 0.1), "stars": (0.2, 0.1, 0.7), "nothing": (0.3, 0.2, 0.1)}

    def probabilities(self, texts):
        return np.array([self.WORDS[text.split()[0].rstrip(",")] for text in texts], dtype=np.float32)

    def decide(self, probabilities):
        return probabilities >= 0.5


@pytest.fixture
def ask(monkeypatch):
    """A function that runs the command in this process with a staged predictor."""
    monkeypatch.setattr(taxonomy.TextClassifier, "load", lambda model, predictor: StagedClassifier())

    def run(*arguments: str, given: str | bytes | None = None):
        command = ["predict", "taxonomy", *arguments]
        return CliRunner().invoke(cli, command, input=given, catch_exceptions=False)

    return run


def answers(done) -> list[dict]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def codes(answer: dict) -> list[str]:
    return [one["code"] for one in answer["codes"]]


def test_a_text_gets_its_codes_with_labels_and_probabilities(ask, tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("data about data\n\nin two paragraphs", encoding="utf-8-sig")
    done = ask(str(path))
    assert done.output.splitlines() == [
        "  code  label             probability",
        "  000   Computer science        0.900",
        "  004   Data processing         0.800",
    ]
    assert ask("-", given="data").output == done.output
    assert ask(given="nothing at all").output == "  no code\n"


def test_json_has_everything(ask):
    (answer,) = answers(ask("--json", given="stars"))
    assert answer == {
        "id": "1",
        "codes": [{"code": "500", "label": "Science", "probability": 0.7, "given": True}],
    }


def test_limit_and_threshold_show_other_codes_than_those_given(ask):
    assert codes(*answers(ask("--json", "--limit", "2", given="stars"))) == ["500", "000"]
    assert codes(*answers(ask("--json", "--threshold", "0.15", given="stars"))) == ["500", "000"]
    assert codes(*answers(ask("--json", "--threshold", "0.95", given="data"))) == []
    assert codes(*answers(ask("--json", "--threshold", "0.15", "--limit", "1", given="stars"))) == ["500"]
    shown = ask("--limit", "2", given="stars").output.splitlines()
    assert shown[1].endswith("0.700")
    assert shown[2].endswith("0.200  (not given)")


TEXTS = pd.DataFrame({"sample_id": ["007", "b", "c"], "text": ["data", "stars, and more", "nothing"], "x": [1, 2, 3]})


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "json", "samples"])
def test_every_kind_of_table_is_answered_text_by_text(ask, kind, tmp_path):
    path = tmp_path / f"texts.{'json' if kind == 'samples' else kind}"
    match kind:
        case "csv" | "tsv":
            TEXTS.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
        case "parquet":
            TEXTS.to_parquet(path)
        case "samples":
            path.write_text(json.dumps({"metadata": {}, "samples": TEXTS.to_dict(orient="records")}))
        case _:
            TEXTS.to_json(path, orient="records", lines=kind == "jsonl")
    found = answers(ask("--json", str(path)))
    assert [answer["id"] for answer in found] == ["007", "b", "c"]
    assert [codes(answer) for answer in found] == [["000", "004"], ["500"], []]


def test_a_table_is_shown_with_headings(ask, tmp_path):
    path = tmp_path / "texts.csv"
    TEXTS.drop(columns="sample_id").to_csv(path, index=False)
    lines = ask(str(path)).output.splitlines()
    assert lines[0] == "1: data"
    assert lines[5] == "2: stars, and more"
    assert lines[-1] == "  no code"


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_answers_are_written_to_a_file(ask, kind, tmp_path):
    given, out = tmp_path / "texts.parquet", tmp_path / f"out.{kind}"
    TEXTS.to_parquet(given)
    assert ask(str(given), "--out", str(out)).output == f"3 texts in '{out}'\n"
    if kind == "jsonl":
        assert [codes(json.loads(line)) for line in out.read_text().splitlines()] == [["000", "004"], ["500"], []]
        return
    found = pd.read_csv(out, dtype=str) if kind == "csv" else pd.read_parquet(out)
    assert found[["id", "code"]].to_numpy().tolist() == [["007", "000"], ["007", "004"], ["b", "500"]]
    assert found["probability"].astype(float).tolist() == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b" \n", r"There is no text in '.*a\.txt'"),
        ("a.txt", b"caf\xe9", "is not UTF-8: byte 3 is 0xe9"),
        ("a.csv", b"", "cannot be read: No columns"),
        ("a.csv", b"text\n", "There is no text"),
        ("a.csv", b"txt\nx\n", "has no column 'text'. There are: txt|Did you mean 'txt'"),
        ("a.json", b"[{", "cannot be read"),
        ("a.json", b'[{"text": 5}]', "column 'text' must be text: 1 of 1 rows break this, for example 5 in row 0"),
        ("a.json", b'"data"', "must hold objects, or a list of them"),
        ("a.jsonl", b'{"text": "data"}\nx\n', "cannot be read"),
        ("a.parquet", b"nothing", "cannot be read"),
    ],
)
def test_mistakes_are_named(ask, name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        ask(str(path))


def test_a_kind_of_file_that_cannot_be_written_is_refused_before_anything_is_done(ask, tmp_path):
    with pytest.raises(UserError, match=r"out\.xlsx' cannot be written: its name has to end with \.jsonl, \.csv"):
        ask("--out", str(tmp_path / "out.xlsx"), given="data")


def test_a_folder_without_a_predictor_is_named(tmp_path):
    command = ["predict", "taxonomy", "--model", str(tmp_path)]
    with pytest.raises(UserError, match=r"holds no trained predictor .*--namespaces=taxonomy$"):
        CliRunner().invoke(cli, command, input="data", catch_exceptions=False)


def test_a_saved_predictor_is_asked(tmp_path):
    predictor = word_classifier()
    predictor.save(tmp_path / "taxonomy")
    command = ["predict", "taxonomy", "--model", str(tmp_path / "taxonomy"), "--json"]
    (answer,) = answers(CliRunner().invoke(cli, command, input="the computer", catch_exceptions=False))
    expected = predictor.predict(pd.DataFrame({"text": ["the computer"]})).iloc[0]
    assert codes(answer) == expected["codes"].split(";") == ["000", "004"]
    assert [f"{one['probability']:.3f}" for one in answer["codes"]] == expected["probabilities"].split(";")
