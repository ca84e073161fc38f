"""Collect a genuine query log: execute planned statements on DuckDB, each in a process of its own, and measure them."""

import importlib
import itertools
import json
import logging
import queue
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.collection.query_plan import PLAN_COLUMNS, Catalog, plan_queries
from augury.pipelines.collection.query_templates import SCHEMAS, Benchmark, load_benchmark

logger = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("query_worker.py")

MEASURED_COLUMNS = (
    "outcome", "reason", "cpu_s", "wall_s", "peak_memory_bytes", "peak_resident_bytes", "rows_returned",
    "physical_input_bytes", "physical_input_rows", "inputs_json", "time_limit_s", "cpu_limit_s", "memory_limit_mb",
    "engine",
)  # fmt: skip
"""What a run adds to a planned query."""

CHUNK_ROWS = 25
"""Measurements that a killed run may lose at the most."""

_NUMBERS = (
    "scale_factor", "cpu_s", "wall_s", "peak_memory_bytes", "peak_resident_bytes", "rows_returned",
    "physical_input_bytes", "physical_input_rows", "time_limit_s", "cpu_limit_s", "memory_limit_mb",
)  # fmt: skip

ExtensionFinder = Callable[[str], str]


class QueryCollection(Parameters):
    """What to execute, and within which limits."""

    lab_folder: str = Field(description="where the tables of TPC-H and TPC-DS are generated, as parquet")
    catalogs: dict[str, float] = Field(
        min_length=1, description="name of a catalog in Trino -> scale factor of its copy of the data"
    )
    queries: int = Field(ge=1, description="queries over data")
    metadata_queries: int = Field(ge=0, description="cheap statements: SHOW, DESCRIBE, EXPLAIN, SET, DDL")
    generated_templates: int = Field(ge=0, description="random structures beside the benchmarks' own queries")
    time_limit_s: float = Field(gt=0, description="wall-clock limit of one query (s)")
    cpu_limit_s: float = Field(gt=0, description="CPU limit of one query (s)")
    memory_limit_mb: float = Field(ge=16, description="memory limit of one query (MiB)")
    workers: int = Field(ge=1, description="queries at a time")


def execute_queries(executed_so_far: pd.DataFrame, collection: QueryCollection, seed: int) -> Iterator[pd.DataFrame]:
    """Run every planned query that is not measured yet, each in a forked child with limits; yield results in chunks.

    Tables that do not exist yet are generated first.

    Args:
        executed_so_far: Results of earlier, perhaps interrupted runs (may be empty).
        collection: The collection's parameters.
        seed: Seed of the plan.

    Yields:
        Frames of up to :data:`CHUNK_ROWS` rows: the plan's columns and :data:`MEASURED_COLUMNS`.
    """
    extension = _extensions()
    with _Workers(collection.workers) as workers:
        _generate_lab(workers, collection, extension)
        plan = _plan(collection, extension, seed)
        # A crash may have come from outside, for instance from a machine out of memory, and is tried again
        done = set(executed_so_far.query("outcome != 'crashed'")["job_id"]) if len(executed_so_far) else set()
        todo = plan[~plan["job_id"].isin(done)]
        logger.info("%d of %d queries are executed already, %d to run.", len(plan) - len(todo), len(plan), len(todo))
        sizes = _sizes(collection)
        outcomes: Counter[str] = Counter()

        def finished() -> Iterator[dict[str, Any]]:
            for row, answer in workers.run_all(_job(row, collection) for row in _records(todo)):
                outcomes[answer["outcome"]] += 1
                bar.update()
                bar.set_postfix(outcomes, refresh=False)
                yield _finish(row, answer, sizes, collection)

        with tqdm(total=len(todo), desc="queries", unit="query", mininterval=2) as bar:
            rows = finished()
            while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                frame = pd.DataFrame(chunk, columns=[*PLAN_COLUMNS, *MEASURED_COLUMNS])
                yield frame.astype(dict.fromkeys(_NUMBERS, "float64") | {"prepared_query": "object"})


