"""How pytest-xdist divides the tests: by file, all that share a Spark session together, and the longest first.

Every process that meets Spark starts a JVM of its own, and compiles its first plans slowly. What takes a minute must
not begin when the other processes have nothing left to do.
"""

from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
LONGEST = (
    "project/test_commands.py",  # trains the project that others copy
    "deploy/test_stack.py",
    "notebooks/test_query_cost.py",
    "browser/test_viz.py",
    "tracking/test_serving.py",
    "project/test_environments.py",
    "project/test_deferred_imports.py",
    "collection/test_query_lab.py",
    "predictors/test_peer_selection.py",
    "predictors/test_contract.py",
    "tracking/test_own_process.py",
    "project/test_query_cost.py",
    "project/test_kill.py",
)
"""Files of more than ten seconds."""
SPARK = "spark"


def arrange(items: list[pytest.Item]) -> None:
    """Bring the longest files to the front, and name the group of the tests with a Spark session in this process."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    begin = 0.5  # after the training, on another process
    order = {}
    for item in items:
        shares = item.get_closest_marker(SPARK) is not None and item.path.parent.name != "project"
        if shares:
            item.add_marker(pytest.mark.xdist_group(SPARK))
        order[item.nodeid] = begin if shares else places.get(item.path, len(places))
    items.sort(key=lambda item: order[item.nodeid])


def scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that keeps groups together, and everything else by file; none where another way is asked for."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class GroupsAndFiles(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope = super()._split_scope(nodeid)
            return nodeid.split("::", 1)[0] if scope == nodeid else scope

    return GroupsAndFiles(config, log)
