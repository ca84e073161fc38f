"""Settings of a service, from a YAML or JSON file."""

from pathlib import Path
from typing import Any, TypeVar

from augury.errors import UserError
from augury.parameters import Parameters, find_problems

SettingsT = TypeVar("SettingsT", bound=Parameters)


def read_settings_file(settings: type[SettingsT], path: Path | None, options: dict[str, Any]) -> SettingsT:
    """Read the settings.

    Args:
        settings: What they are; with a ``port``.
        path: YAML or JSON file; None for the defaults.
        options: Values that come before those of the file; None means not given.

    Returns:
        The settings.

    Raises:
        UserError: The file cannot be read, or a key or value is wrong; all of them are listed.
    """
    tree = {} if path is None else _read_tree(path, settings.model_fields["port"].default)
    tree |= {name: value for name, value in options.items() if value is not None}
    problems = find_problems({"service": tree}, {"service": settings})
    if problems:
        where = f"'{path}'" if path is not None else "the options"
        raise UserError(f"Settings of the service ({where}): " + "\n".join(problems))
    return settings.model_validate(tree)


def _read_tree(path: Path, port: int) -> dict[str, Any]:
    import yaml  # reads JSON too

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The settings file '{path}' cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"The settings file '{path}' is neither YAML nor JSON: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"The settings file '{path}' must hold keys and values, for example 'port: {port}'.")
    return tree
