"""Fold a run's records through `step` again, and compare with what is stored.

Recovery never does this: it loads the snapshot. It is the check that the stored history and the code
agree; a mismatch is *drift*, to be reported.

A migration begins a new part of a history. Each part is folded through the definition that it ran under,
as far as its code is here; a part whose code is gone is passed over, for a migration's record tells the
whole run as it was before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from attrs import frozen
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.envelope import StepBody
from continuum_core.errors import ContinuumError, MachineFault, RunNotFound, UnknownVersion
from continuum_core.interpreter.events import Start
from continuum_core.interpreter.macrostep import step
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    Image,
    ask,
    decode_event,
    decode_image,
    decode_migration,
    decode_step,
    encode_image,
    encode_step,
    imaged,
    migrated,
    unborn,
)
from continuum_core.registry import Entry, Registry

__all__ = ["Arrival", "Drift", "DriftError", "Part", "fold", "parts", "verify_run"]


@frozen
class Drift:
    """The first record whose step does not give what was recorded."""

    version: int
    what: str
    recorded: str
    folded: str

    def __str__(self) -> str:
        return f"record {self.version}: {self.what} was {self.recorded}, and folds to {self.folded}"


class DriftError(ContinuumError):
    """A run's records do not fold to what is stored. `drift` says where."""

    def __init__(self, run: str, drift: Drift) -> None:
        super().__init__(run, drift)
        self.run = run
        self.drift = drift

    def __str__(self) -> str:
        return f"run {self.run} has drifted: {self.drift}"


_NOWHERE = ""  # the namespace takes part in the ids of messages' targets, which no record tells

_ALWAYS = {"states": "the states", "disposition": "what became of the event"}
_SAME_DEFINITION = {
    **_ALWAYS,
    "edges": "the edges taken",
    "changed": "the change of the context",
    "context": "the context",
    "commands": "what was asked",
    "patches": "the patches pinned",
    "outcome": "the outcome",
}


def fold(
    entry: Entry, run_id: UUID, records: Sequence[Record], known: Registry | None = None
) -> tuple[Image, Drift | None]:
    """The image after `records` (all of a run's, from version 1), and the first mismatch on the way.

    :param known: where the code of parts before a migration is looked up.
    """
    image: Image | None = unborn()
    for part in parts(records):
        # What is after the last migration is this entry's, whichever definition it adopted the run from.
        runs_on = entry if part.until is None else None if known is None else known.reader(part.until.since)
        if part.since is not None:
            image, drift = _arrived(runs_on, image, part.since, run_id, known)
            if drift is not None:
                return image or unborn(), drift
        if runs_on is None:
            image = None
            continue
        image, drift = _folded(runs_on, image or unborn(), run_id, part.records)
        if drift is not None:
            return image, drift
        if part.until is not None:
            drift = _snapshots(part.until.version, "the snapshot before", part.until.before, runs_on, image)
            if drift is not None:
                return image, drift
    assert image is not None, "the last part is always folded"
    return image, None


@frozen
class Arrival:
    """A migration as a history tells it: the record, and its body's parts that a fold needs."""

    record: Record
    since: str
    before: bytes
    after: bytes

    @property
    def version(self) -> int:
        return self.record.version


@frozen
class Part:
    """Records of one definition and those that it adopted runs from, between two migrations."""

    since: Arrival | None
    records: tuple[Record, ...]
    until: Arrival | None


def parts(records: Sequence[Record]) -> list[Part]:
    """A history in its parts; one part where the run was never migrated. Raises UnknownVersion."""
    found: list[Part] = []
    since: Arrival | None = None
    under_way: list[Record] = []
    for record in records:
        if record.kind is not RecordKind.MIGRATION:
            under_way.append(record)
            continue
        body = decode_migration(record)
        until = Arrival(record, body.since, bytes(body.before), bytes(body.after))
        found.append(Part(since, tuple(under_way), until))
        since, under_way = until, []
    return [*found, Part(since, tuple(under_way), None)]


