"""Preparation of PDF jobs: what is kept, what is filled in, and how files are divided."""

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.collection.pdf_synthetic import simulate_jobs
from augury.pipelines.data_engineering.pdf_jobs import PdfSplit, prepare_jobs
from augury.predictors.pdf_structure import STRUCTURE

SPLIT = PdfSplit(holdout_share=0.3, document_share=1.0)
OUTCOMES = ["ok", None, "encrypted", "timeout", "ok", "memory_limit", "invalid", "crashed", "error", "ok"]


def prepare(jobs, seed=3, **split):
    return prepare_jobs(jobs, SPLIT.model_copy(update=split), seed)


def sides(prepared):
    return prepared.groupby("file_id")["is_holdout"].unique()


@pytest.fixture
def jobs(simulated_jobs):
    return simulated_jobs.copy()


@pytest.fixture
def messy(jobs):
    """Jobs as people have them: outcomes of all kinds, missing identifiers, missing peaks, repeated measurements."""
    jobs["outcome"] = (OUTCOMES * len(jobs))[: len(jobs)]
    jobs.loc[jobs["outcome"].isin(["timeout", "crashed"]), "peak_mem_mb"] = np.nan
    jobs.loc[jobs.index[::13], "parse_failed"] = 1.0
    jobs.loc[jobs.index[2::40], "peak_mem_mb"] = np.nan
    jobs.loc[jobs.index[::7], "job_id"] = None
    jobs.loc[jobs.index[::12], "file_id"] = None
    jobs.loc[jobs.index[::11], ["pages", "dpi", "origin", "objects"]] = None
    again = jobs.iloc[::9].assign(peak_mem_mb=lambda frame: frame["peak_mem_mb"] + 1)
    return pd.concat([jobs, again], ignore_index=True)


def test_every_engine_gives_the_same_rows_and_values(messy, frame_engine):
    expected, counted = prepare(messy)
    shuffled = messy.sample(frac=1, random_state=1)
    # A Spark table may hold NaN where pandas cannot tell it from a missing value
    missing = nw.when(nw.col("pages").is_null()).then(nw.lit(float("nan"))).otherwise(nw.col("pages"))
    with_nan = nw.from_native(frame_engine.make(shuffled)).with_columns(pages=missing).to_native()
    native, found_counts = prepare(with_nan)
    found = frame_engine.collect(native, "job_id")
    pd.testing.assert_frame_equal(found, expected.sort_values("job_id", ignore_index=True), check_exact=True)
    assert found_counts == counted


def test_two_columns_are_enough(jobs):
    prepared, report = prepare(jobs[["file_bytes", "peak_mem_mb"]])
    assert len(prepared) == len(jobs)
    assert set(prepared["operation"]) == {"render"}
    assert set(prepared["origin"]) == {"measured"}
    assert prepared[[name for name in STRUCTURE if name != "file_bytes"]].isna().all(axis=None)
    assert report["columns_missing"] == sorted({"dpi", *STRUCTURE} - {"file_bytes"})
    # Without a file_id, rows of one size are taken for one file
    assert prepared["file_id"].nunique() == jobs["file_bytes"].nunique()
    assert sides(prepared).map(len).eq(1).all()


def test_no_file_is_on_both_sides(messy):
    prepared, report = prepare(messy)
    assert sides(prepared).map(len).eq(1).all()
    assert report["rows_train"] == (~prepared["is_holdout"]).sum() > 0
    assert report["rows_holdout"] == prepared["is_holdout"].sum() > 0


