"""Fold a run's records through `step` again, and compare with what is stored.

Recovery never does this: it loads the snapshot. It is the check that the stored history and the code
agree; a mismatch is *drift*, to be reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import frozen
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.errors import ContinuumError, RunNotFound
from continuum_core.interpreter.macrostep import step
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import Image, decode_event, decode_step, encode_image, imaged, unborn
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


def fold(entry: Entry, run_id: UUID, records: Sequence[Record]) -> tuple[Image, Drift | None]:
    """The image after `records` (all of a run's, from version 1), and the first mismatch on the way."""
    image = unborn()
    for record in records:
        if record.kind is RecordKind.CONTROL:
            # An order moves the version and nothing else of the run's value.
            image = _moved(image, record.version)
            continue
        body = decode_step(record)
        event = decode_event(
            entry,
            image.snapshot,
            DeliveryKind(body.event.kind),
            bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b"",
            body.event.token,
            body.event.slot,
        )
        made = step(entry.program, image.snapshot, event, record.at, run_id.bytes)
        image = imaged(entry, image, made.snapshot)
        states = entry.leaves(made.snapshot.configuration)
        if states != tuple(body.states):
            return image, Drift(record.version, "states", ", ".join(body.states), ", ".join(states))
        if made.disposition.value != body.disposition:
            return image, Drift(record.version, "the event", body.disposition, made.disposition.value)
    return image, None


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
    image, drift = fold(entry, run_id, records)
    if drift is None and run.snapshot and encode_image(entry, image) != run.snapshot:
        drift = Drift(run.version, "the snapshot", repr(run.snapshot), repr(encode_image(entry, image)))
    if drift is not None:
        raise DriftError(str(run_id), drift)
