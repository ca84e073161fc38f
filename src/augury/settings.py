"""Settings of the Kedro project: where hooks come from and how configuration is merged."""

import os
import sys
from pathlib import Path

from omegaconf.resolvers import oc

from augury.hooks import ImportsBeforeThreads, ParameterCheck
from augury.tracking import MlflowTracking

# Spark's Python workers must be this interpreter, whether or not its environment is activated; a cluster sets its own
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
if (_spark := Path("conf/spark").resolve()).is_dir():
    os.environ.setdefault("SPARK_CONF_DIR", str(_spark))

HOOKS = (ParameterCheck(), ImportsBeforeThreads(), MlflowTracking())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Kedro's default replaces whole top-level keys: an environment that overrides one number of a predictor would lose
    # the others
    "merge_strategy": {"parameters": "soft", "globals": "soft", "tracking": "soft"},
    "config_patterns": {"tracking": ["tracking*", "tracking*/**", "**/tracking*"]},
    "custom_resolvers": {"oc.env": oc.env},
}
