"""Typed parameters: the base class of every parameter model, and the check of a whole parameter tree.

Kedro validates the parameters of the pipelines that run; it says nothing about a key that no node reads. A typing
mistake such as ``pdf_memory.sed=7`` would therefore be ignored in silence. :func:`find_problems` closes that gap: every
key must be read by some node of some registered pipeline, and every value must fit the type that the node declares.
"""

import difflib
import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from augury.errors import UserError

PREFIX = "params:"


class Parameters(BaseModel):
    """Base of all parameter models: unknown keys are errors, values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeclaredNode(typing.Protocol):
    """What :func:`declared_parameters` needs of a Kedro node."""

    @property
    def func(self) -> Any:
        """The node's function."""

    @property
    def inputs(self) -> list[str]:
        """The node's dataset names, in the order of the function's arguments."""


def near_matches(name: str, candidates: Iterable[str], limit: int = 3, prefix: str = "") -> str:
    """Say which candidates resemble a mistyped name.

    Args:
        name: What the user wrote.
        candidates: The names that exist.
        limit: The largest number of suggestions.
        prefix: Put before every candidate in the sentence.

    Returns:
        A sentence to append to an error message: the near matches, or else everything there is.

    Examples:
        >>> near_matches("trainin", ["training", "evaluation"])
        "Did you mean 'training'?"
        >>> near_matches("xyz", ["training", "evaluation"])
        'There are: evaluation, training.'
    """
    names = sorted(set(candidates))
    close = difflib.get_close_matches(name, names, n=limit, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f"'{prefix}{match}'" for match in close) + "?"
    return f"There are: {', '.join(prefix + found for found in names)}." if names else "There are none."


def declared_parameters(nodes: Iterable[DeclaredNode]) -> dict[str, Any]:
    """Collect the parameters that nodes read, with the types that they declare.

    Args:
        nodes: Kedro nodes, or anything with ``func`` and ``inputs``.

    Returns:
        Dotted parameter name (without ``params:``) -> annotated type; ``Any`` where there is no annotation.
    """
    declared: dict[str, Any] = {}
    for node in nodes:
        names = [name for name in node.inputs if name.startswith(PREFIX)]
        if not names:
            continue
        hints = typing.get_type_hints(node.func)
        raw = getattr(node, "_inputs", node.inputs)
        arguments = (
            raw
            if isinstance(raw, Mapping)
            else dict(zip(inspect.signature(node.func).parameters, node.inputs, strict=False))
        )
        for argument, dataset in arguments.items():
            if dataset in names:
                declared[dataset.removeprefix(PREFIX)] = hints.get(argument, Any)
    return declared


