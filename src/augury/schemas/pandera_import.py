"""Pandera without what it drags along.

Schema modules are imported only when a dataset with a validator is touched, so Pandera may be imported at module level
here; and it must be, before Kedro's own adapter does it.
"""

import importlib
import sys
from types import ModuleType


def _import_pandera() -> ModuleType:
    """Import ``pandera.pandas``, but not Spark.

    Pandera imports ``pyspark.pandas`` wherever PySpark is installed, which costs every run seconds, although only
    pandas frames are ever handed to it here. A module that is None in ``sys.modules`` counts as not installed.
    """
    hidden = "pyspark" not in sys.modules
    if hidden:
        sys.modules["pyspark"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("pandera.pandas")
    finally:
        if hidden:
            del sys.modules["pyspark"]


pa = _import_pandera()
