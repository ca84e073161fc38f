"""Pandera without what it drags along.

Schema modules are imported only when a dataset with a validator is touched, so Pandera may be imported at module level
here; and it must be, before Kedro's own adapter does it.
"""

import importlib
from types import ModuleType

from augury.light_imports import hidden


def _import_pandera() -> ModuleType:
    """Import ``pandera.pandas``, but neither Spark nor Hypothesis.

    Pandera imports ``pyspark.pandas`` wherever PySpark is installed, which costs every run seconds, although only
    pandas frames are ever handed to it here; and Hypothesis, to make examples.
    """
    with hidden("pyspark", "hypothesis"):
        importlib.import_module("pandera.backends.pandas.builtin_checks")  # or the first validation would
        return importlib.import_module("pandera.pandas")


pa = _import_pandera()
