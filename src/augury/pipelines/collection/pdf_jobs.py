"""Collect memory measurements of PDF jobs: choose documents, run each job in a child of its own, add the structure."""

import hashlib
import itertools
import json
import logging
import queue
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.collection.pdf_corpus import write_corpus
from augury.pipelines.collection.pdf_synthetic import simulate_jobs
from augury.predictors.pdf_structure import STRUCTURE, scan_pdfs

logger = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("pdf_worker.py")

MEASUREMENT_COLUMNS = (
    "job_id", "file_id", "operation", "dpi", "max_pages", "engine",
    "outcome", "reason", "cpu_s", "peak_mem_mb", "base_mem_mb",
)  # fmt: skip

CHUNK_ROWS = 100
"""Measurements that a killed run may lose at the most."""


class PdfCollection(Parameters):
    """What to measure, and within which limits."""

    source: Literal["measured", "synthetic"] = Field(
        description="measured: run real jobs; synthetic: simulated rows for a quick try"
    )
    folder: str | None = Field(description="folder of PDF files, searched recursively; null: a generated corpus")
    corpus_folder: str = Field(description="where the generated corpus is written")
    documents: int = Field(ge=1, description="files of the generated corpus, or rows / 6 of synthetic data")
    operations: tuple[Literal["text", "render", "rewrite"], ...] = Field(min_length=1, description="jobs to run")
    dpi: tuple[float, ...] = Field(min_length=1, description="render resolutions to draw from (dots per inch)")
    renders_per_document: int = Field(ge=1, description="resolutions drawn per document")
    max_pages: int = Field(ge=1, description="pages that a job processes at the most")
    time_limit_s: float = Field(gt=0, description="wall-clock limit of one job (s)")
    memory_limit_mb: float = Field(gt=0, description="address space that one job may add (MB)")
    workers: int = Field(ge=1, description="jobs at a time")


def find_documents(collection: PdfCollection, seed: int) -> pd.DataFrame:
    """List the documents to measure; without a folder, generate a varied corpus first.

    Args:
        collection: The collection's parameters.
        seed: Seed of the generated corpus.

    Returns:
        One row per distinct document: ``path``, ``file_name``, ``file_id`` (SHA-256 of the content), sorted by path.

    Raises:
        UserError: If the folder does not exist or holds no PDF.
    """
    if collection.source == "synthetic":
        return pd.DataFrame(columns=["path", "file_name", "file_id"], dtype="object")
    if collection.folder is None:
        folder = Path(collection.corpus_folder)
        with tqdm(total=collection.documents, desc="corpus", unit="file", mininterval=2) as bar:
            paths = write_corpus(folder, collection.documents, seed, lambda done, total: _advance(bar, done))
    else:
        folder = Path(collection.folder)
        if not folder.is_dir():
            raise UserError(
                f"Parameter 'pdf_memory.collection.folder': there is no folder '{folder}'. "
                "Example: --params=pdf_memory.collection.folder=/srv/pdfs"
            )
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".pdf" and path.is_file())
    if not paths:
        raise UserError(f"Parameter 'pdf_memory.collection.folder': '{folder}' holds no file that ends in .pdf.")
    documents = pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "file_name": [path.name for path in paths],
            "file_id": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        }
    )
    return documents.drop_duplicates("file_id", ignore_index=True)


def plan_jobs(documents: pd.DataFrame, collection: PdfCollection, seed: int) -> pd.DataFrame:
    """Cross the documents with operations and resolutions.

    Args:
        documents: What :func:`find_documents` returned.
        collection: The collection's parameters.
        seed: Seed of the resolutions drawn per document.

    Returns:
        One row per job: ``job_id``, ``file_id``, ``path``, ``operation``, ``dpi`` (NaN unless rendered), ``max_pages``.
    """
    frames = []
    for operation in collection.operations:
        jobs = documents[["file_id", "path"]].assign(operation=operation, dpi=np.nan)
        if operation == "render":
            jobs = pd.concat([jobs.assign(dpi=dpi) for dpi in sorted(set(collection.dpi))], ignore_index=True)
            # The draw depends on the document, the resolution and the seed alone, so that a larger folder keeps earlier
            # jobs
            keys = [
                hashlib.sha256(f"{seed}:{file_id}:{dpi:g}".encode()).hexdigest()
                for file_id, dpi in zip(jobs["file_id"], jobs["dpi"], strict=True)
            ]
            jobs = (
                jobs.assign(key=keys).sort_values("key").groupby("file_id").head(collection.renders_per_document)
            ).drop(columns="key")
        frames.append(jobs)
    plan = pd.concat(frames, ignore_index=True).sort_values(["path", "operation", "dpi"], ignore_index=True)
    plan["max_pages"] = collection.max_pages
    plan.insert(
        0,
        "job_id",
        [
            f"{file_id[:16]}-{operation}" + ("" if np.isnan(dpi) else f"-{dpi:g}") + f"-p{collection.max_pages}"
            for file_id, operation, dpi in zip(plan["file_id"], plan["operation"], plan["dpi"], strict=True)
        ],
    )
    return plan


