"""Collection of PDF jobs: a stable plan, real measurements, and no work done twice."""

import hashlib
import sys

import numpy as np
import pandas as pd
import pikepdf
import pytest
from pikepdf import Dictionary, Name

from augury.datasets.parquet_parts import ParquetPartsDataset
from augury.errors import UserError
from augury.pipelines.collection import pdf_jobs
from augury.pipelines.collection.pdf_jobs import (
    MEASUREMENT_COLUMNS,
    PdfCollection,
    assemble_jobs,
    find_documents,
    measure_jobs,
    plan_jobs,
)
from augury.predictors.pdf_structure import STRUCTURE
from augury.schemas.pdf_jobs import PdfJobs

# The real measuring process, whose text job goes wrong as the name of the file says
DRIVER = """
import importlib.util, os, time
specification = importlib.util.spec_from_file_location("pdf_worker", {worker!r})
worker = importlib.util.module_from_spec(specification)
specification.loader.exec_module(worker)
text = worker.OPERATIONS["text"]
def act(path, dpi, pages):
    name = os.path.basename(path)
    if "crash" in name:
        os.kill(os.getpid(), 11)
    if "hang" in name:
        time.sleep(60)
    if "kill" in name:
        os.kill(os.getppid(), 9)
        time.sleep(60)
    return text(path, dpi, pages)
worker.OPERATIONS["text"] = act
worker.main()
"""


def make_pdf(path, width=200, **options):
    document = pikepdf.new()
    document.pages.append(pikepdf.Page(Dictionary(Type=Name.Page, MediaBox=[0, 0, width, 100])))
    path.parent.mkdir(parents=True, exist_ok=True)
    document.save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        make_pdf(tmp_path / "pdfs" / f"{number}.pdf", width=200 + number)
    return tmp_path / "pdfs"


@pytest.fixture
def settings(folder):
    return collection(folder=str(folder))


def collection(**changes):
    defaults = {
        "source": "measured", "folder": None, "corpus_folder": "unused", "documents": 4, "max_pages": 3,
        "operations": ("text", "render"), "dpi": (72.0, 100.0, 150.0, 300.0), "renders_per_document": 2,
        "time_limit_s": 20, "memory_limit_mb": 500, "workers": 2,
    }  # fmt: skip
    return PdfCollection.model_validate(defaults | changes)


def measure(documents, measured, settings, seed=3):
    parts = list(measure_jobs(documents, measured, settings, seed))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(MEASUREMENT_COLUMNS))


NOTHING = pd.DataFrame()


# --- documents ---


def test_documents_are_found_in_all_folders_and_once(folder, settings):
    make_pdf(folder / "deeper" / "UPPER.PDF", width=500)
    (folder / "copy of 0.pdf").write_bytes((folder / "0.pdf").read_bytes())
    (folder / "notes.txt").write_text("no PDF")
    (folder / "folder.pdf").mkdir()
    documents = find_documents(settings, 3)
    assert documents["file_name"].tolist() == ["0.pdf", "1.pdf", "2.pdf", "UPPER.PDF"]
    assert documents["file_id"].is_unique
    assert documents["path"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("make", "message"), [(False, "there is no folder"), (True, "holds no file that ends in .pdf")]
)
def test_a_folder_without_documents_is_a_user_error(tmp_path, make, message):
    if make:
        (tmp_path / "nowhere").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        find_documents(collection(folder=str(tmp_path / "nowhere")), 3)
    assert "pdf_memory.collection.folder" in str(caught.value)
    assert "nowhere" in str(caught.value)


def test_without_a_folder_a_corpus_is_generated(tmp_path):
    documents = find_documents(collection(corpus_folder=str(tmp_path / "corpus"), documents=3), 3)
    assert len(documents) == 3
    again = find_documents(collection(corpus_folder=str(tmp_path / "other"), documents=3), 3)
    assert again["file_id"].tolist() == documents["file_id"].tolist()


# --- the plan ---