def assemble_queries(executed_parts: pd.DataFrame, collection: QueryCollection, seed: int) -> pd.DataFrame:
    """Put the results of the planned queries into one table, in the order of the plan.

    Args:
        executed_parts: All results, also those of other plans.
        collection: The collection's parameters.
        seed: Seed of the plan.

    Returns:
        One row per executed query: the plan's columns and :data:`MEASURED_COLUMNS`. Queries that ended neither well nor
        at a limit (outcomes error and crashed) are left out and counted in the log.

    Raises:
        UserError: If nothing of the plan was executed.
    """
    plan = _plan(collection, _extensions(), seed)
    measured = executed_parts.reindex(columns=["job_id", *MEASURED_COLUMNS]).drop_duplicates("job_id", keep="last")
    executed = plan.merge(measured, on="job_id")
    if executed.empty:
        raise UserError(
            "Dataset 'query_cost.executed_parts' holds none of the planned queries. "
            "Example: kedro run --pipeline=collection --namespaces=query_cost"
        )
    usable = executed["outcome"].isin(["ok", "time_limit", "cpu_limit", "memory_limit"])
    logger.info("%d executed queries: %s", len(executed), executed["outcome"].value_counts().to_dict())
    return executed[usable].reset_index(drop=True)


def _extensions() -> ExtensionFinder:
    """Where DuckDB's extensions lie: they come with packages, nothing is downloaded."""
    try:
        import duckdb

        modules = {schema: importlib.import_module(f"duckdb_extension_{schema}") for schema in SCHEMAS}
        importlib.import_module("sqlglot")  # of the same extra
    except ImportError as error:
        raise UserError("Executing queries needs the extra 'lab': pip install 'augury[lab]'.") from error

    def find(schema: str) -> str:
        folder = Path(str(modules[schema].__file__)).parent / "extensions" / f"v{duckdb.__version__}"
        path = folder / f"{schema}.duckdb_extension"
        if not path.is_file():
            raise UserError(
                f"The package duckdb-extension-{schema} does not fit duckdb {duckdb.__version__}: no '{path}'. "
                f"Example: pip install duckdb-extension-{schema}=={duckdb.__version__}"
            )
        return str(path)

    return find


def _folder(collection: QueryCollection, scale_factor: float, schema: str) -> Path:
    return Path(collection.lab_folder).absolute() / f"sf{scale_factor:g}" / schema


def _generate_lab(workers: "_Workers", collection: QueryCollection, extension: ExtensionFinder) -> None:
    missing = [
        (scale_factor, schema, function)
        for scale_factor in sorted(set(collection.catalogs.values()))
        for schema, function in SCHEMAS.items()
        if not _folder(collection, scale_factor, schema).is_dir()
    ]
    with tqdm(missing, desc="tables", unit="schema", mininterval=2, disable=not missing) as bar:
        for scale_factor, schema, function in bar:
            folder = _folder(collection, scale_factor, schema)
            folder.parent.mkdir(parents=True, exist_ok=True)
            answer = workers.run_one(
                {
                    "task": "generate",
                    "function": function,
                    "extension": extension(schema),
                    "scale_factor": scale_factor,
                    "folder": str(folder),
                }
            )
            if answer["outcome"] != "ok":
                raise UserError(
                    f"Parameter 'query_cost.collection.catalogs': generating {schema} at scale factor {scale_factor:g} "
                    f"failed: {answer['reason']}. Example: --params=query_cost.collection.catalogs.lake=0.1"
                )


def _plan(collection: QueryCollection, extension: ExtensionFinder, seed: int) -> pd.DataFrame:
    smallest = min(collection.catalogs.values())
    benchmarks: list[Benchmark] = [
        load_benchmark(schema, extension(schema), str(_folder(collection, smallest, schema))) for schema in SCHEMAS
    ]
    catalogs = [Catalog(name, scale_factor) for name, scale_factor in collection.catalogs.items()]
    plan, skipped = plan_queries(
        benchmarks, catalogs, collection.queries, collection.metadata_queries, collection.generated_templates, seed
    )
    logger.info(
        "Plan of %d queries; skipped %d that Trino's SQL cannot express and %d duplicates.",
        len(plan),
        skipped["not_transpiled"],
        skipped["duplicate"],
    )
    return plan


