"""Kedro hooks of the project itself; experiment tracking has its own package."""

import ctypes
import gc
import mmap
import sys
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from augury.deferred_imports import deferred_imports, import_all
from augury.errors import UserError
from augury.light_imports import hidden, remember_missing
from augury.parameters import declared_parameters, find_problems
from augury.pipeline_registry import left_out

WORTH_COLLECTING = 32 * 2**20
"""Bytes by which a process must have grown before the garbage of its nodes is looked for."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of ``mallopt``, as ``malloc.h`` has them."""

MALLOC = {M_MMAP_THRESHOLD: 2**20, M_TRIM_THRESHOLD: 2**24, M_ARENA_MAX: 1}
"""From 1 MB on a block has pages of its own; 16 MB may stay free at the end of the heap, which all threads share."""


class ParameterCheck:
    """Refuses a run whose parameters hold a key that no node reads or a value of the wrong type."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Check the merged parameters, `--params` included, before Kedro builds the catalog.

        Args:
            context: Kedro's context.

        Raises:
            UserError: One line per problem.
        """
        nodes = chain.from_iterable(pipeline.nodes for pipeline in dict(pipelines).values())
        parameters = context.config_loader["parameters"]
        judged = {name: value for name, value in parameters.items() if name not in left_out()}
        problems = find_problems(judged, declared_parameters(nodes))
        if problems:
            raise UserError("\n".join(problems))
        # Kedro would read and merge the files a second time
        context.config_loader["parameters"] = parameters


class LightDatasets:
    """Imports what most catalogs name, without what only some need."""

    def __init__(self) -> None:
        """Make a hook that hides nothing yet."""
        self._hiding = ExitStack()

    @hook_impl
    def after_context_created(self) -> None:
        """Load the package of tabular datasets without SQLAlchemy.

        It would import every module that it has; those for databases are then loaded when a catalog names them. Kedro
        looks for Ibis whenever it keeps something in memory, every parameter included.
        """
        with hidden("sqlalchemy"):
            import kedro_datasets.pandas  # noqa: F401
        remember_missing("ibis")

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Let a run without Spark validate its tables without PySpark.

        Kedro asks of every validator whether it is one of Pandera's schemas for Spark, and imports both for the
        question. Where Spark frames are read, their datasets have loaded PySpark by now.
        """
        if "pyspark" not in sys.modules:
            self._hiding.enter_context(hidden("pandera.api.pyspark"))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Show it again: the next run of a notebook may read Spark frames."""
        self._hiding.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Show it again."""
        self._hiding.close()


class ImportsBeforeThreads:
    """Loads the libraries of a run before a thread runner starts its threads, see :mod:`augury.deferred_imports`."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Import what the nodes and datasets of this run would import inside their functions.

        Args:
            run_params: Kedro's parameters of the run; ``runner`` names the runner's class.
            pipeline: The pipeline that is about to run.
            catalog: Its datasets.
        """
        if "Thread" not in str(run_params.get("runner")):
            return
        nodes = {node.func.__module__ for node in pipeline.nodes}
        datasets = {type(catalog.get(name)).__module__ for name in pipeline.datasets() if not name.startswith("param")}
        import_all(deferred_imports(nodes | datasets))


class MemoryGivenBack:
    """Gives memory that a node has freed back to the system, so that the peak of a run is that of its largest node.

    Allocators keep freed pages for their next request: Arrow's pool those of a table that was read, glibc those of
    every thread. Pandas leaves frames in cycles (``column.dt`` and ``column.str`` know their column, and a column knows
    its frame), which Python's own collector may find much later. Kedro keeps what a node has read while it saves what
    the node has made. After a dozen nodes the process would hold several hundred MB that nobody uses.

    glibc also learns from every large block that is freed to keep larger ones from then on, between whose remains the
    next array does not fit. With a fixed limit, arrays have pages of their own, which go back when they are freed.
    """

    def __init__(self) -> None:
        """Make a hook that has not seen a run yet."""
        self._kept = 0
        """Resident bytes after memory was given back the last time, or fewer since then."""
        self._node: str | None = None

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Fix the allocator's limits; take what is loaded out of the collector's sight: it stays, and is a lot."""
        for parameter, value in MALLOC.items():
            _of_libc("mallopt", parameter, value)
        gc.freeze()

    @hook_impl
    def before_dataset_loaded(self, node: Any) -> None:
        """Release what the node before has left, before the first dataset of a node is read."""
        if node.name != self._node:
            self._node = node.name
            self._give_back()

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Release what reading the node's datasets took beyond them."""
        self._give_back()

    @hook_impl(trylast=True)
    def after_node_run(self, inputs: dict[str, Any]) -> None:
        """Release what the node has read before its results are saved and tracked: no hook is called after this one.

        Args:
            inputs: What the node has read. Kedro would keep it until everything is saved.
        """
        inputs.clear()
        self._give_back()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let the collector see everything again: a notebook may run many pipelines."""
        gc.unfreeze()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let the collector see everything again."""
        gc.unfreeze()

    def _give_back(self) -> None:
        """Collect garbage and release what Arrow and the C library keep, where it is worth the time."""
        resident = _resident_bytes()
        if resident is not None:
            self._kept = min(self._kept, resident)
            if resident < self._kept + WORTH_COLLECTING:
                return
        gc.collect()
        if "pyarrow" in sys.modules:
            sys.modules["pyarrow"].default_memory_pool().release_unused()
        _of_libc("malloc_trim", 0)
        self._kept = _resident_bytes() or 0


def _of_libc(name: str, *arguments: int) -> None:
    """Call a function of glibc; musl and other systems have none of those that are called here."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)


def _resident_bytes() -> int | None:
    """Memory of this process; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * mmap.PAGESIZE
