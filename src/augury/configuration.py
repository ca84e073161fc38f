"""How the files under conf/ are merged: for Kedro, and for commands that need one of them without Kedro's framework."""

from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf.resolvers import oc

from augury.errors import UserError
from augury.parameters import near_matches

CONF = "conf"

CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    # Kedro's default replaces whole top-level keys: an environment that overrides one number of a predictor would lose
    # the others
    "merge_strategy": {"parameters": "soft", "globals": "soft", "tracking": "soft", "schedule": "soft"},
    "config_patterns": {name: [f"{name}*", f"{name}*/**", f"**/{name}*"] for name in ("tracking", "schedule")},
    "custom_resolvers": {"oc.env": oc.env},
}


def read_configuration(project: Path, env: str | None, key: str) -> Any:
    """Read one kind of configuration file, merged as `kedro run` merges it.

    Args:
        project: Folder of the project.
        env: Kedro environment; None means the default one.
        key: Kind of file, such as ``tracking``.

    Returns:
        The merged content; None where there are no such files.

    Raises:
        UserError: There is no such environment, or the folder is none of a project.
    """
    conf = project / CONF
    if not (conf / "base").is_dir():
        raise UserError(f"'{project}' is not the folder of the project: it has no {CONF}/base. Go there first.")
    if env and not (conf / env).is_dir():
        environments = [path.name for path in conf.iterdir() if path.is_dir()]
        raise UserError(f"There is no environment '{env}' under {CONF}/. {near_matches(env, environments)}")
    try:
        return OmegaConfigLoader(conf_source=str(conf), env=env, **CONFIG_LOADER_ARGS)[key]
    except MissingConfigException:
        return None