def measure_jobs(
    documents: pd.DataFrame, measured: pd.DataFrame, collection: PdfCollection, seed: int
) -> Iterator[pd.DataFrame]:
    """Run every job that is not measured yet, each in a forked child with limits; yield the results in chunks.

    Args:
        documents: What :func:`find_documents` returned.
        measured: Measurements of earlier, perhaps interrupted runs (may be empty).
        collection: The collection's parameters.
        seed: Seed of the plan.

    Yields:
        Frames of up to :data:`CHUNK_ROWS` rows with :data:`MEASUREMENT_COLUMNS`; memory in MB (2**20 bytes), time in
        seconds.
    """
    if collection.source == "synthetic":
        return
    plan = plan_jobs(documents, collection, seed)
    done = set(measured["job_id"]) if len(measured) else set()
    todo = plan[~plan["job_id"].isin(done)]
    logger.info(
        "%d of %d jobs are measured already, %d to run.",
        len(plan) - len(todo),
        len(plan),
        len(todo),
    )
    limits = {
        "time_limit_s": collection.time_limit_s,
        "memory_limit_mb": collection.memory_limit_mb,
    }
    # JSON knows no NaN that other parsers accept, hence null for "no resolution"
    jobs = [job | limits | {"dpi": None if np.isnan(job["dpi"]) else job["dpi"]} for job in todo.to_dict("records")]
    results = _run_all(jobs, collection.workers)
    with tqdm(results, total=len(jobs), desc="PDF jobs", unit="job", mininterval=2) as bar:
        rows = iter(bar)
        while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
            yield pd.DataFrame(chunk, columns=list(MEASUREMENT_COLUMNS)).astype(
                {
                    "dpi": "float64",
                    "cpu_s": "float64",
                    "peak_mem_mb": "float64",
                    "base_mem_mb": "float64",
                }
            )


def assemble_jobs(
    documents: pd.DataFrame, measurements: pd.DataFrame, collection: PdfCollection, seed: int
) -> pd.DataFrame:
    """Join the measurements of the planned jobs with the structure of their documents.

    Args:
        documents: What :func:`find_documents` returned.
        measurements: All measurements, also those of other folders.
        collection: The collection's parameters.
        seed: Seed of the plan, or of the simulation.

    Returns:
        The raw table of ``pdf_memory``: identifiers, the job, :data:`~augury.predictors.pdf_structure.STRUCTURE`,
        outcome and peak; ``origin`` says measured or simulated.
    """
    if collection.source == "synthetic":
        return simulate_jobs(collection.documents, collection.dpi, seed)
    planned = plan_jobs(documents, collection, seed)["job_id"]
    rows = measurements[measurements["job_id"].isin(planned)].drop_duplicates("job_id")
    with tqdm(documents["path"], desc="structure", unit="file", mininterval=2) as paths:
        structure = scan_pdfs(paths, collection.max_pages)
    structure = documents.merge(structure, on="path").drop(columns="path")
    jobs = rows.merge(structure, on="file_id", how="inner").assign(origin="measured")
    order = ["job_id", "file_id", "file_name", "operation", "dpi", "max_pages", *STRUCTURE]
    order += ["engine", "outcome", "reason", "cpu_s", "base_mem_mb", "peak_mem_mb", "origin"]
    logger.info(
        "%d jobs over %d documents: %s",
        len(jobs),
        jobs["file_id"].nunique(),
        jobs["outcome"].value_counts().to_dict(),
    )
    return jobs[order].sort_values(["file_name", "job_id"], ignore_index=True)


def _advance(bar: Any, done: int) -> None:
    bar.update(done - bar.n)


class _Worker:
    """One fork server process; restarted if it dies."""

    def __init__(self) -> None:
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            self._process = self._start()
            return job | {
                "outcome": "crashed",
                "reason": f"the measuring process ended with code {code}",
            }
        return job | json.loads(line)


def _run_all(jobs: list[dict[str, Any]], workers: int) -> Iterable[dict[str, Any]]:
    """Run jobs on a few workers; results come in the order of the jobs."""
    if not jobs:
        return
    engines = _engine_versions()
    with ExitStack() as stack:
        idle: queue.Queue[_Worker] = queue.Queue()
        for _ in range(workers):
            idle.put(stack.enter_context(_Worker()))
        executor = stack.enter_context(ThreadPoolExecutor(workers))

        def run(job: dict[str, Any]) -> dict[str, Any]:
            worker = idle.get()
            try:
                return worker.run(job) | {"engine": engines[job["operation"]]}
            finally:
                idle.put(worker)

        # Submitted piecewise: an interrupted run must not wait for thousands of queued jobs
        for start in range(0, len(jobs), CHUNK_ROWS):
            yield from executor.map(run, jobs[start : start + CHUNK_ROWS])


def _engine_versions() -> dict[str, str]:
    try:
        import pikepdf
        import pypdfium2
    except ImportError as error:
        raise UserError("Measuring PDF jobs needs the extra 'pdf': pip install 'augury[pdf]'.") from error
    pdfium = f"pypdfium2 {pypdfium2.PYPDFIUM_INFO}"
    return {"text": pdfium, "render": pdfium, "rewrite": f"pikepdf {pikepdf.__version__}"}
