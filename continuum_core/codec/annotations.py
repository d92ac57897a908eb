"""What a class says of its fields: annotations resolved, type variables replaced."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, NewType, TypeVar, get_args, get_origin

__all__ = ["field_types", "plain", "type_name"]

_WRAPPERS = (typing.Required, typing.NotRequired, Final)


def field_types(tp: Any) -> dict[str, Any]:
    """Field name → type, for a class or a generic class with its arguments (`Box[int]`).

    Raises NameError and what else evaluating an annotation raises, when a name in it is not to be had.
    """
    cls = get_origin(tp) or tp
    hints = typing.get_type_hints(cls, include_extras=True)
    bound: dict[type, dict[Any, Any]] = {}
    _bind(tp, {}, bound)
    if len(bound) <= 1 and not any(bound.values()):
        return hints
    return {name: _substituted(hint, bound.get(_owner(cls, name), {})) for name, hint in hints.items()}


def _bind(tp: Any, outer: Mapping[Any, Any], bound: dict[type, dict[Any, Any]]) -> None:
    """Class → what its own type variables stand for, for a class and its generic bases."""
    cls = get_origin(tp) or tp
    arguments = [_substituted(argument, outer) for argument in get_args(tp)]
    own = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    bound.setdefault(cls, own)
    for base in getattr(cls, "__orig_bases__", ()) or cls.__bases__:
        origin = get_origin(base) or base
        # NamedTuple and TypedDict stand among the bases as functions.
        if isinstance(origin, type) and origin not in (typing.Generic, typing.Protocol, object):
            _bind(base, own, bound)


def _owner(cls: type, name: str) -> type:
    """The class that annotates the field; a type variable means what it means there."""
    for base in cls.__mro__:
        if name in inspect.get_annotations(base):
            return base
    return cls


def _substituted(tp: Any, known: Mapping[Any, Any]) -> Any:
    if isinstance(tp, TypeVar):
        return known.get(tp, tp)
    parameters = getattr(tp, "__parameters__", ())
    if not parameters or isinstance(tp, type):
        return tp
    return tp[tuple(known.get(parameter, parameter) for parameter in parameters)]


def plain(tp: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type without its wrappers (NewType, Annotated, Final, aliases), and what Annotated added."""
    extras: tuple[Any, ...] = ()
    while True:
        if isinstance(tp, NewType):
            tp = tp.__supertype__
        elif get_origin(tp) is Annotated:
            tp, *more = get_args(tp)
            extras = (*extras, *more)
        elif get_origin(tp) in _WRAPPERS:
            (tp,) = get_args(tp)
        elif hasattr(tp, "__value__") and not isinstance(tp, type):  # `type X = …` of Python 3.12
            tp = tp.__value__
        else:
            return (type(None) if tp is None else tp), extras


def type_name(tp: Any) -> str:
    """A type as people write it, without modules, the same in every Python version."""
    if tp is None or tp is type(None):
        return "None"
    if tp is ...:
        return "..."
    if isinstance(tp, TypeVar | NewType):
        return tp.__name__
    arguments = get_args(tp)
    if isinstance(tp, types.UnionType) or get_origin(tp) is typing.Union:
        return " | ".join(type_name(argument) for argument in arguments)
    origin = get_origin(tp) or tp
    name = getattr(origin, "__name__", None) or getattr(origin, "_name", None) or str(origin)
    if not arguments:
        return str(name)
    inner = ", ".join(repr(a) if isinstance(a, str | int) else type_name(a) for a in arguments)
    return f"{name}[{inner}]"