def test_only_completed_jobs_are_kept_and_all_are_counted(jobs):
    outcomes = ["ok", "timeout", "crashed", "memory_limit", "invalid", "error"]
    jobs["outcome"] = outcomes * (len(jobs) // 6)
    prepared, report = prepare(jobs)
    assert set(prepared["outcome"]) == {"ok"}
    assert report["rows_read"] == len(jobs)
    assert report["rows_by_outcome"] == dict.fromkeys(sorted(outcomes), len(jobs) // 6)
    assert report["rows_train"] + report["rows_holdout"] == len(jobs) // 6


def test_a_refusal_counts_where_the_scan_could_not_read_the_file_either(jobs):
    jobs["outcome"] = ["ok", "encrypted", "invalid", "error", "timeout", "crashed"] * (len(jobs) // 6)
    jobs["parse_failed"] = np.repeat([1.0, 0.0, np.nan, 0.0], len(jobs) // 4)
    prepared, _ = prepare(jobs)
    assert set(prepared.loc[prepared["parse_failed"] == 1, "outcome"]) == {"ok", "encrypted", "invalid", "error"}
    assert set(prepared.loc[prepared["parse_failed"] != 1, "outcome"]) == {"ok"}


def test_a_completed_job_without_a_peak_is_dropped_and_counted(jobs):
    jobs.loc[:4, "peak_mem_mb"] = np.nan
    prepared, report = prepare(jobs)
    assert prepared["peak_mem_mb"].notna().all()
    assert report["rows_without_peak"] == 5
    assert len(prepared) == len(jobs) - 5


def test_of_a_repeated_job_one_row_is_kept(jobs):
    repeated = pd.concat([jobs, jobs.assign(peak_mem_mb=jobs["peak_mem_mb"] * 2), jobs.iloc[::-1]])
    prepared, _ = prepare(repeated)
    assert sorted(prepared["job_id"]) == sorted(jobs["job_id"])


def test_jobs_without_identifiers_are_told_apart_by_what_was_done(jobs):
    bare = jobs.drop(columns=["job_id", "file_id"])
    prepared, _ = prepare(pd.concat([bare, bare]))
    assert len(prepared) == len(jobs)
    assert prepared["job_id"].is_unique


def test_a_missing_identifier_does_not_make_two_jobs_one(jobs):
    jobs.loc[::3, "job_id"] = None
    prepared, _ = prepare(jobs)
    assert len(prepared) == len(jobs)
    assert prepared["job_id"].notna().all()


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_the_share_of_files_held_out_is_respected(share, seed):
    # One row per file: the count is binomial, and six standard deviations are out of reach
    jobs = simulate_jobs(100, (72,), 1).assign(
        job_id=lambda frame: frame.index.astype(str), file_id=lambda f: f["job_id"]
    )
    prepared, _ = prepare(jobs, seed, holdout_share=share)
    expected = share * len(jobs)
    assert abs(prepared["is_holdout"].sum() - expected) < 6 * np.sqrt(expected * (1 - share))


def test_the_document_share_keeps_whole_files_of_both_sides(jobs):
    everything, _ = prepare(jobs)
    part, _ = prepare(jobs, document_share=0.5)
    files = everything.groupby("file_id").size()
    assert part.groupby("file_id").size().eq(files[part["file_id"].unique()]).all()
    assert 0.3 < part["file_id"].nunique() / len(files) < 0.7
    # The draw that chooses files is not the one that holds them out
    assert 0.1 < part.groupby("file_id")["is_holdout"].first().mean() < 0.5
    assert sides(part).explode().to_dict() == sides(everything).explode()[part["file_id"].unique()].to_dict()


def test_the_seed_changes_the_split_and_other_files_do_not(jobs):
    first, second = (sides(prepare(jobs, seed)[0]).explode() for seed in (1, 2))
    assert 0.1 < (first != second).mean() < 0.9
    some = jobs[jobs["file_id"].isin(first.index[:40])]
    assert sides(prepare(some, 1)[0]).explode().equals(first.iloc[:40])


@pytest.mark.parametrize(
    ("change", "clue"),
    [
        (lambda jobs: jobs.assign(outcome="timeout"), "{'timeout': 480}"),
        (lambda jobs: jobs.assign(file_id="the only one"), "training and 0 holdout|leaves 0 training"),
        (lambda jobs: jobs.assign(peak_mem_mb=np.nan), "and a peak can be used"),
    ],
    ids=["all stopped", "one file", "no peak"],
)
def test_an_empty_side_is_a_user_error(jobs, change, clue):
    with pytest.raises(UserError, match=clue) as caught:
        prepare(change(jobs))
    assert "pdf_memory.jobs" in str(caught.value)
    assert "pdf_memory.split.holdout_share" in str(caught.value)


def test_the_given_table_stays_as_it_was(messy):
    before = messy.copy(deep=True)
    prepare(messy)
    pd.testing.assert_frame_equal(messy, before)
