"""Kedro hooks of the project itself; experiment tracking has its own package."""

import ctypes
import sys
from itertools import chain
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from augury.deferred_imports import deferred_imports, import_all
from augury.errors import UserError
from augury.parameters import declared_parameters, find_problems


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
        problems = find_problems(context.config_loader["parameters"], declared_parameters(nodes))
        if problems:
            raise UserError("\n".join(problems))


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
    every thread. After a dozen nodes the process would hold several hundred MB that nobody uses.
    """

    @hook_impl
    def after_node_run(self) -> None:
        """Release what Arrow and the C library keep."""
        if "pyarrow" in sys.modules:
            sys.modules["pyarrow"].default_memory_pool().release_unused()
        if sys.platform == "linux":
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
            if trim is not None:
                trim(0)
