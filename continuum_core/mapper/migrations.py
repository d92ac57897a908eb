"""A run at rest in an older definition → the same run in this one, and the record that tells of it.

The older definition's code is not needed: its snapshot names states by path, its context is JSON, and the
way (`definition.upgrade`) says where each leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, Struct, structs

from continuum_core.codec import Json, codec_for
from continuum_core.definition.chart import Kind
from continuum_core.definition.upgrade import Way
from continuum_core.envelope import (
    FORMAT,
    CommandBody,
    CrewBody,
    MigrationBody,
    OriginBody,
    SnapshotBody,
    read,
    write,
)
from continuum_core.errors import MachineFault, PayloadRefused, UnknownVersion
from continuum_core.interpreter.commands import Close, CloseRuns
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.migration import Placement, migrate
from continuum_core.interpreter.program import ascending, mask
from continuum_core.interpreter.snapshot import Snapshot, Step
from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper.asking import Asked
from continuum_core.mapper.crews import decode_crews
from continuum_core.mapper.images import Image, bounds_in, encode_image
from continuum_core.mapper.ledgers import decode_ledger
from continuum_core.mapper.steps import decode_step
from continuum_core.registry import Entry

__all__ = ["Migrated", "commands_of", "decode_migration", "encode_migration", "migrated", "upgrade_word"]

_json = codec_for(Json)
_HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)


class Migrated(Struct, frozen=True, gc=False):
    """A run that was put into another definition.

    :ivar mapping: where each state led that it was in, innermost states only.
    :ivar eternal: it is never pruned.
    """

    step: Step
    image: Image
    mapping: dict[str, str]
    eternal: bool = False


def migrated(entry: Entry, way: Way, run_id: UUID, version: int, stored: bytes, now: int) -> Migrated:
    """The run whose snapshot was `stored`, in this definition. `version` is its last record's.

    Raises MachineFault where the upgrade, or what follows from it at once, fails; PayloadRefused where the
    context that it makes does not fit; UnknownVersion for a snapshot that cannot be read, or for something to
    be undone that this definition does not know with an undo.
    """
    body = read(SnapshotBody, stored)
    mapping = {path: _place(way, path) for path in body.states}
    before = Snapshot(
        version=version,
        configuration=0,
        context=None,
        history=_histories(entry, way, body.history),
        tokens={},
        now=body.now,
        ledger=decode_ledger(entry, body),
        cancelling=body.cancelling,
        patches=body.patches,
        generation=body.generation,
        bounds=bounds_in(body),
    )
    placement = _placement(entry, way, mapping, body)

    def context() -> Any:
        return _context(entry, way, bytes(body.context))

    step = migrate(entry.program, before, placement, context, now, run_id.bytes)
    origin = body.origin if isinstance(body.origin, OriginBody) else None
    image = Image(step.snapshot, entry.context.encode(step.snapshot.context), origin=origin)
    return Migrated(step, image, mapping, body.eternal)


def _place(way: Way, path: str) -> str:
    try:
        return way.states[path]
    except KeyError:
        raise UnknownVersion(f"the run is in {path!r}, which its definition does not have") from None


def _placement(entry: Entry, way: Way, mapping: Mapping[str, str], body: SnapshotBody) -> Placement:
    numbers, states = entry.numbers, entry.chart.states
    going_on: dict[int, int] = {}
    begun: dict[int, tuple[int, int]] = {}
    closed: list[int] = []
    for path, token in body.tokens.items():
        number = numbers[way.states[path]] if path in way.begun else None
        if number is None or number in going_on:  # of two states that became one, the first goes on
            closed.append(token)
        else:
            going_on[number], begun[number] = token, way.begun[path]
    ended = mask(
        numbers[place]
        for path, place in mapping.items()
        if path in way.finals and states[numbers[place]].kind is Kind.FINAL
    )
    targets = tuple(sorted({numbers[place] for place in mapping.values()}))
    stay = {path for path, token in body.tokens.items() if token in going_on.values()}
    kept = [crew for crew in body.crews if crew.state in stay]

    def crews(context: Any) -> dict[int, OpenCrew]:
        moved = [structs.replace(crew, state=way.states[crew.state]) for crew in kept]
        return decode_crews(entry, moved, context, lambda stored: _context(entry, way, stored))

    over = tuple(_over(crew) for crew in body.crews if crew.state not in stay)
    return Placement(targets, going_on, begun, tuple(closed), ended, crews, over)


def _over(crew: CrewBody) -> Close | CloseRuns:
    """What closes a crew whose state has no place any more."""
    return CloseRuns(crew.token, crew.open, crew.closing) if crew.runs else Close(crew.token)


def _histories(entry: Entry, way: Way, stored: Mapping[str, tuple[str, ...]]) -> dict[int, int]:
    """What histories remember, as far as it has a place; the rest falls back to their defaults."""
    found: dict[int, int] = {}
    states, program = entry.chart.states, entry.program
    for path, recorded in stored.items():
        number = entry.numbers.get(way.states.get(path, "?"))
        if number is None or states[number].kind not in _HISTORIES:
            continue
        parent = states[number].parent or 0
        around = mask(states[parent].children) if states[number].kind is Kind.SHALLOW_HISTORY else -1
        places = mask(entry.numbers[way.states[each]] for each in recorded if each in way.states)
        kept = mask(n for n in ascending(places & around) if program.ancestors[n] >> parent & 1)
        if kept:
            found[number] = kept
    return found


def _context(entry: Entry, way: Way, stored: bytes) -> Any:
    """The new context, typed. What upgrades make of it is read as strictly as what callers hand in."""
    if not way.contexts:
        return entry.context.decode(stored)
    value = msgspec.json.decode(stored)
    for function in way.contexts:
        try:
            value = function.call(value)
        except Exception as error:
            where = f"ctx of upgrade({way.version})" + (f" ({function.place})" if function.place else "")
            raise MachineFault(entry.chart.name, where, f"{type(error).__name__}: {error}") from error
    try:
        return entry.context.parse(_json.encode(value))
    except PayloadRefused as refused:
        where = f"the context that upgrade({way.version}) made"
        raise MachineFault(entry.chart.name, where, f"{refused.path}: {refused.reason}") from refused


def encode_migration(
    entry: Entry, way: Way, stored: bytes, made: Migrated, asked: Asked, end: bytes | None
) -> bytes:
    """The body of the record.

    :param asked: what `ask` made of the step's commands.
    :param end: what `ending` made of the run after it.
    """
    body = MigrationBody(
        v=FORMAT,
        fingerprint=entry.fingerprint,
        version=entry.chart.version,
        since=way.fingerprint,
        since_version=way.version,
        mapping=made.mapping,
        before=Raw(stored),
        after=Raw(encode_image(entry, made.image)),
        edges=made.step.edges,
        commands=asked.bodies,
    )
    if end is not None:
        body.outcome = Raw(end)
    return write(body)


def decode_migration(record: Record) -> MigrationBody:
    """Raises UnknownVersion."""
    return read(MigrationBody, record.body)


def upgrade_word(body: MigrationBody) -> str:
    """What came, as a word."""
    return f"upgrade {body.since_version} → {body.version}"


def commands_of(record: Record) -> list[CommandBody]:
    """What a record asked of the world, a step's or a migration's. Raises UnknownVersion."""
    if record.kind is RecordKind.CONTROL:
        return []
    if record.kind is RecordKind.MIGRATION:
        return decode_migration(record).commands
    return decode_step(record).commands
