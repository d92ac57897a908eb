"""What a run may have to undo ⇄ its stored form, inside the snapshot's.

Inputs and outputs are written by the codecs of the activities that the ledger names.
"""

from __future__ import annotations

from msgspec import Raw

from continuum_core.envelope import DoneBody, PendingBody, SnapshotBody
from continuum_core.errors import UnknownVersion
from continuum_core.interpreter.ledger import Done, Ledger, Pending
from continuum_core.registry import ActivityEntry, Entry

__all__ = ["decode_ledger", "encode_ledger"]


def encode_ledger(entry: Entry, ledger: Ledger, body: SnapshotBody) -> None:
    """Write the ledger into a snapshot's body."""
    activities = entry.activities
    body.pending = [
        PendingBody(
            token,
            slot,
            each.activity,
            Raw(activities[each.activity].input.encode(each.input)),
            each.key,
            each.unknown,
            each.asked,
            each.stuck,
        )
        for (token, slot), each in ledger.pending.items()
    ]
    body.done = [
        DoneBody(
            each.number,
            each.activity,
            Raw(activities[each.activity].output.encode(each.output)),
            each.undo,
            each.stuck,
        )
        for each in ledger.done
    ]
    body.ledgered = ledger.count


def decode_ledger(entry: Entry, body: SnapshotBody) -> Ledger | None:
    """Raises UnknownVersion where the machine has no such activity any more."""
    if not (body.pending or body.done or body.ledgered):
        return None
    pending = {
        (each.token, each.slot): Pending(
            each.activity,
            _named(entry, each.activity).input.decode(bytes(each.input)),
            each.key,
            each.unknown,
            each.asked,
            each.stuck,
        )
        for each in body.pending
    }
    done = tuple(
        Done(
            each.number,
            each.activity,
            _named(entry, each.activity).output.decode(bytes(each.output)),
            each.undo,
            each.stuck,
        )
        for each in body.done
    )
    return Ledger(pending, done, body.ledgered)


def _named(entry: Entry, name: str) -> ActivityEntry:
    found = entry.activities.get(name)
    if found is None or found.activity.undo is None:
        raise UnknownVersion(
            f"{entry.chart.name} may have to undo {name!r}, which it does not know with an undo any more; "
            "run a worker with the old version"
        )
    return found