def _records(plan: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for values in plan.itertuples(index=False, name=None):
        yield dict(zip(plan.columns, values, strict=True))


def _job(row: dict[str, Any], collection: QueryCollection) -> tuple[dict[str, Any], dict[str, Any]]:
    return row, {
        "task": "query",
        "schema": row["schema"],
        "folder": str(_folder(collection, row["scale_factor"], row["schema"])),
        "tables": row["tables"].split(",") if row["tables"] else [],
        "setup": row["setup"].split("\n") if row["setup"] else [],
        "sql": row["sql"],
        "time_limit_s": collection.time_limit_s,
        "cpu_limit_s": collection.cpu_limit_s,
        "memory_limit_mb": collection.memory_limit_mb,
    }


Sizes = dict[tuple[float, str, str], tuple[int, dict[str, int]]]


def _sizes(collection: QueryCollection) -> Sizes:
    """Rows and compressed bytes per column of every parquet file."""
    from pyarrow import parquet

    sizes: Sizes = {}
    for scale_factor in set(collection.catalogs.values()):
        for schema in SCHEMAS:
            for path in sorted(_folder(collection, scale_factor, schema).glob("*.parquet")):
                metadata = parquet.read_metadata(path)
                columns: Counter[str] = Counter()
                for group in range(metadata.num_row_groups):
                    for position in range(metadata.num_columns):
                        chunk = metadata.row_group(group).column(position)
                        columns[chunk.path_in_schema] += chunk.total_compressed_size
                sizes[scale_factor, schema, path.stem] = metadata.num_rows, dict(columns)
    return sizes


def _finish(row: dict[str, Any], answer: dict[str, Any], sizes: Sizes, collection: QueryCollection) -> dict[str, Any]:
    """Join plan and measurement; turn scans into what Trino calls physical input."""
    import duckdb

    inputs: dict[str, list[float]] = {}
    # A query that was ended has no profile: what it touched is known, how much of it is not
    for scan in answer.pop("scans"):
        rows, columns = sizes[row["scale_factor"], row["schema"], scan["table"]]
        share = min(scan["rows"] / rows, 1.0) if rows else 0.0
        read = inputs.setdefault(scan["table"], [0.0, 0.0])
        read[0] += round(share * sum(columns.get(column, 0) for column in scan["columns"]))
        read[1] += scan["rows"]
    ended = answer["outcome"] != "ok"
    if ended and row["kind"] != "metadata":
        inputs = {table: [float("nan")] * 2 for table in row["tables"].split(",") if table}
    listed = [
        {
            "catalogName": row["catalog"],
            "schema": row["schema"],
            "table": table,
            "physicalInputBytes": None if ended else int(read[0]),
            "physicalInputRows": None if ended else int(read[1]),
        }
        for table, read in sorted(inputs.items())
    ]
    return (
        row
        | answer
        | {
            "physical_input_bytes": None if ended else sum(read[0] for read in inputs.values()),
            "physical_input_rows": None if ended else sum(read[1] for read in inputs.values()),
            "inputs_json": json.dumps(listed, separators=(",", ":")) if listed else None,
            "time_limit_s": collection.time_limit_s,
            "cpu_limit_s": collection.cpu_limit_s,
            "memory_limit_mb": collection.memory_limit_mb,
            "engine": f"duckdb {duckdb.__version__}",
        }
    )


class _Worker:
    """One fork server process; restarted if it dies."""

    def __init__(self) -> None:
        self._process = self._start()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        start = time.monotonic()
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._process = self._start()
        return {
            "outcome": "crashed",
            "reason": f"the measuring process ended with code {code}",
            "wall_s": time.monotonic() - start,
            "scans": [],
        }

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class _Workers:
    """A few fork servers; results come in the order of the jobs."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._stack = ExitStack()
        self._idle: queue.Queue[_Worker] = queue.Queue()

    def __enter__(self) -> Self:
        for _ in range(self._count):
            worker = _Worker()
            self._stack.callback(worker.stop)
            self._idle.put(worker)
        self._executor = self._stack.enter_context(ThreadPoolExecutor(self._count))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def run_one(self, job: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            return worker.run(job)
        finally:
            self._idle.put(worker)

    def run_all(
        self, jobs: Iterable[tuple[dict[str, Any], dict[str, Any]]]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Run jobs, each given with the row it belongs to."""
        pending = iter(jobs)
        # Submitted piecewise: an interrupted run must not wait for thousands of queued jobs
        while piece := list(itertools.islice(pending, 2 * self._count)):
            answers = self._executor.map(self.run_one, [job for _, job in piece])
            yield from zip((row for row, _ in piece), answers, strict=True)
