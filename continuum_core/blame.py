"""Which record set a field of a run's context.

Records say what each of them changed, so no code of the machine is needed. A fork begins with what the
run it comes from had: where it took a value over, the search goes on in that run, and ends at the record
that set it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from attrs import frozen

from continuum_core.archive import Archive
from continuum_core.clock import to_datetime
from continuum_core.errors import UsageError
from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper import decode_migration, decode_step, step_word, upgrade_word
from continuum_core.past import Past

__all__ = ["ABSENT", "Change", "blame"]


class _Absent:
    """There is no such field, which is another thing than a field that is null."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@frozen
class Change:
    """A record that gave a field another value.

    :ivar event: what came, as a word.
    :ivar before: the JSON value before it; `ABSENT` where the field was not there.
    :ivar after: the JSON value after it.
    :ivar steps: how many steps the record stands for: one of them set it. More than one only where states say
        that not every step leaves a record.
    """

    run: UUID
    version: int
    at: datetime
    event: str
    before: Any
    after: Any
    cause: UUID
    steps: int = 1


async def blame(archive: Archive, run_id: UUID, field: str) -> list[Change]:
    """The records that set a field, newest first.

    :param field: a dotted path into the context, such as ``order.lines.0.total``; numbers count the items of
        lists. "" stands for the whole context.

    Raises RunNotFound; UsageError where the context never had such a field.
    """
    path = tuple(field.split(".")) if field else ()
    await archive.row(run_id)
    changes = await _changes(archive, run_id, None, path)
    if not changes:
        raise UsageError(f"the context never had a field {field!r}{await _known(archive, run_id)}")
    return changes[::-1]


async def _changes(archive: Archive, run_id: UUID, until: int | None, path: Sequence[str]) -> list[Change]:
    """Oldest first, of records up to `until`, those of the run it was forked from included."""
    changes: list[Change] = []
    past = Past(run_id)
    value: Any = ABSENT
    for record in await archive.records(run_id):
        if until is not None and record.version > until:
            break
        if record.kind is RecordKind.CONTROL:
            continue
        if record.kind is RecordKind.FORK:
            changes = await _inherited(archive, run_id, path)
            value = changes[-1].after if changes else ABSENT
        past.take(record)
        now = _value(past.context, path)
        if now is not value and now != value:
            changes.append(_change(record, value, now))
        value = now
    return changes


async def _inherited(archive: Archive, run_id: UUID, path: Sequence[str]) -> list[Change]:
    body = await archive.forked(run_id)
    return [] if body is None else await _changes(archive, UUID(body.run), body.version, path)


def _change(record: Record, before: Any, after: Any) -> Change:
    at = to_datetime(record.at)
    steps = 1 if record.kind is RecordKind.MIGRATION else decode_step(record).steps
    return Change(record.run_id, record.version, at, _word(record), before, after, record.cause, steps)


def _word(record: Record) -> str:
    if record.kind is RecordKind.MIGRATION:
        return upgrade_word(decode_migration(record))
    return step_word(record)


def _value(context: bytes, path: Sequence[str]) -> Any:
    value: Any = msgspec.json.decode(context)
    for name in path:
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(name, ABSENT)
        elif isinstance(value, list) and name.isdecimal():
            items = cast("Sequence[Any]", value)
            value = items[int(name)] if int(name) < len(items) else ABSENT
        else:
            return ABSENT
    return value


async def _known(archive: Archive, run_id: UUID) -> str:
    """The fields that the context has, to be said to who asked for another."""
    past = Past(run_id)
    for record in await archive.records(run_id):
        past.take(record)
    value: Any = msgspec.json.decode(past.context)
    names = list(cast("dict[str, Any]", value)) if isinstance(value, dict) else []
    return f"; it has: {', '.join(names)}" if names else ""