def plan(count, settings, seed=3):
    names = [hashlib.sha256(bytes([number])).hexdigest() for number in range(count)]
    documents = pd.DataFrame({"path": [f"/pdfs/{name}.pdf" for name in names], "file_name": names, "file_id": names})
    return plan_jobs(documents, settings, seed)


def test_the_plan_crosses_documents_and_operations():
    jobs = plan(5, collection(operations=("text", "render", "rewrite")))
    assert jobs["job_id"].is_unique
    assert jobs.groupby("operation").size().to_dict() == {"render": 10, "rewrite": 5, "text": 5}
    assert jobs.groupby("operation")["dpi"].count().to_dict() == {"render": 10, "rewrite": 0, "text": 0}
    assert jobs[jobs["operation"] == "render"].groupby("file_id")["dpi"].nunique().eq(2).all()
    assert (jobs["max_pages"] == 3).all()


def test_the_plan_is_deterministic_and_grows_without_changing_earlier_jobs():
    settings = collection()
    few, many = plan(20, settings), plan(50, settings)
    pd.testing.assert_frame_equal(plan(20, settings), few)
    assert set(few["job_id"]) <= set(many["job_id"])
    # One more draw per document keeps the earlier ones
    more = plan(20, collection(renders_per_document=3))
    assert set(few["job_id"]) < set(more["job_id"])


def test_another_seed_draws_other_resolutions():
    settings = collection()
    first, second = plan(50, settings, 1), plan(50, settings, 2)
    assert first["file_id"].tolist() == second["file_id"].tolist()
    assert 10 < len(set(first["job_id"]) - set(second["job_id"])) < 90
    # Every resolution is drawn about as often as any other
    assert first["dpi"].value_counts().between(10, 40).all()


def test_a_resolution_is_drawn_once_however_often_it_is_listed():
    assert plan(4, collection(dpi=(72, 72.0, 72), renders_per_document=3))["job_id"].is_unique


# --- measurements ---


def test_tiny_documents_are_measured_and_assembled(folder, settings):
    documents = find_documents(settings, 3)
    measurements = measure(documents, NOTHING, settings)
    assert list(measurements) == list(MEASUREMENT_COLUMNS)
    assert len(measurements) == 3 * (1 + 2)
    assert set(measurements["outcome"]) == {"ok"}
    assert measurements["peak_mem_mb"].between(5, 60).all()
    assert measurements["engine"].str.startswith("pypdfium2").all()
    jobs = assemble_jobs(documents, measurements, settings, 3)
    PdfJobs.validate(jobs)
    assert sorted(jobs["job_id"]) == sorted(measurements["job_id"])
    assert set(jobs["origin"]) == {"measured"}
    assert jobs.groupby("file_name")["page_area_max"].first().tolist() == [20_000, 20_100, 20_200]
    assert (jobs["file_bytes"] > 0).all()
    assert "path" not in jobs


def test_a_second_run_measures_nothing(settings, monkeypatch):
    documents = find_documents(settings, 3)
    measurements = measure(documents, NOTHING, settings)
    monkeypatch.setattr(pdf_jobs, "WORKER", "/no/such/program")
    assert list(measure_jobs(documents, measurements, settings, 3)) == []


def test_after_a_lost_part_only_its_jobs_are_measured_again(folder, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf_jobs, "CHUNK_ROWS", 2)
    parts = ParquetPartsDataset(path=str(tmp_path / "parts"))
    documents = find_documents(settings, 3)
    for chunk in measure_jobs(documents, parts.load(), settings, 3):
        assert len(chunk) <= 2
        parts.save(chunk)
    whole = parts.load()
    assert whole["job_id"].tolist() == plan_jobs(documents, settings, 3)["job_id"].tolist()
    lost = sorted((tmp_path / "parts").iterdir())[1]
    missing = pd.read_parquet(lost)["job_id"].tolist()
    lost.unlink()
    again = measure(documents, parts.load(), settings)
    assert again["job_id"].tolist() == missing
    # Measured jobs of other folders and plans do not matter
    foreign = whole.assign(job_id="foreign-" + whole["job_id"])
    both = pd.concat([parts.load(), foreign, again, again])
    jobs = assemble_jobs(documents, both, settings, 3)
    assert sorted(jobs["job_id"]) == sorted(whole["job_id"])


