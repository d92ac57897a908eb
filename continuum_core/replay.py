"""Fold a run's records through `step` again, and compare with what is stored.

Recovery never does this: it loads the snapshot. It is the check that the stored history and the code
agree; a mismatch is *drift*, to be reported.

Each part of a history, between two migrations, is folded through the definition that it ran under, as far as
its code is here; a part whose code is gone is passed over, for a migration's record tells the whole run as
it was before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from attrs import field, frozen
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.envelope import CommandBody, StepBody
from continuum_core.errors import (
    ContinuumError,
    MachineFault,
    PayloadRefused,
    RunNotFound,
    UnknownVersion,
    UsageError,
)
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.events import Start
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Snapshot, Step
from continuum_core.journal.commit import RunClaim
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, Run
from continuum_core.mapper import (
    Image,
    ask,
    decode_event,
    decode_image,
    decode_step,
    encode_image,
    encode_step,
    ending,
    imaged,
    migrated,
    origin_of_start,
    peek_event,
    take_up,
    unborn,
)
from continuum_core.parts import Arrival, parts
from continuum_core.past import Past
from continuum_core.registry import Entry, Registry

__all__ = ["Drift", "DriftError", "fold", "read_records", "read_run", "verify", "verify_run"]

Parts = tuple[tuple[str, str, str], ...]
"""What differs: in words, as it was recorded, and as it folds."""


@frozen
class Drift:
    """The first record whose step does not give what was recorded.

    :ivar what: the first part of it that differs; `recorded` and `folded` are its two sides, as JSON.
    :ivar event: what came, as a word.
    :ivar parts: all parts that differ, each with its two sides.
    """

    version: int
    what: str
    recorded: str
    folded: str
    event: str = field(default="", eq=False)
    parts: tuple[tuple[str, str, str], ...] = field(default=(), eq=False)

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

_UNWRITTEN = {"disposition": "taken"}
"""What a record means where it does not say: see `envelope.StepBody`. Earlier ones say it."""

_ALWAYS = {"states": "the states", "disposition": "what became of the event"}
_SAME_DEFINITION = {
    **_ALWAYS,
    "edges": "the edges taken",
    "changed": "the change of the context",
    "context": "the context",
    "commands": "what was asked",
    "patches": "the patches pinned",
    "generation": "the generation",
    "anew": "the input of the next generation",
    "after": "what the next generation begins with",
    "outcome": "the outcome",
}
_CANNOT = (MachineFault, UnknownVersion, PayloadRefused, UsageError)
"""What code raises that cannot take what was taken once."""


def fold(
    entry: Entry,
    run_id: UUID,
    records: Sequence[Record],
    known: Registry | None = None,
    *,
    against: bool = False,
) -> tuple[Image, Drift | None]:
    """The image after `records` (all of a run's, from version 1), and the first mismatch on the way.

    :param known: where the code of parts before a migration is looked up.
    :param against: the code is not the run's own but to be tried on it, on what is after the last migration:
        beside the states, all of the context that both know and what was asked are compared, by name.
    """
    image: Image | None = unborn()
    past = Past(run_id)
    known = None if against else known
    for part in parts(records):
        # What is after the last migration is this entry's, whichever definition it adopted the run from.
        runs_on = entry if part.until is None else None if known is None else known.reader(part.until.since)
        if part.since is not None:
            past.take(part.since.record)
            image, drift = _arrived(runs_on, image, part.since, run_id, known)
            if drift is not None:
                return image or unborn(), drift
        if runs_on is None:
            image = None
            for record in part.records:
                past.take(record)
            continue
        image, drift = _folded(runs_on, image or unborn(), past, part.records, against=against)
        if drift is None and part.until is not None and image.snapshot.version + 1 == part.until.version:
            drift = _snapshots(part.until, "the snapshot before", part.until.before, runs_on, image)
        if drift is not None:
            return image, drift
    assert image is not None, "the last part is always folded"
    return image, None


def _arrived(
    entry: Entry | None, before: Image | None, arrival: Arrival, run_id: UUID, known: Registry | None
) -> tuple[Image | None, Drift | None]:
    """The run after a migration, made again where its way is known; else as the record tells."""
    if entry is None:
        return None, None
    way = None if known is None else known.way(arrival.since)
    try:
        if way is None or known is None or known.find(arrival.since) is not entry:
            return _with_results(before, decode_image(entry, arrival.version, arrival.after)), None
        version, at = arrival.version - 1, arrival.record.at
        made = _with_results(before, migrated(entry, way, run_id, version, arrival.before, at).image)
    except _CANNOT as fault:
        return before, _moved_drift(arrival, "the upgrade", "possible", str(fault))
    return made, _snapshots(arrival, "what the upgrade gave", arrival.after, entry, made)


def _with_results(before: Image | None, image: Image) -> Image:
    """What came of crews' members so far: it is beside the run, and was seen on the way."""
    seen: Mapping[int, OpenCrew] = {} if before is None else before.snapshot.crews
    crews = {
        token: replace(crew, results=seen[token].results, known=seen[token].known) if token in seen else crew
        for token, crew in image.snapshot.crews.items()
    }
    return replace(image, snapshot=replace(image.snapshot, crews=crews)) if crews else image


def _snapshots(arrival: Arrival, what: str, recorded: bytes, entry: Entry, image: Image) -> Drift | None:
    folded = encode_image(entry, image.told())
    # Read by this code first: one that adopted the run may have given the context another field.
    read = encode_image(entry, decode_image(entry, image.snapshot.version, recorded).told())
    return None if read == folded else _moved_drift(arrival, what, read.decode(), folded.decode())


def _moved_drift(arrival: Arrival, what: str, recorded: str, folded: str) -> Drift:
    return Drift(arrival.version, what, recorded, folded, arrival.event, ((what, recorded, folded),))


def _folded(
    entry: Entry, image: Image, past: Past, records: Sequence[Record], *, against: bool
) -> tuple[Image, Drift | None]:
    """The image after records of one part."""
    run_id = past.run_id
    for record in records:
        past.take(record)
        if record.kind is RecordKind.CONTROL:
            # An order moves the version and nothing else of the run's value. After steps that left no record
            # it is not known what that is; the next record tells.
            if record.version == image.snapshot.version + 1:
                image = _moved(image, record.version)
            continue
        body = decode_step(record)
        if isinstance(body.after, Raw) and (body.steps > 1 or record.version > image.snapshot.version + 1):
            # What came before was pruned, or left no record: this one tells all that the run was after it.
            image = decode_image(entry, record.version, bytes(body.after))
            continue
        delivery = _delivery(record, body)
        try:
            made = _step(entry, image.snapshot, delivery, record.at, run_id, body.patches)
            after = _traced(imaged(entry, image, made.snapshot), delivery)
            asked = ask(entry, _NOWHERE, run_id, made, record.cause, lambda: run_id)
            folded = encode_step(entry, image, after, made, delivery, asked, ending(entry, after.snapshot))
        except _CANNOT as fault:
            return image, _drift(record, delivery, ((_ALWAYS["disposition"], body.disposition, str(fault)),))
        found = _differences(record, folded)
        if against and not found:
            found = _by_name(past, after, body.commands, asked.bodies)
        image = after
        if found:
            return image, _drift(record, delivery, found)
    return image, None


def _step(
    entry: Entry, snapshot: Snapshot, delivery: Delivery, now: int, run_id: UUID, patches: Mapping[str, bool]
) -> Step:
    """:param patches: those that the step pinned."""
    if delivery.kind is DeliveryKind.FORK:
        return take_up(entry, snapshot, delivery.payload, now, str(run_id))
    kind, payload, token, slot = delivery.kind, delivery.payload, delivery.token, delivery.slot
    event = decode_event(entry, snapshot, kind, payload, token, slot, delivery.due)
    # What the run was told at its beginning, and that of its generations, not what this code would tell it.
    if isinstance(event, Start):
        event = replace(event, patches=patches)
    return step(entry.program, snapshot, event, now, run_id.bytes, renewed=patches)


def _delivery(record: Record, body: StepBody) -> Delivery:
    """The delivery that the record tells of."""
    payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
    kind = DeliveryKind(body.event.kind)
    event, due = body.event, body.event.due or None
    return Delivery(record.cause, record.run_id, kind, payload, due, event.token, event.slot)


def _drift(record: Record, delivery: Delivery, parts: Parts) -> Drift:
    event = peek_event(delivery.kind, delivery.payload, (delivery.token, delivery.slot))[0]
    return Drift(record.version, *parts[0], event=event, parts=parts)


def _differences(record: Record, folded: bytes) -> Parts:
    """Where a step made again differs from its record; JSON values are compared, not their spelling.

    Under another definition, which adopted the run, only what a run is made of must be the same: edges
    have other numbers there, and the context may have gained fields.
    """
    told = {**_UNWRITTEN, **msgspec.json.decode(record.body)}
    now = {**_UNWRITTEN, **msgspec.json.decode(folded)}
    parts = _SAME_DEFINITION if told["fingerprint"] == now["fingerprint"] else _ALWAYS
    return tuple(
        (words, _text(told.get(part)), _text(now.get(part)))
        for part, words in parts.items()
        if told.get(part) != now.get(part)
    )


def _by_name(past: Past, after: Image, told: list[CommandBody], now: list[CommandBody]) -> Parts:
    """Where other code gives another context, or asks for something else: numbers mean nothing to it."""
    recorded, folded = _common(
        msgspec.json.decode(past.context), msgspec.json.decode(after.context or b"null")
    )
    found = [] if recorded == folded else [("the context", _text(recorded), _text(folded))]
    if (then := _wishes(told)) != (here := _wishes(now)):
        found.append(("what was asked", _text(then), _text(here)))
    return tuple(found)


def _common(one: Any, other: Any) -> tuple[Any, Any]:
    """Two contexts, of objects the fields that both have."""
    ours, theirs = _fields(one), _fields(other)
    if ours is None or theirs is None:
        return one, other
    names = sorted(ours.keys() & theirs.keys())
    return {name: ours[name] for name in names}, {name: theirs[name] for name in names}


def _fields(context: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", context) if isinstance(context, dict) else None


def _wishes(commands: list[CommandBody]) -> list[dict[str, Any]]:
    names = ("do", "state", "activity", "key", "due", "to")
    told = [{n: getattr(c, n) for n in names if getattr(c, n)} for c in commands if c.do != "close"]
    return sorted(told, key=msgspec.json.encode)


def _text(value: object) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()


def _traced(image: Image, delivery: Delivery) -> Image:
    """A child run knows from its start where it comes from."""
    begins = delivery.kind is DeliveryKind.START
    return replace(image, origin=origin_of_start(delivery.payload)) if begins else image


def _moved(image: Image, version: int) -> Image:
    return replace(image, snapshot=replace(image.snapshot, version=version))


def verify(
    entry: Entry,
    run: Run | RunClaim,
    records: Sequence[Record],
    known: Registry | None = None,
    *,
    against: bool = False,
) -> Drift | None:
    """Fold a run's records and compare each, and at the end what is stored of the run.

    Where the last steps left no record, there is nothing to compare its snapshot with.

    :param records: of the run; those above its version, written while it was read, are passed over.
    :param known: as of `fold`, and `against`.
    """
    records = [record for record in records if record.version <= run.version]
    image, drift = fold(entry, run.run_id, records, known, against=against)
    if drift is None and run.snapshot and not against and image.snapshot.version == run.version:
        try:
            # Both written by this code: one that adopted the run may have given the context another field.
            rests = decode_image(entry, run.version, run.snapshot)
            if image.origin is None and not image.snapshot.configuration:
                # It ended before its start was taken, which no record tells of.
                image = replace(image, origin=rests.origin)
            stored = encode_image(entry, rests.told()).decode()
        except (UnknownVersion, PayloadRefused) as fault:
            stored = str(fault)
        folded = encode_image(entry, image.told()).decode()
        if stored != folded:
            drift = Drift(
                run.version, "the snapshot", stored, folded, parts=(("the snapshot", stored, folded),)
            )
    return drift


async def read_run(journal: Journal, run_id: UUID) -> tuple[Run, list[Record]]:
    """A run's row and all its records. Raises RunNotFound."""
    [run] = await journal.load([run_id])
    if run is None:
        raise RunNotFound(str(run_id))
    return run, await read_records(journal, run_id, run.version)


async def read_records(journal: Journal, run_id: UUID, version: int) -> list[Record]:
    """The records of a run up to one, those that are stored."""
    records: list[Record] = []
    at = 0
    while at < version:
        page = await journal.history(run_id, after=at)
        if not page:
            break
        records.extend(page)
        at = page[-1].version
    return [record for record in records if record.version <= version]


async def verify_run(journal: Journal, registry: Registry, run_id: UUID) -> None:
    """Fold a stored run. Raises DriftError, RunNotFound, UnknownVersion."""
    run, records = await read_run(journal, run_id)
    entry = registry.reader(run.fingerprint)
    if entry is None:
        raise UnknownVersion(f"no code here runs definition {run.fingerprint} as it is")
    drift = verify(entry, run, records, registry)
    if drift is not None:
        raise DriftError(str(run_id), drift)
