"""The project's `kedro run`: Kedro's own command, but a user's mistake is answered in one line, not a traceback."""

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import pipelines
from kedro.io.core import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from augury.errors import UserError, causes
from augury.extras import missing_extra
from augury.object_stores import store_problem
from augury.parameters import near_matches
from augury.pipeline_registry import register_only
from augury.tracking.own_process import start_tracking_process

CONF = "conf"
TRACKED = frozenset({"__default__", "training", "model_training", "evaluation", "tuning"})
"""Pipelines with nodes that MLflow is told about."""

_DATASET = re.compile(r"([\w.]+): |.*?dataset '([^']+)'", re.DOTALL)
"""How Kedro begins its message about a dataset that could not be read, written or built."""


class _Explained(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


def check_names(
    pipeline_names: Iterable[str],
    namespaces: Iterable[str],
    env: str | None,
    conf_source: str | None,
) -> None:
    """Refuse names that do not exist before anything is loaded.

    Args:
        pipeline_names: Values of --pipelines.
        namespaces: Values of --namespaces.
        env: Value of --env.
        conf_source: Value of --conf-source; an archive or URL is not checked.

    Raises:
        UserError: The first unknown name, with near matches.
    """
    registered = dict(pipelines)
    for name in pipeline_names:
        if name not in registered:
            raise UserError(f"There is no pipeline '{name}'. {near_matches(name, set(registered) - {'__default__'})}")
    chosen = [registered[name] for name in pipeline_names] or [registered["__default__"]]
    known = _namespaces(chosen)
    for name in namespaces:
        if name not in known:
            where = f"pipeline '{', '.join(pipeline_names)}'" if pipeline_names else "the default pipeline"
            raise UserError(f"There is no predictor '{name}' in {where}. {near_matches(name, known)}")
    conf = Path(conf_source or CONF)
    if env and conf.is_dir() and not (conf / env).is_dir():
        environments = {path.name for path in conf.iterdir() if path.is_dir()}
        raise UserError(f"There is no environment '{env}' under {conf}/. {near_matches(env, environments)}")


def check_slice(options: dict[str, Any]) -> None:
    """Refuse a slice of the pipeline that selects nothing or names what does not exist.

    Args:
        options: The options of `kedro run`.

    Raises:
        UserError: Kedro's own reason.
    """
    registered = dict(pipelines)
    chosen = [registered[name] for name in options.get("pipelines") or ["__default__"]]
    filters = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs")
    wanted = {name: options[name] for name in filters if options.get(name)}
    try:
        sum(chosen[1:], chosen[0]).filter(node_namespaces=options.get("namespaces") or None, **wanted)
    except (ValueError, KeyError) as error:
        hints = " ".join(
            near_matches(str(value), _candidates(option, chosen))
            for option, values in wanted.items()
            for value in values
            if value not in _candidates(option, chosen)
        )
        raise UserError(f"{error} {hints}".strip()) from None


def _candidates(option: str, chosen: Iterable[Any]) -> set[str]:
    """What an option of `kedro run` can name: tags, datasets or nodes."""
    if option == "tags":
        return {tag for pipeline in chosen for node in pipeline.nodes for tag in node.tags}
    if option in ("from_inputs", "to_outputs"):
        return {name for pipeline in chosen for name in pipeline.datasets()}
    return {node.name for pipeline in chosen for node in pipeline.nodes}


def _namespaces(chosen: Iterable[Any]) -> set[str]:
    return {
        prefix
        for pipeline in chosen
        for node in pipeline.nodes
        if node.namespace
        for prefix in _prefixes(node.namespace)
    }


def _prefixes(namespace: str) -> list[str]:
    parts = namespace.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that errors that a user can mend are one message and an exit code, without a traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (UserError, ParameterValidationError, DatasetError, ImportError) as error:
            if hint := missing_extra(error):
                raise _Explained(hint) from None
            if isinstance(error, ImportError):
                raise
            raise _Explained(_message(error), getattr(_user_error(error), "exit_code", 1)) from None

    return wrapper


def _message(error: BaseException) -> str:
    """What a person is told: the user error or the object store's problem, with the dataset that was at hand."""
    cause = _user_error(error)
    message = str(cause)
    if cause is error and (problem := store_problem(error)) is not None:
        message = problem
    named = _DATASET.match(str(error)) if isinstance(error, DatasetError) else None
    name = (named[1] or named[2]) if named else None
    return message if name is None or name in message else f"{name}: {message}"


def _user_error(error: BaseException) -> BaseException:
    """The user error at the root of a chain, for example the UserError that a dataset wrapped in a DatasetError."""
    return next((link for link in causes(error) if isinstance(link, UserError)), error)


@functools.wraps(kedro_run.callback)  # type: ignore[arg-type]
def _run(**options: Any) -> Any:
    if options.get("pipeline") and not options.get("pipelines"):
        # --pipeline is deprecated in Kedro 1.7 in favour of --pipelines, but it is what people type
        options |= {"pipelines": [options["pipeline"]], "pipeline": None}
    if TRACKED & set(options.get("pipelines") or TRACKED):
        start_tracking_process()
    namespaces = options.get("namespaces") or []
    # A parameter that is set here is checked, of a predictor that does not run too
    register_only([*namespaces, *(options.get("params") or {})] if namespaces else [])
    check_names(
        options.get("pipelines") or [],
        namespaces,
        options.get("env"),
        options.get("conf_source"),
    )
    check_slice(options)
    assert kedro_run.callback is not None
    return kedro_run.callback(**options)


@click.group(name="augury")
def cli() -> None:
    """Commands of the Augury project."""


cli.add_command(
    click.Command(
        name="run",
        params=kedro_run.params,
        callback=explained(_run),
        help=kedro_run.help,
        context_settings=kedro_run.context_settings,
    )
)
