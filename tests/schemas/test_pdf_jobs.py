"""Refusals of a raw table of PDF jobs: each names the column, the rule, how many rows break it, and an example."""

import io

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.schemas.pdf_jobs import PdfJobs

ROWS = 30


@pytest.fixture
def jobs(simulated_jobs):
    return simulated_jobs.head(ROWS).copy()


def complaints(table):
    """The lines of the refusal, without its heading."""
    with pytest.raises(UserError) as caught:
        PdfJobs.validate(table)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "pdf_memory.jobs breaks its schema:"
    return lines


def as_csv(table):
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def put(table, column, *values):
    """The table with other values in the first rows of a column."""
    changed = table[column].astype("object").to_list()
    changed[: len(values)] = values
    return table.assign(**{column: pd.Series(changed, index=table.index).infer_objects()})


def test_a_right_table_comes_back_as_it_was(jobs):
    before = jobs.copy(deep=True)
    assert PdfJobs.validate(jobs) is jobs
    pd.testing.assert_frame_equal(jobs, before)


def test_two_columns_are_enough(jobs):
    PdfJobs.validate(jobs[["file_bytes", "peak_mem_mb"]])


def test_further_columns_are_allowed(jobs):
    PdfJobs.validate(jobs.assign(host="a", **{"another column": 1}))


def test_a_missing_column_comes_with_its_near_match(jobs):
    with pytest.raises(UserError) as caught:
        PdfJobs.validate(jobs.rename(columns={"file_bytes": "filebytes", "peak_mem_mb": "memory"}))
    message = str(caught.value)
    assert message.startswith("pdf_memory.jobs: required column missing: 'file_bytes' (Did you mean 'filebytes'")
    assert "'peak_mem_mb' (Did you mean 'base_mem_mb'?)" in message
    with pytest.raises(UserError, match=r"'peak_mem_mb' \(There are: file_bytes\.\)"):
        PdfJobs.validate(jobs[["file_bytes"]])


def test_an_empty_table_is_refused(jobs):
    with pytest.raises(UserError, match=r"pdf_memory\.jobs: the table has no rows"):
        PdfJobs.validate(jobs.iloc[:0])


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("peak_mem_mb", [-1.0, 0.0], "column 'peak_mem_mb': must be above 0: 2 row(s), for example -1.0, 0.0"),
        ("peak_mem_mb", [np.inf], "column 'peak_mem_mb': must be finite: 1 row(s), for example inf"),
        ("pages", [-3.0], "column 'pages': must be at least 0: 1 row(s), for example -3.0"),
        ("objects", [np.inf, np.inf], "column 'objects': must be finite: 2 row(s), for example inf"),
        ("file_bytes", [None], "column 'file_bytes': must not be missing: 1 row(s), for example missing"),
        ("file_bytes", ["big", "1 MB"], "column 'file_bytes': must be a number: 2 row(s), for example 'big', '1 MB'"),
        ("operation", [3], "column 'operation': must be text: 1 row(s), for example 3"),
        ("dpi", [0.0], "column 'dpi': must be above 0: 1 row(s), for example 0.0"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(jobs, column, values, complaint):
    assert complaints(put(jobs, column, *values)) == [f"- {complaint}"]


def test_text_in_a_number_column_as_a_csv_file_gives_it(jobs):
    table = as_csv(put(jobs, "pages", "many", "two"))
    # One word makes texts of all numbers of the column; only the words are wrong
    assert isinstance(table["pages"].iloc[5], str)
    assert complaints(table) == ["- column 'pages': must be a number: 2 row(s), for example 'many', 'two'"]


def test_a_right_table_from_a_csv_file_passes(jobs):
    PdfJobs.validate(as_csv(jobs))


def test_numbers_identify_as_well_as_texts(jobs):
    PdfJobs.validate(jobs.assign(job_id=range(ROWS), file_id=[1.0, None, 3.0] * (ROWS // 3)))


def test_a_finished_job_needs_a_peak(jobs):
    rule = "- column 'peak_mem_mb': must not be missing where the outcome is ok"
    lost = jobs.assign(peak_mem_mb=jobs["peak_mem_mb"].where(jobs.index > 3))
    first = ", ".join(f"job_id {name!r}" for name in jobs["job_id"].head(3))
    assert complaints(lost) == [f"{rule}: 4 row(s), for example {first}"]
    # No outcome means ok; a job that was stopped or failed need not have one
    assert complaints(lost.assign(outcome=None))[0].startswith(f"{rule}: 4 row(s)")
    assert complaints(lost.drop(columns="outcome"))[0].startswith(f"{rule}: 4 row(s)")
    PdfJobs.validate(lost.assign(outcome=["timeout", "crashed", "memory_limit", "encrypted"] + ["ok"] * (ROWS - 4)))


def test_a_rendering_needs_a_resolution(jobs):
    (complaint,) = complaints(jobs.assign(dpi=np.nan))
    renderings = (jobs["operation"] == "render").sum()
    assert complaint.startswith(
        f"- column 'dpi': must not be missing where the operation is render: {renderings} row(s)"
    )
    PdfJobs.validate(jobs.assign(dpi=np.nan, operation="text"))


def test_every_broken_rule_has_its_line(jobs):
    table = put(put(put(jobs, "peak_mem_mb", -1.0, None), "pages", -1.0), "fonts", "none")
    assert sorted(line.split(":")[0] for line in complaints(table)) == [
        "- column 'fonts'",
        "- column 'pages'",
        "- column 'peak_mem_mb'",
        "- column 'peak_mem_mb'",
    ]


def test_rows_count_whatever_the_index(jobs):
    table = put(jobs, "peak_mem_mb", -1.0, -2.0).set_axis([7] * ROWS)
    assert complaints(table) == ["- column 'peak_mem_mb': must be above 0: 2 row(s), for example -1.0, -2.0"]


def test_examples_are_few(jobs):
    (complaint,) = complaints(put(jobs, "pages", *range(-ROWS, 0)))
    assert complaint == "- column 'pages': must be at least 0: 30 row(s), for example -30.0, -29.0, -28.0"


@pytest.mark.spark
def test_a_spark_table_is_refused_in_the_same_words(jobs, spark):
    wrong = put(put(jobs, "peak_mem_mb", None), "pages", *[-3.0] * 5)
    table = spark.createDataFrame(wrong).repartition(2)
    assert sorted(complaints(table)) == sorted(complaints(wrong))
