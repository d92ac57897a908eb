"""Fold a run's records through `step` again, and compare with what is stored.

Recovery never does this: it loads the snapshot. It is the check that the stored history and the code
agree; a mismatch is *drift*, to be reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from attrs import frozen
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.envelope import StepBody
from continuum_core.errors import ContinuumError, MachineFault, RunNotFound
from continuum_core.interpreter.macrostep import step
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    Image,
    ask,
    decode_event,
    decode_image,
    decode_step,
    encode_image,
    encode_step,
    imaged,
    unborn,
)
from continuum_core.registry import Entry, Registry

__all__ = ["Drift", "DriftError", "fold", "verify_run"]


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

_UNWRITTEN = {"disposition": "taken"}
"""What a record means where it does not say: see `envelope.StepBody`. Earlier ones say it."""

_ALWAYS = {"states": "the states", "disposition": "what became of the event"}
_SAME_DEFINITION = {
    **_ALWAYS,
    "edges": "the edges taken",
    "changed": "the change of the context",
    "context": "the context",
    "commands": "what was asked",
    "outcome": "the outcome",
}


def fold(entry: Entry, run_id: UUID, records: Sequence[Record]) -> tuple[Image, Drift | None]:
    """The image after `records` (all of a run's, from version 1), and the first mismatch on the way."""
    image = unborn()
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
    told = {**_UNWRITTEN, **msgspec.json.decode(record.body)}
    now = {**_UNWRITTEN, **msgspec.json.decode(folded)}
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
    entry = registry.entry(run.fingerprint)
    records: list[Record] = []
    while len(records) < run.version:
        page = await journal.history(run_id, after=len(records))
        if not page:
            break
        records.extend(page)
    del records[run.version :]  # it may have gone on while it was read
    image, drift = fold(entry, run_id, records)
    if drift is None and run.snapshot:
        # Both written by this code: one that adopted the run may have given the context another field.
        stored = encode_image(entry, decode_image(entry, run.version, run.snapshot)).decode()
        folded = encode_image(entry, image).decode()
        if stored != folded:
            drift = Drift(run.version, "the snapshot", stored, folded)
    if drift is not None:
        raise DriftError(str(run_id), drift)
