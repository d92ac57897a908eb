"""Frozen runs: everything a journal stored of one run, as one JSON file that states the release.

Bytes stand in the file as the text they are (every payload is JSON; hashes in hexadecimal), enumerations
as their stored numbers, ids as text, times as microseconds. The row classes of the port say which is which.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from attrs import frozen

from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import DeadLetter, Definition, Delivery, Record, Run, Task

__all__ = ["FrozenRun", "freeze", "load", "stored_runs"]

HERE = Path(__file__).parent
FORMAT = 1

_HASHES = frozenset({"digest"})
_LATER = {"fairness": ""}
"""Fields that rows have since a later release, and what they hold in runs of earlier ones."""

R = TypeVar("R")


@frozen
class FrozenRun:
    """One file: the release that wrote it, what it shows, and every row."""

    release: str
    about: str
    definitions: tuple[Definition, ...]
    found: Inspection
    records: tuple[Record, ...]


def stored_runs() -> list[Path]:
    """Every frozen run of every release."""
    return sorted(HERE.glob("[0-9]*/*.json"))


def freeze(frozen_run: FrozenRun) -> str:
    """The text of the file."""
    found = frozen_run.found
    told = {
        "format": FORMAT,
        "release": frozen_run.release,
        "about": frozen_run.about,
        "definitions": _rows(frozen_run.definitions),
        "run": _plain(found.run),
        "records": _rows(frozen_run.records),
        "deliveries": _rows(found.deliveries),
        "tasks": _rows(found.tasks),
        "dead": _rows(found.dead),
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def load(path: Path) -> FrozenRun:
    """The rows of a file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["format"] == FORMAT
    return FrozenRun(
        told["release"],
        told["about"],
        tuple(_row(Definition, row) for row in told["definitions"]),
        Inspection(
            _row(Run, told["run"]),
            tuple(_row(Delivery, row) for row in told["deliveries"]),
            tuple(_row(Task, row) for row in told["tasks"]),
            tuple(_row(DeadLetter, row) for row in told["dead"]),
        ),
        tuple(_row(Record, row) for row in told["records"]),
    )


def _rows(rows: tuple[Any, ...]) -> list[Any]:
    return [_plain(row) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, enum.IntEnum):
        return int(value)
    if isinstance(value, msgspec.Struct):
        said = [name for name in value.__struct_fields__ if name not in _LATER]
        names = said + [name for name, none in _LATER.items() if getattr(value, name, none) != none]
        return {
            name: getattr(value, name).hex() if name in _HASHES else _plain(getattr(value, name))
            for name in names
        }
    return value


def _row(cls: type[R], told: dict[str, Any]) -> R:
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            name: bytes.fromhex(value) if name in _HASHES else _value(hints[name], value)
            for name, value in told.items()
        }
    )


def _value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        [hint] = [each for each in typing.get_args(hint) if each is not type(None)]
    if hint is bytes:
        return value.encode()
    if issubclass(hint, msgspec.Struct):
        return _row(hint, value)
    return hint(value)
