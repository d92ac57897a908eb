"""Runs for people: what one is now, and what it has open.

A view shows what is stored, and never fails for what it cannot read: a context that this process has no code
for is JSON values, a sealed one says that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic
from uuid import UUID

import msgspec
from attrs import frozen
from msgspec import UNSET, Raw
from typing_extensions import TypeVar

from continuum_core.clock import Micros, to_datetime
from continuum_core.envelope import OutcomeBody
from continuum_core.errors import PayloadLocked, PayloadRefused, UnknownVersion
from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import (
    ENDED,
    DeadLetter,
    Delivery,
    DeliveryKind,
    Held,
    Run,
    RunStatus,
    Task,
)
from continuum_core.mapper import decode_image, decode_outcome, peek_event
from continuum_core.registry import Entry, Registry
from continuum_core.unopened import is_sealed, locked

__all__ = ["RunView", "TaskView", "Waiting", "outcome_view", "page_views", "run_view"]

C = TypeVar("C", default=Any)


@frozen
class Waiting:
    """Something that will reach a run, or cannot any more (`reason`).

    :ivar state: the state whose timer or activity it belongs to, by dotted path; "" where none is known.
    :ivar begins: the run begins with it.
    """

    what: str
    due: datetime | None
    held: str = ""
    reason: str = ""
    state: str = ""
    begins: bool = False


@frozen
class TaskView:
    """An activity that is to be carried out, or is being; `state` is the one that invoked it.

    :ivar claimed: a worker has it: its lease lives.
    :ivar place: how many of its queue are started before it if no others come: 10,000 stands for as many or
        more, None for one that does not wait.
    :ivar leased_until: when the lease ends, or has ended, of the worker that has it, or was lost with it.
    """

    activity: str
    queue: str
    due: datetime
    attempt: int
    losses: int
    claimed: bool
    cancel_requested: bool
    failure: str = ""
    state: str = ""
    place: int | None = None
    leased_until: datetime | None = None

    @property
    def lost(self) -> bool:
        """Whether its worker is gone, as far as anybody can tell: the next claim finds that."""
        return self.leased_until is not None and not self.claimed


@frozen
class RunView(Generic[C]):
    """A run as it is; of a machine whose class is known where it was asked for, with the type of its context.

    :ivar states: the active states, innermost only, by dotted path.
    :ivar context: a typed value where the machine's code is here, else JSON values; None before its
        first turn.
    :ivar outcome: how it ended, as JSON values; None while it has not.
    :ivar parent: the run it was forked from, or whose child it is; `root` the first of all above it.
    :ivar begun: whether it has taken its first turn: it may be started for later, or wait for a worker.
    """

    id: UUID
    machine: str
    key: str | None
    status: RunStatus
    cause: str
    version: int
    states: tuple[str, ...]
    context: C
    outcome: dict[str, Any] | None
    created: datetime
    updated: datetime
    fingerprint: str
    parent: UUID | None = None
    root: UUID | None = None
    begun: bool = True
    leased_until: datetime | None = None
    waiting: tuple[Waiting, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    dead: tuple[Waiting, ...] = ()

    @property
    def begins(self) -> datetime | None:
        """When a run that has not begun may; None for one that has. Only a view of one run can tell."""
        starts = [each.due or self.created for each in self.waiting if each.begins and not each.held]
        return None if self.begun else min(starts, default=None)

    def overdue(self, now: datetime) -> timedelta | None:
        """How long something has been due that no worker takes; None where nothing is, or one has the run.

        After more than a few seconds it means that no live worker takes runs of this definition, or that
        all of them are overwhelmed. Only a view of one run can tell, not those of a list.
        """
        due = [each.due for each in self.waiting if each.due is not None and not each.held]
        first = min(due, default=now)
        leased = self.leased_until is not None and self.leased_until > now
        if self.status is not RunStatus.RUNNING or leased or first >= now:
            return None
        # A cancellation sorts before everything by a due time of 0.
        return now - max(first, self.created)


def page_views(runs: Iterable[Run], registry: Registry) -> Sequence[RunView]:
    return [_run(run, registry.reader(run.fingerprint)) for run in runs]


def run_view(found: Inspection, entry: Entry | None, now: Micros | None = None) -> RunView:
    """A run with all that it has open.

    :param now: the journal's time, by which leases live; without it each is taken to.
    """
    states = _states_by_token(found.run)
    places = found.places or (None,) * len(found.tasks)
    return _run(
        found.run,
        entry,
        waiting=tuple(_waiting(d, states) for d in found.deliveries),
        tasks=tuple(_task(t, place, states, now) for t, place in zip(found.tasks, places, strict=True)),
        dead=tuple(_dead(d) for d in found.dead),
    )


def _states_by_token(run: Run) -> dict[int, str]:
    """Which state's entry a token stands for: timers and activities know the token alone."""
    body: dict[str, Any] = {}
    if run.snapshot and not is_sealed(run.snapshot):
        body = msgspec.json.decode(run.snapshot)
    tokens: dict[str, int] = body.get("tokens", {})
    return {token: path for path, token in tokens.items()}


