"""The fields a class declares, as each kind of class tells them, and what of it msgspec would get wrong."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import partial
from itertools import repeat
from typing import Any, cast, get_origin

import attrs
import msgspec

from continuum_core.codec.node import Node, class_of
from continuum_core.codec.product import TAG, Field

__all__ = ["Draft", "FieldFault", "Found", "product_fields", "row_fields", "shape_fields"]

_FACTORY = class_of(cast(Any, attrs.Factory)(list))
_TAKES_SELF = (
    "its default needs the other fields, which are not there yet when data is read; compute it in a "
    "classmethod or make it a property"
)
_NOT_TAKEN = (
    "its constructor does not take it (init=False), so data could set what code cannot; make it a "
    "property or an ordinary field"
)


class FieldFault(Exception):
    """A class declares something that would not come back; `where` is the field's part of the path."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(reason)
        self.where = where


@attrs.frozen
class Draft:
    """A field whose type is not planned yet; see `Field`."""

    name: str
    key: str
    tp: Any
    required: bool = True
    factory: Callable[[], Any] | None = None
    constant: tuple[Any, ...] = ()

    def planned(self, node: Node) -> Field:
        default = self.factory
        if self.constant:
            default = partial(next, repeat(self.constant[0]))
        return Field(self.name, self.key, node, self.required, default, self.constant)


@attrs.frozen
class Found:
    """What a class declares; `lowers`: msgspec would write more or less than these fields."""

    drafts: list[Draft]
    lowers: bool = False
    tag: tuple[str, str | int] | None = None


def _draft(name: str, tp: Any, default: Any, factory: Any, missing: object, key: str = "") -> Draft:
    """A draft from the way dataclasses and Structs tell defaults: `missing` where there is none."""
    constant = () if default is missing else (default,)
    make = None if factory is missing else factory
    if tp is None:
        raise FieldFault(f".{name}", "it has no type; annotate it")
    return Draft(name, key or name, tp, not constant and make is None, make, constant)


def product_fields(cls: Any, hints: Mapping[str, Any]) -> Found:
    """The fields of an attrs class, a dataclass or a Struct; raises FieldFault."""
    if issubclass(cls, msgspec.Struct):
        return _struct_fields(cls, hints)
    return _attrs_fields(cls, hints) if attrs.has(cls) else _dataclass_fields(cls, hints)


def _attrs_fields(cls: Any, hints: Mapping[str, Any]) -> Found:
    if "_attrs_cached_hash" in _names_used(cls.__hash__):
        # Instances are read without __init__, which is where the cache is made.
        raise FieldFault("", f"{cls.__name__} caches its hash; take cache_hash=True away")
    drafts: list[Draft] = []
    for field in attrs.fields(cls):
        name = field.name
        default: Any = field.default
        factory: Any = attrs.NOTHING
        _refuse_computed(name, field.init)
        if class_of(default) is _FACTORY:
            if default.takes_self:
                raise FieldFault(f".{name}", _TAKES_SELF)
            default, factory = attrs.NOTHING, default.factory
        drafts.append(_draft(name, hints.get(name, field.type), default, factory, attrs.NOTHING))
    return Found(drafts, lowers=_writes_otherwise(cls, {draft.name for draft in drafts}))


def _names_used(function: Any) -> tuple[Any, ...]:
    code = getattr(function, "__code__", None)
    return () if code is None else (*code.co_names, *code.co_consts)


def _writes_otherwise(cls: type, names: set[str]) -> bool:
    """Whether msgspec, which writes what an attrs instance holds, would write something else than its fields.

    It leaves out names with an underscore in front, and adds cached properties and stray attributes.
    """
    if any(name.startswith("_") for name in names) or cls.__dictoffset__ != 0:
        return True
    slots = {slot for base in cls.__mro__ for slot in _slots(base)}
    return not slots <= names | {"__weakref__"}


def _slots(cls: type) -> tuple[str, ...]:
    slots: Any = cls.__dict__.get("__slots__", ())
    return (slots,) if type(slots) is str else tuple(slots)


def _dataclass_fields(cls: Any, hints: Mapping[str, Any]) -> Found:
    drafts: list[Draft] = []
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            raise FieldFault(f".{name}", "an InitVar is not kept, so it cannot come back; make it a field")
    for field in dataclasses.fields(cls):
        _refuse_computed(field.name, field.init)
        tp = hints.get(field.name)
        drafts.append(_draft(field.name, tp, field.default, field.default_factory, dataclasses.MISSING))
    return Found(drafts)


def _struct_fields(cls: type[msgspec.Struct], hints: Mapping[str, Any]) -> Found:
    config = cls.__struct_config__
    if config.array_like:
        raise FieldFault("", f"{cls.__name__} is array_like, so its data names no fields; take that away")
    drafts: list[Draft] = []
    for field in msgspec.structs.fields(cls):
        if field.encode_name == TAG:
            raise FieldFault(f".{field.name}", f"{TAG} is the name of the tag in unions; rename it otherwise")
        tp, default, key = hints.get(field.name), field.default, field.encode_name
        drafts.append(_draft(field.name, tp, default, field.default_factory, msgspec.NODEFAULT, key))
    if config.tag_field is None or config.tag is None:
        return Found(drafts)
    return Found(drafts, tag=(config.tag_field, config.tag))


def _refuse_computed(name: str, init: bool) -> None:
    if not init:
        raise FieldFault(f".{name}", _NOT_TAKEN)


def row_fields(cls: Any, hints: Mapping[str, Any]) -> list[Draft]:
    """The fields of a NamedTuple; one without annotations holds Any, which is refused by its name."""
    missing = object()
    defaults = cls._field_defaults
    return [
        _draft(name, hints.get(name, Any), defaults.get(name, missing), missing, missing)
        for name in cls._fields
    ]


def shape_fields(cls: Any, hints: Mapping[str, Any]) -> list[Draft]:
    """The keys of a TypedDict."""
    return [Draft(name, name, hint, _is_required(cls, name, hint)) for name, hint in hints.items()]


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    # `__required_keys__` does not see a NotRequired that stands in a string annotation; the hint does.
    if get_origin(hint) is typing.NotRequired:
        return False
    return get_origin(hint) is typing.Required or name in cls.__required_keys__
