"""Fields that their class marks as hidden, found in all the types that a machine carries."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

__all__ = ["HIDDEN", "marked_names"]

_MARK = "continuum_redact"

HIDDEN: Mapping[str, bool] = {_MARK: True}
"""Metadata of a field that is not to be shown: ``field(metadata=HIDDEN)`` of attrs or dataclasses."""


def marked_names(types: Iterable[object]) -> set[str]:
    """The names of the marked fields in these types and all that they are made of."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = list(types)
    while waiting:
        tp = waiting.pop()
        if id(tp) in seen:
            continue
        seen.add(id(tp))
        waiting.extend(typing.get_args(tp))
        if isinstance(tp, type):
            for name, metadata in _fields(tp):
                found |= {name} if metadata.get(_MARK) else set[str]()
            waiting.extend(_hints(tp))
    return found


def _fields(cls: type) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    if attrs.has(cls):
        for each in attrs.fields(cls):
            yield each.alias or each.name, each.metadata
            yield each.name, each.metadata
    elif dataclasses.is_dataclass(cls):
        for one in dataclasses.fields(cls):
            yield one.name, one.metadata


def _hints(cls: type) -> list[object]:
    if not attrs.has(cls) and not dataclasses.is_dataclass(cls):
        return []
    try:
        return list(typing.get_type_hints(cls).values())
    except NameError:  # a name that only a type checker sees: the codec has refused such a class before
        return []
