"""Child runs: how they are named, what they are told of their parent, and what they tell it.

A child's id follows from its parent's, its crew's token and its number, so that whoever knows these can
address it, and a parent's turn that is made twice starts it once. It bears in its own snapshot where it
comes from; its end is a delivery to its parent, written by the very commit that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import Raw

from continuum_core.definition.failure import Failure
from continuum_core.definition.naming import qualified_name
from continuum_core.envelope import (
    FORMAT,
    CrewBody,
    OriginBody,
    OutcomeBody,
    SnapshotBody,
    StartBody,
    TaskOutcomeBody,
    read,
    write,
)
from continuum_core.errors import RunCancelled, RunFailed, RunTerminated, RunTimedOut
from continuum_core.journal.records import Delivery, DeliveryKind
from continuum_core.mapper.events import encode_cancel
from continuum_core.mapper.failures import failure_body, failure_value

__all__ = [
    "child_id",
    "closings",
    "crews_of",
    "encode_child_start",
    "origin_in",
    "origin_of_start",
    "told_parent",
]

_CHILDREN = UUID("b6f1c5b0-7a4e-5f0c-9d0a-3d9a3f6f2c11")
"""The UUID namespace under which child runs derive their ids. Never change it."""


def child_id(parent: UUID, token: int, number: int) -> UUID:
    """The id of member `number` of the crew `token` of a run."""
    return uuid5(_CHILDREN, f"{parent}:{token}:{number}")


def encode_child_start(input: bytes, origin: OriginBody) -> bytes:
    """The payload of a child's START delivery."""
    return write(StartBody(FORMAT, Raw(input), origin))


# --- where a run comes from --------------------------------------------------------------------------


def origin_of_start(payload: bytes) -> OriginBody | None:
    """Where a run comes from, by its START delivery; None for one that a client started."""
    found = read(StartBody, payload).origin
    return found if isinstance(found, OriginBody) else None


def origin_in(snapshot: bytes, waiting: Iterable[Delivery] = ()) -> OriginBody | None:
    """Where a run comes from, without its machine's code.

    :param snapshot: its stored snapshot; empty before its first turn, and then `waiting` has its start.

    Raises UnknownVersion.
    """
    if snapshot:
        found = read(SnapshotBody, snapshot).origin
        return found if isinstance(found, OriginBody) else None
    starts = (each.payload for each in waiting if each.kind is DeliveryKind.START)
    return next((origin for each in starts if (origin := origin_of_start(each)) is not None), None)


# --- what a child tells its parent --------------------------------------------------------------------


def told_parent(id_: UUID, run_id: UUID, machine: str, origin: OriginBody, outcome: bytes) -> Delivery:
    """How a child run ended, as its parent is told.

    Completed, it is a result; ended in another way, it is a failure of the class that waiting for the run
    would raise: RunFailed, RunTimedOut, RunCancelled, RunTerminated.
    """
    body = read(OutcomeBody, outcome)
    told = TaskOutcomeBody(FORMAT, activity=machine)
    if body.kind == "completed":
        told.output = body.value
    else:
        told.failure = failure_body(_failure(run_id, body))
    return Delivery(
        id=id_,
        run_id=UUID(origin.run),
        kind=DeliveryKind.OUTCOME,
        payload=write(told),
        token=origin.token,
        slot=origin.number,
    )


def _failure(run_id: UUID, body: OutcomeBody) -> Failure:
    run, details = str(run_id), dict[str, Any](run=str(run_id))
    error: Exception
    if body.left:
        details["left"] = list(body.left)
    verdict: Any = msgspec.json.decode(body.value) if isinstance(body.value, Raw) else None
    if body.kind == "cancelled":
        error = RunCancelled(run, body.reason, body.left)
    elif body.kind == "terminated":
        error = RunTerminated(run, body.reason, body.left)
    elif body.kind == "timed-out":
        error = RunTimedOut(run, body.state, verdict, body.reason, body.left)
        details |= {"state": body.state, "verdict": verdict}
    else:
        last = failure_value(body.failure) if isinstance(body.failure, msgspec.Struct) else None
        error = RunFailed(run, body.state, verdict, last)
        details |= {"state": body.state, "verdict": verdict}
    kinds = [each for each in type(error).__mro__[1:] if issubclass(each, BaseException)]
    bases = tuple(qualified_name(each) for each in kinds)
    return Failure(qualified_name(type(error)), str(error), bases, details=details)


# --- what a parent tells its children -----------------------------------------------------------------


def crews_of(snapshot: bytes) -> Sequence[CrewBody]:
    """The crews that a run has under way, without its machine's code. Raises UnknownVersion."""
    return read(SnapshotBody, snapshot).crews if snapshot else ()


def closings(
    new_id: Any, parent: UUID, token: int, numbers: Iterable[int], closing: str, cause: UUID | None = None
) -> list[Delivery]:
    """What ends child runs of a crew that is over. It sorts before all that waits for them."""
    if closing == "abandon":
        return []
    payload = encode_cancel("its parent went on without it", terminate=closing == "terminate")
    return [
        Delivery(new_id(), child_id(parent, token, number), DeliveryKind.CANCEL, payload, due=0, cause=cause)
        for number in numbers
    ]
