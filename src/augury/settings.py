"""Settings of the Kedro project: where hooks come from and how configuration is merged."""

import os
import sys
from pathlib import Path

from augury.configuration import CONFIG_LOADER_ARGS as CONFIG_LOADER_ARGS
from augury.hooks import ImportsBeforeThreads, LightDatasets, MemoryGivenBack, ParameterCheck
from augury.tracking import MlflowTracking

# Spark's Python workers must be this interpreter, whether or not its environment is activated; a cluster sets its own
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
if (_spark := Path("conf/spark").resolve()).is_dir():
    os.environ.setdefault("SPARK_CONF_DIR", str(_spark))

# Arrow's own allocator keeps what a table needed; the system's gives it back (see MemoryGivenBack)
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

HOOKS = (ParameterCheck(), LightDatasets(), ImportsBeforeThreads(), MlflowTracking(), MemoryGivenBack())