def test_an_interrupted_run_keeps_what_it_has_measured(settings, monkeypatch):
    monkeypatch.setattr(pdf_jobs, "CHUNK_ROWS", 2)
    documents = find_documents(settings, 3)
    chunks = measure_jobs(documents, NOTHING, settings, 3)
    first = next(chunks)
    chunks.close()
    rest = measure(documents, first, settings)
    assert len(rest) == 9 - 2
    assert set(rest["job_id"]).isdisjoint(first["job_id"])


def test_jobs_that_go_wrong_are_rows_with_outcomes(tmp_path, monkeypatch):
    folder = tmp_path / "pdfs"
    for number, name in enumerate(("crash", "fine", "hang", "kill", "last")):
        make_pdf(folder / f"{name}.pdf", width=300 + number)
    make_pdf(folder / "locked.pdf", encryption=pikepdf.Encryption(owner="secret", user="secret"))
    (folder / "torn.pdf").write_bytes((folder / "fine.pdf").read_bytes()[:80])
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(worker=str(pdf_jobs.WORKER)))
    monkeypatch.setattr(pdf_jobs, "WORKER", driver)
    settings = collection(folder=str(folder), operations=("text",), time_limit_s=1, workers=1)
    documents = find_documents(settings, 3)
    measurements = measure(documents, NOTHING, settings)
    jobs = assemble_jobs(documents, measurements, settings, 3).set_index("file_name")
    assert jobs["outcome"].to_dict() == {
        "crash.pdf": "crashed",
        "fine.pdf": "ok",
        "hang.pdf": "timeout",
        # The measuring process itself died; another one went on
        "kill.pdf": "crashed",
        "last.pdf": "ok",
        "locked.pdf": "encrypted",
        "torn.pdf": "invalid",
    }
    assert jobs.loc[["crash.pdf", "kill.pdf"], "peak_mem_mb"].isna().all()
    assert jobs.loc[["locked.pdf", "torn.pdf"], "parse_failed"].tolist() == [1, 1]
    assert jobs["reason"].loc[jobs["outcome"] != "ok"].str.len().gt(5).all()
    PdfJobs.validate(jobs.reset_index())


# --- simulation ---


def test_simulated_jobs_need_no_pdf_engine(monkeypatch):
    for engine in ("pikepdf", "pypdfium2"):
        monkeypatch.setitem(sys.modules, engine, None)
    settings = collection(source="synthetic", documents=10)
    documents = find_documents(settings, 3)
    assert documents.empty
    assert list(measure_jobs(documents, NOTHING, settings, 3)) == []
    jobs = assemble_jobs(documents, NOTHING, settings, 3)
    PdfJobs.validate(jobs)
    assert len(jobs) == 60
    assert set(jobs["origin"]) == {"simulated"}
    pd.testing.assert_frame_equal(assemble_jobs(documents, NOTHING, settings, 3), jobs)
    assert not assemble_jobs(documents, NOTHING, settings, 4)["peak_mem_mb"].equals(jobs["peak_mem_mb"])


def test_simulated_and_measured_tables_have_the_same_columns(settings):
    documents = find_documents(settings, 3)
    measured = assemble_jobs(documents, measure(documents, NOTHING, settings), settings, 3)
    simulated = assemble_jobs(documents, NOTHING, collection(source="synthetic"), 3)
    assert list(simulated) == list(measured)
    assert (simulated[list(STRUCTURE)].dtypes == np.float64).all()


def test_measuring_without_the_engines_is_a_user_error(settings, monkeypatch):
    documents = find_documents(settings, 3)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(UserError, match=r"pip install 'augury\[pdf\]'"):
        measure(documents, NOTHING, settings)
