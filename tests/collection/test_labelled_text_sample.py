"""The committed texts: what their parameters make, of the promised size and difficulty."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.collection.labelled_text_simulation import TextSimulation, create_labelled_texts
from augury.schemas.labelled_texts import LabelledTexts

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "01_raw" / "taxonomy"


@pytest.fixture(scope="module")
def sample():
    return pd.read_parquet(FOLDER / "samples.parquet")


def closed(codes):
    return {above for code in codes for above in (code, code[:2] + "0", code[0] + "00")}


def micro_f1(actual, predicted):
    pairs = [(closed(a), closed(p)) for a, p in zip(actual, predicted, strict=True)]
    return 2 * sum(len(a & p) for a, p in pairs) / sum(len(a) + len(p) for a, p in pairs)


def test_the_parameters_make_the_committed_texts(sample):
    again, codes = create_labelled_texts(TextSimulation(), 42)
    lists = ["taxonomy_codes", "true_codes", "oracle_codes"]
    pd.testing.assert_frame_equal(again.drop(columns=lists), sample.drop(columns=lists), check_exact=True)
    for name in lists:
        assert again[name].tolist() == sample[name].map(list).tolist()
    stored = pd.read_csv(FOLDER / "codes.csv", dtype=str)
    pd.testing.assert_frame_equal(codes, stored.astype(object).where(stored.notna(), None))


def test_it_is_a_valid_table_of_3000_texts(sample):
    LabelledTexts.validate(sample)
    assert len(sample) == 3_000
    assert (FOLDER / "samples.parquet").stat().st_size < 1.2e6
    assert 25 < sample["text"].str.split().map(len).mean() < 45
    assert sample["taxonomy_codes"].map(len).mean() == pytest.approx(1.3, abs=0.05)


def test_the_oracle_is_that_of_the_readme_and_not_perfect(sample):
    text = (FOLDER / "README.md").read_text()
    found = micro_f1(sample["taxonomy_codes"], sample["oracle_codes"])
    assert f"{found:.4f}" in text
    assert 0.88 < found < 0.96
    main = [sorted({code[0] + "00" for code in codes}) for codes in sample["oracle_codes"]]
    first = [sorted({code[0] + "00" for code in codes}) for codes in sample["taxonomy_codes"]]
    overlap = [len(set(a) & set(b)) for a, b in zip(first, main, strict=True)]
    level = 2 * np.sum(overlap) / (sum(map(len, first)) + sum(map(len, main)))
    assert f"{level:.4f}" in text