def _arrived(
    entry: Entry | None, before: Image | None, arrival: Arrival, run_id: UUID, known: Registry | None
) -> tuple[Image | None, Drift | None]:
    """The run after a migration, made again where its way is known; else as the record tells."""
    if entry is None:
        return None, None
    way = None if known is None else known.way(arrival.since)
    if way is None or known is None or known.find(arrival.since) is not entry:
        return decode_image(entry, arrival.version, arrival.after), None
    try:
        version, at = arrival.version - 1, arrival.record.at
        made = migrated(entry, way, run_id, version, arrival.before, at).image
    except ContinuumError as fault:
        return before, Drift(arrival.version, "the upgrade", "possible", str(fault))
    return made, _snapshots(arrival.version, "what the upgrade gave", arrival.after, entry, made)


def _snapshots(version: int, what: str, recorded: bytes, entry: Entry, image: Image) -> Drift | None:
    folded = encode_image(entry, image)
    # Read by this code first: one that adopted the run may have given the context another field.
    read = encode_image(entry, decode_image(entry, image.snapshot.version, recorded))
    return None if read == folded else Drift(version, what, read.decode(), folded.decode())


def _folded(
    entry: Entry, image: Image, run_id: UUID, records: Sequence[Record]
) -> tuple[Image, Drift | None]:
    """The image after records of one part."""
    for record in records:
        if record.kind is RecordKind.CONTROL:
            # An order moves the version and nothing else of the run's value.
            image = _moved(image, record.version)
            continue
        body = decode_step(record)
        delivery = _delivery(record, body)
        event = decode_event(
            entry, image.snapshot, delivery.kind, delivery.payload, delivery.token, delivery.slot
        )
        if isinstance(event, Start):
            # What the run was told at its beginning, not what it would be told by this code.
            event = Start(event.input, body.patches)
        try:
            made = step(entry.program, image.snapshot, event, record.at, run_id.bytes)
        except MachineFault as fault:
            return image, Drift(record.version, _ALWAYS["disposition"], body.disposition, str(fault))
        after = imaged(entry, image, made.snapshot)
        asked = ask(entry, _NOWHERE, run_id, made, record.cause, lambda: run_id)
        drift = _compare(record, encode_step(entry, image, after, made, delivery, asked))
        image = after
        if drift is not None:
            return image, drift
    return image, None


def _delivery(record: Record, body: StepBody) -> Delivery:
    """The delivery that the record tells of."""
    payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
    kind = DeliveryKind(body.event.kind)
    return Delivery(record.cause, record.run_id, kind, payload, token=body.event.token, slot=body.event.slot)


def _compare(record: Record, folded: bytes) -> Drift | None:
    """Where a step made again differs from its record; JSON values are compared, not their spelling.

    Under another definition, which adopted the run, only what a run is made of must be the same: edges
    have other numbers there, and the context may have gained fields.
    """
    told, now = msgspec.json.decode(record.body), msgspec.json.decode(folded)
    parts = _SAME_DEFINITION if told["fingerprint"] == now["fingerprint"] else _ALWAYS
    for part, words in parts.items():
        if told.get(part) != now.get(part):
            return Drift(record.version, words, _text(told.get(part)), _text(now.get(part)))
    return None


def _text(value: object) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()


def _moved(image: Image, version: int) -> Image:
    return Image(replace(image.snapshot, version=version), image.context)


async def verify_run(journal: Journal, registry: Registry, run_id: UUID) -> None:
    """Fold a stored run. Raises DriftError, RunNotFound, UnknownVersion."""
    [run] = await journal.load([run_id])
    if run is None:
        raise RunNotFound(str(run_id))
    entry = registry.reader(run.fingerprint)
    if entry is None:
        raise UnknownVersion(f"no code here runs definition {run.fingerprint} as it is")
    records: list[Record] = []
    while len(records) < run.version:
        page = await journal.history(run_id, after=len(records))
        if not page:
            break
        records.extend(page)
    del records[run.version :]  # it may have gone on while it was read
    image, drift = fold(entry, run_id, records, registry)
    if drift is None and run.snapshot:
        drift = _snapshots(run.version, "the snapshot", run.snapshot, entry, image)
    if drift is not None:
        raise DriftError(str(run_id), drift)
