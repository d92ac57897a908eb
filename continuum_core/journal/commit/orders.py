"""What an operator asks of a run. What each order does to it: `journal.effects`."""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct

from continuum_core.journal.attributes import Attribute
from continuum_core.journal.records import Delivery, RunStatus

__all__ = ["Order", "OrderKind", "OrderOutcome", "Ordered"]


class OrderKind(enum.IntEnum):
    """An operator's order. The numbers are stored: never renumber."""

    SUSPEND = 0
    RESUME = 1
    CANCEL = 2
    TERMINATE = 3
    UNPARK = 4
    SET = 5
    POSTPONE = 6


class Order(Struct, frozen=True, gc=False):
    """Something an operator asks of a run, acted on whoever holds it.

    :ivar id: kept, so that a repeat is answered like the first time; also the `cause` and the `commit_id` of
        the record, and so the run's `commit_id`.
    :ivar body: of the record that tells of it (who, why).
    :ivar cause: SUSPEND: the run's `cause` from now on; SET and POSTPONE keep it, all others leave "".
    :ivar outcome: TERMINATE: the bytes of the run's outcome.
    :ivar delivery: CANCEL: the delivery that tells the machine; it sorts before all others.
        POSTPONE: the START that takes the place of the one that waits.
    :ivar digest: POSTPONE: what the run's becomes: of the input that it starts with now.
    :ivar attributes: SET: what the run has under these names from now on. The body tells of them, too.
    :ivar version: it stands only if the run is at that version; None: whatever its version is.
    :ivar sends: what it sends to other runs where it is DONE, as `Commit.deliveries` are.
    """

    id: UUID
    run_id: UUID
    kind: OrderKind
    body: bytes
    cause: str = ""
    outcome: bytes | None = None
    delivery: Delivery | None = None
    attributes: tuple[Attribute, ...] = ()
    digest: bytes | None = None
    version: int | None = None
    sends: tuple[Delivery, ...] = ()


class OrderOutcome(enum.Enum):
    DONE = "done"
    UNCHANGED = "unchanged"  # the run was already as the order wants it
    RUN_OVER = "run over"
    UNKNOWN_RUN = "unknown run"
    MOVED = "moved"  # the run is not at `Order.version` any more: nothing was written, look again


class Ordered(Struct, frozen=True, gc=False):
    """Answer to one order: the run's status after it."""

    outcome: OrderOutcome
    status: RunStatus | None
