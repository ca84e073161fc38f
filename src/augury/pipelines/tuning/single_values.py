"""Parameters that hold several values, as a search sees them: one value each.

Some parameters are lists of candidates of which training takes the best; a trial has one of them. Others are the
widths of layers. Seen from here ``[300.0]`` is ``300.0`` and ``[128, 64]`` is ``128x64``. What is written down in the
end has the model's own form again.
"""

import functools
import re
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from augury.errors import UserError
from augury.parameters import Parameters

_WIDTHS = re.compile(r"\d+(x\d+)*")

_Model = TypeVar("_Model", bound=Parameters)
_Value = TypeVar("_Value")


class SingleValues(Parameters):
    """A model of which lists are read and shown as single values; its attributes are those of the model itself."""

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        return handler(_walk(cls, value, _as_list) if isinstance(value, dict) else value)

    @model_serializer(mode="wrap")
    def _show(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _walk(type(self), handler(self), _as_single)


def with_single_values(model: _Model) -> _Model:
    """Give a model the form that a search sees.

    Args:
        model: Parameters, perhaps with others inside.

    Returns:
        The same parameters as an instance of a subclass: ``model_dump`` shows single values, ``model_validate`` and
        :func:`~augury.parameters.with_values` take them.

    Examples:
        >>> from augury.parameters import with_values
        >>> class Ridge(Parameters):
        ...     l2: tuple[float, ...] = (1.0, 10.0)
        >>> with_values(with_single_values(Ridge()), {"l2": 3}).l2
        (3.0,)
    """
    kind = type(model)
    form = create_model(kind.__name__, __base__=(SingleValues, kind))
    return typing.cast(_Model, form.model_validate(model.model_dump()))


def stored_value(model: Parameters, path: str) -> Any:
    """A parameter in the model's own form, as JSON.

    Args:
        model: Parameters.
        path: Dotted path, for example ``ease.l2``.

    Returns:
        A list where the model has several values.
    """
    value = functools.reduce(getattr, path.split("."), model)
    return list(value) if isinstance(value, tuple) else value


def of_members(
    where: str, values: Mapping[str, _Value], chosen: Collection[str], known: Collection[str]
) -> dict[str, _Value]:
    """Take the parameters of the members that are tuned; a space may list those of others as well.

    Args:
        where: Name of the parameter, for the message.
        values: Dotted path -> anything; a path begins with the name of a member.
        chosen: The members that are tuned.
        known: All members that there are.

    Returns:
        Those of the chosen members, in their order.

    Raises:
        UserError: A path begins with something else.
    """
    for path in values:
        if path.partition(".")[0] not in known:
            raise UserError(
                f"Parameter '{where}.{path}': only parameters under {', '.join(map(repr, known))} are tuned."
            )
    return {path: value for path, value in values.items() if path.partition(".")[0] in chosen}


def _walk(kind: type[BaseModel], tree: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Change the lists of a model's tree, and of those inside of it."""
    found = dict(tree)
    for name, field in kind.model_fields.items():
        if name not in found:
            continue
        if _is_list(field.annotation):
            found[name] = change(found[name])
        elif isinstance(found[name], dict) and (inner := _model_in(field.annotation)) is not None:
            found[name] = _walk(inner, found[name], change)
    return found


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple and typing.get_args(annotation)[-1] is Ellipsis


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also where it may be missing."""
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _as_single(values: Any) -> Any:
    if len(values) == 1:
        return values[0]
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    return "x".join(map(str, values)) if whole and values else values


def _as_list(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, str) and _WIDTHS.fullmatch(value):
        return [int(width) for width in value.split("x")]
    return [value]
