"""How pytest-xdist divides the tests: by file, all that share a Spark session together, and the longest first.

Every process that meets Spark starts a JVM of its own, and compiles its first plans slowly. What takes a minute must
not begin when the other processes have nothing left to do.
"""

from typing import Any

import pytest

LONGEST = (
    "tests/project/test_commands.py",  # trains the project that others copy
    "spark",
    "tests/deploy/test_stack.py",
    "tests/notebooks/test_query_cost.py",
    "tests/browser/test_viz.py",
    "tests/tracking/test_serving.py",
    "tests/project/test_environments.py",
    "tests/collection/test_query_lab.py",
    "tests/predictors/test_peer_selection.py",
    "tests/predictors/test_contract.py",
    "tests/tracking/test_hook.py",
    "tests/tracking/test_kedro_session.py",
    "tests/tracking/test_own_process.py",
    "tests/project/test_query_cost.py",
    "tests/project/test_extras.py",
    "tests/project/test_kill.py",
)
"""Groups of more than ten seconds."""
PLACES = {group: place for place, group in enumerate(LONGEST)}


def group_of(nodeid: str) -> str:
    """The file of a test, or ``spark``: by name, because what divides the work knows no markers."""
    path = nodeid.split("::", 1)[0]
    if path.startswith("tests/project/"):  # commands: Spark is in a process of theirs
        return path
    return "spark" if "spark" in nodeid or path.endswith("/test_distributed_boosting.py") else path


def arrange(items: list[pytest.Item]) -> None:
    """Bring the longest groups to the front."""
    items.sort(key=lambda item: PLACES.get(group_of(item.nodeid), len(PLACES)))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that keeps groups together, for ``--dist loadfile``; none where another way is asked for."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class GroupScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)
