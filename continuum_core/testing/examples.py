"""A value of a type, where a test has none of its own: small, plain, and the same every time."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
import msgspec

from continuum_core.errors import UsageError

__all__ = ["example_of"]

_PLAIN: Mapping[Any, Any] = {
    bool: True,
    int: 1,
    float: 1.0,
    str: "x",
    bytes: b"x",
    type(None): None,
    Any: None,
    Decimal: Decimal(1),
    UUID: UUID(int=1),
    datetime: datetime(2030, 1, 1, tzinfo=UTC),
    date: date(2030, 1, 1),
    time: time(12),
    timedelta: timedelta(hours=1),
}
_EMPTY: Mapping[Any, Callable[[], Any]] = {each: each for each in (tuple, list, set, frozenset, dict)}


def example_of(tp: Any) -> Any:
    """A value of a type. Fields with defaults keep them, collections are empty.

    Raises UsageError where none can be made: for a class of another kind, and where a class refuses it.
    """
    if tp in _PLAIN:
        return _PLAIN[tp]
    origin = get_origin(tp)
    if origin is Annotated:
        return example_of(get_args(tp)[0])
    if origin is Literal:
        return get_args(tp)[0]
    if origin in (Union, types.UnionType):
        return example_of(get_args(tp)[0])
    if origin is tuple and Ellipsis not in get_args(tp):
        return tuple(example_of(each) for each in get_args(tp))
    kind = origin or tp
    if kind in _EMPTY:
        return _EMPTY[kind]()
    if isinstance(kind, type):
        return _of_class(cast("type[Any]", kind))
    raise UsageError(f"no example can be made of {kind!r}; give one")


def _of_class(cls: type[Any]) -> Any:
    if issubclass(cls, enum.Enum):
        return next(iter(cls))
    names = _required(cls)
    if names is None:
        raise UsageError(f"no example can be made of {cls!r}; give one")
    return _made(cls, names)


def _required(cls: type[Any]) -> dict[str, str] | None:
    """Fields without a default, and what the constructor calls them; None of a class of another kind."""
    if attrs.has(cls):
        fields = attrs.fields(cls)
        return {
            each.name: each.alias or each.name
            for each in fields
            if each.init and each.default is attrs.NOTHING
        }
    if dataclasses.is_dataclass(cls):
        bare = dataclasses.MISSING
        own = dataclasses.fields(cls)
        return {f.name: f.name for f in own if f.init and f.default is bare and f.default_factory is bare}
    if issubclass(cls, msgspec.Struct):
        return {each.name: each.name for each in msgspec.structs.fields(cls) if each.required}
    return None


def _made(cls: Callable[..., Any], names: Mapping[str, str]) -> Any:
    hints = get_type_hints(cls)
    given = {alias: example_of(hints[name]) for name, alias in names.items()}
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:  # a validator of the user's
        raise UsageError(f"{cls!r} refuses the example {given}: {error}; give one") from error
