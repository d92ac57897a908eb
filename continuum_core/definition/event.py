"""Event classes: the class is the identity, its name and version are what is stored.

`event` is the only way to mark one. The mark sits in the class's own namespace, so that a subclass
is another event, which must be marked for itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    overload,
)

import attrs
import msgspec

from continuum_core.errors import UsageError

if TYPE_CHECKING:
    from typing import TypeGuard


__all__ = [
    "AnyEvent",
    "Question",
    "event",
    "event_name",
    "event_version",
    "is_event",
    "reply_type",
    "takes_none",
]

T = TypeVar("T")
R = TypeVar("R")

_MARK = "__continuum_event__"


class AnyEvent:
    """The wildcard of `on`: an event of any user's class. Edges are tried in order: declare it last."""


class Question(Generic[R]):
    """An event that is answered: ``@event class Quote(Question[Price])`` is asked and gets a ``Price``.

    Every edge that takes it says what (`answer`). Of a ``Question[None]``, or one of another type that None
    belongs to, it need not (`on`): None is the reply then, and tells that it was taken.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __question__(self, reply: R) -> tuple[Self, R]:
            """For type checkers alone: how an event's class tells of itself and of its reply's very type."""
            ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, dataclasses.field))
def event(cls: type[T], /) -> type[T]: ...
@overload
def event(*, name: str | None = None, version: int = 1) -> Callable[[type[T]], type[T]]: ...
def event(
    cls: type[Any] | None = None, /, *, name: str | None = None, version: int = 1
) -> type[Any] | Callable[[type[Any]], type[Any]]:
    """Mark a class as an event; a plain class becomes a frozen attrs class.

    :param name: the stored name; the class's name unless given. Give it before renaming the class.
    :param version: the version of its fields, a whole number from 1.

    Raises `UsageError` where the name or the version cannot be used.
    """
    if name is not None and not name.strip():
        raise UsageError("an event's name must not be empty; leave name= out to use the class's name")
    if version < 1:
        raise UsageError(f"an event's version must be 1 or more, not {version}")

    def mark(target: type[Any]) -> type[Any]:
        if not isinstance(cast("object", target), type):
            raise UsageError(f"@event marks classes, not {target!r}; put it on the class of the event")
        marked = target if _has_fields(target) else attrs.frozen(target)
        setattr(marked, _MARK, (name or marked.__name__, version))
        return marked

    return mark if cls is None else mark(cls)


def _has_fields(cls: type[Any]) -> bool:
    own = vars(cls)
    return "__attrs_attrs__" in own or "__dataclass_fields__" in own or issubclass(cls, msgspec.Struct)


def is_event(cls: object) -> TypeGuard[type[Any]]:
    """Whether this is a class marked with `event`."""
    return isinstance(cls, type) and _MARK in vars(cls)


def event_name(cls: type[Any]) -> str:
    """The stored name of an event class. Raises `UsageError` for a class that is not marked."""
    return _mark(cls)[0]


def event_version(cls: type[Any]) -> int:
    """The version of an event class. Raises `UsageError` for a class that is not marked."""
    return _mark(cls)[1]


def reply_type(cls: type[Any]) -> Any:
    """What a question is answered with: a type. None for an event that is no question."""
    for base in cls.__mro__:
        for written in vars(base).get("__orig_bases__", ()):
            if get_origin(written) is Question:
                return get_args(written)[0]
    return None


def takes_none(tp: Any) -> bool:
    """Whether None is a value of this type of replies."""
    return tp is NoneType or NoneType in get_args(tp)


def _mark(cls: type[Any]) -> tuple[str, int]:
    if not is_event(cls):
        raise UsageError(f"{cls!r} is not an event class; mark it with @event")
    name, version = vars(cls)[_MARK]
    return str(name), int(version)