def _run(run: Run, entry: Entry | None, **open_work: Any) -> RunView:
    states, context = _stored(run, entry)
    return RunView(
        id=run.run_id,
        machine=run.machine,
        key=run.key,
        status=run.status,
        cause=run.cause,
        version=run.version,
        leased_until=None if run.lease_until is None else to_datetime(run.lease_until),
        states=states,
        context=context,
        outcome=None if run.outcome is None else _outcome(run.outcome),
        created=to_datetime(run.created),
        updated=to_datetime(run.updated),
        fingerprint=run.fingerprint,
        parent=run.parent,
        root=run.root,
        begun=bool(run.snapshot) or run.status in ENDED,
        **open_work,
    )


def _stored(run: Run, entry: Entry | None) -> tuple[tuple[str, ...], Any]:
    if not run.snapshot:
        return (), None
    if entry is not None:
        try:
            image = decode_image(entry, run.version, run.snapshot)
        except (UnknownVersion, PayloadRefused):
            pass  # shown as stored: looking at a run must not need code that can run it
        else:
            return entry.leaves(image.snapshot.configuration), image.snapshot.context
    sealed = locked(run.snapshot)
    if sealed is not None:
        return (), f"({sealed})"
    body = msgspec.json.decode(run.snapshot)
    return tuple(body.get("states", ())), body.get("context")


def _outcome(data: bytes) -> dict[str, Any]:
    try:
        return outcome_view(decode_outcome(data))
    except PayloadLocked as sealed:
        return {"kind": "locked", "reason": str(sealed)}


def outcome_view(body: OutcomeBody) -> dict[str, Any]:
    """How a run ended, as JSON values."""
    shown: dict[str, Any] = msgspec.to_builtins(
        {f: getattr(body, f) for f in ("kind", "state", "reason") if getattr(body, f)}
    )
    if body.left:
        shown["left"] = list(body.left)
    if isinstance(body.value, Raw):
        shown["value"] = msgspec.json.decode(body.value)
    if body.failure is not UNSET:
        shown["failure"] = msgspec.to_builtins(body.failure)
    return shown


def _waiting(delivery: Delivery, states: dict[int, str]) -> Waiting:
    held = "" if delivery.held is Held.NO else delivery.held.name.lower()
    due = None if delivery.due is None or delivery.due <= 0 else to_datetime(delivery.due)
    what = peek_event(delivery.kind, delivery.payload, (delivery.token, delivery.slot))[0]
    begins = delivery.kind in (DeliveryKind.START, DeliveryKind.FORK)
    return Waiting(what, due, held, state=states.get(delivery.token, ""), begins=begins)


def _dead(letter: DeadLetter) -> Waiting:
    what = peek_event(letter.delivery.kind, letter.delivery.payload)[0]
    return Waiting(what, to_datetime(letter.at), reason=letter.reason)


def _task(task: Task, place: int | None, states: dict[int, str], now: Micros | None) -> TaskView:
    failure = ""
    if task.failure is not None:
        sealed = locked(task.failure)
        if sealed is None:
            body = msgspec.json.decode(task.failure)
            failure = f"{body.get('type')}: {body.get('message')}"
        else:
            failure = f"({sealed})"
    return TaskView(
        activity=task.activity,
        queue=task.queue,
        due=to_datetime(task.due),
        attempt=task.attempt,
        losses=task.losses,
        claimed=task.lease_until is not None and (now is None or task.lease_until > now),
        cancel_requested=task.cancel,
        failure=failure,
        state=states.get(task.token, ""),
        place=place,
        leased_until=None if task.lease_until is None else to_datetime(task.lease_until),
    )