def find_problems(parameters: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """Compare a parameter tree with what the nodes declare.

    Args:
        parameters: The merged parameters of the run (all environments and ``--params`` applied).
        declared: What :func:`declared_parameters` returned for all registered pipelines.

    Returns:
        One sentence per problem, naming the parameter, the rule and the value; empty if there is none.
    """
    problems = [
        f"Parameter '{key}' is unknown (value {value!r}). {_suggest(key, declared)}"
        for key, value in _undeclared(parameters, set(declared))
    ]
    for name, hint in sorted(declared.items()):
        found, value = _resolve(parameters, name)
        if not found:
            problems.append(
                f"Parameter '{name}' is missing: a pipeline reads it, no file under conf/ and no --params sets it."
            )
        elif hint is not Any:
            problems.extend(_validate(name, value, hint))
    return problems


def _validate(name: str, value: Any, hint: Any) -> Iterator[str]:
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        fields = sorted(_field_names(hint))
        for item in error.errors(include_url=False):
            where = ".".join([name, *_keys(item["loc"], value)])
            if item["type"] == "extra_forbidden":
                hints = near_matches(str(item["loc"][-1]), fields)
                yield f"Parameter '{where}' is unknown (value {item['input']!r}). {hints}"
            elif item["type"] == "missing":
                yield f"Parameter '{where}' is missing."
            else:
                yield f"Parameter '{where}': {item['msg']} (value {item['input']!r})."


def _keys(location: tuple[int | str, ...], value: Any) -> Iterator[str]:
    """The keys of a location, without the tags of discriminated unions that pydantic puts among them."""
    for position, part in enumerate(location):
        inside = isinstance(value, Mapping) and part in value
        indexed = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if inside or indexed:
            value = value[part]
            yield str(part)
        elif position == len(location) - 1:
            yield str(part)


def _undeclared(tree: Mapping[str, Any], declared: set[str], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{path}.{key}" if path else str(key)
        if name in declared:
            continue
        if isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in declared):
            yield from _undeclared(value, declared, name)
        else:
            yield name, value


def _suggest(name: str, declared: Mapping[str, Any]) -> str:
    parent, _, leaf = name.rpartition(".")
    start = f"{parent}." if parent else ""
    # Only the last part is compared: what all siblings share would make them all near matches
    siblings = {known.removeprefix(start).split(".")[0] for known in declared if known.startswith(start)}
    return near_matches(leaf, siblings, prefix=start) if siblings else near_matches(name, declared)


def _resolve(tree: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    node: Any = tree
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False, None
        node = node[part]
    return True, node


def _field_names(hint: Any, seen: set[Any] | None = None) -> set[str]:
    seen = set() if seen is None else seen
    names: set[str] = set()
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        if hint in seen:
            return names
        seen.add(hint)
        for field_name, field in hint.model_fields.items():
            names |= {field_name} | _field_names(field.annotation, seen)
    for argument in typing.get_args(hint):
        names |= _field_names(argument, seen)
    return names


_Model = typing.TypeVar("_Model", bound=Parameters)


def value_at(model: Parameters, path: str) -> Any:
    """Look up a parameter by its dotted path.

    Args:
        model: Parameters, possibly with others and mappings of them inside.
        path: For example ``classifier.num_leaves``.

    Returns:
        The value.

    Raises:
        UserError: There is no such parameter.
    """
    tree, leaf = _parent(model.model_dump(), path)
    return tree[leaf]


def with_values(model: _Model, values: Mapping[str, Any]) -> _Model:
    """Change some parameters, by their dotted paths.

    Args:
        model: Parameters, possibly with others and mappings of them inside.
        values: Dotted path -> new value.

    Returns:
        New parameters of the same type, validated like any other.

    Raises:
        UserError: A path leads to no parameter, or a value breaks its rule.

    Examples:
        >>> class Trees(Parameters):
        ...     rounds: int = 100
        >>> class Pair(Parameters):
        ...     classifier: Trees = Trees()
        >>> with_values(Pair(), {"classifier.rounds": 20}).classifier.rounds
        20
    """
    tree = model.model_dump()
    for path, value in values.items():
        parent, leaf = _parent(tree, path)
        parent[leaf] = value
    try:
        return type(model).model_validate(tree)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        where = ".".join(_keys(item["loc"], tree))
        raise UserError(f"Parameter '{where}' of the model: {item['msg']} (value {item['input']!r}).") from None


def with_tuned(model: _Model, best_params: Mapping[str, Any], use: bool, predictor: str = "<predictor>") -> _Model:
    """Apply what tuning found, where it is asked for.

    Args:
        model: Parameters of a model.
        best_params: What tuning wrote: ``parameters`` maps dotted paths to values; empty if there was no tuning.
        use: Whether to apply them.
        predictor: For the message.

    Returns:
        The model as it is, or with the tuned parameters.

    Raises:
        UserError: They are asked for and there are none, or they do not fit the model.
    """
    if not use:
        return model
    tuned = best_params.get("parameters")
    if not tuned:
        raise UserError(
            f"Parameter '{predictor}.model.use_tuned' is true, but {predictor} has no tuned parameters "
            f"(best_params.yml). Tune it first: kedro run --pipelines=tuning --namespaces={predictor}"
        )
    try:
        return with_values(model, tuned)
    except UserError as error:
        raise UserError(
            f"{predictor}.best_params: the tuned parameters do not fit this model any more. {error} Tune it again: "
            f"kedro run --pipelines=tuning --namespaces={predictor}"
        ) from None


def _parent(tree: Mapping[str, Any], path: str) -> tuple[Any, str]:
    """The mapping that holds a dotted path's last key, and that key."""
    *steps, leaf = path.split(".")
    node: Any = tree
    for position, key in enumerate([*steps, leaf]):
        if not isinstance(node, Mapping) or key not in node:
            above = ".".join(path.split(".")[:position])
            known = node if isinstance(node, Mapping) else ()
            hints = near_matches(key, known, prefix=f"{above}." if above else "")
            raise UserError(f"The model has no parameter '{path}'. {hints}")
        if position < len(steps):
            node = node[key]
    return node, leaf
