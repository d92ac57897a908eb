"""Rows with their payloads sealed, and opened again; and the place of each payload.

A payload's place is part of what is stored: change none, or what was sealed before cannot be opened.
"""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from continuum_core.hooks.sealing import Kind, Pipeline, Place
from continuum_core.journal.commit import (
    Commit,
    Committed,
    Member,
    NewRun,
    Order,
    Reservation,
    Reserved,
    TaskClaim,
    TaskFinish,
    TaskHold,
)
from continuum_core.journal.records import DeadLetter, Delivery, Record, RecordKind, Run, Task
from continuum_core.journal.replies import Asked, Replied

__all__ = ["Opener", "Places", "Sealer"]


class Places:
    """The place of each payload of a namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def of(self, kind: Kind, run_id: UUID, other: bytes = b"", version: int = 0) -> Place:
        return Place(kind, self._namespace, run_id, version, other)

    def delivery(self, delivery: Delivery) -> Place:
        return self.of(Kind.DELIVERY, delivery.run_id, delivery.id.bytes)

    def task(self, kind: Kind, run_id: UUID, token: int, slot: int) -> Place:
        return self.of(kind, run_id, f"{token}:{slot}".encode())

    def member(self, run_id: UUID, member: Member) -> Place:
        return self.of(Kind.MEMBER, run_id, f"{member.token}:{member.number}".encode())

    def snapshot(self, run_id: UUID, version: int) -> Place:
        return self.of(Kind.SNAPSHOT, run_id, version=version)

    def record(self, record: Record) -> Place:
        return self.of(Kind.RECORD, record.run_id, bytes([record.kind]), record.version)

    def reply(self, run_id: UUID, dedupe: str) -> Place:
        return self.of(Kind.REPLY, run_id, dedupe.encode())

    def result(self, activity: str, key: str) -> Place:
        return Place(Kind.RESULT, self._namespace, other=f"{activity}\x00{key}".encode())


class Sealer:
    """What goes in."""

    def __init__(self, pipeline: Pipeline, places: Places) -> None:
        self._seal = pipeline.seal
        self._seal_text = pipeline.seal_text
        self._digest = pipeline.digest
        self._places = places

    def delivery(self, delivery: Delivery) -> Delivery:
        if not delivery.payload:
            return delivery
        return replace(delivery, payload=self._seal(delivery.payload, self._places.delivery(delivery)))

    def commit(self, commit: Commit) -> Commit:
        run_id, places = commit.run_id, self._places
        version = commit.after
        outcome = commit.outcome
        return replace(
            commit,
            snapshot=self._seal(commit.snapshot, places.snapshot(run_id, version)),
            records=tuple([replace(r, body=self._seal(r.body, places.record(r))) for r in commit.records]),
            cause=self._seal_text(commit.cause, places.of(Kind.CAUSE, run_id)),
            outcome=None if outcome is None else self._seal(outcome, places.of(Kind.OUTCOME, run_id)),
            deliveries=tuple([self.delivery(each) for each in commit.deliveries]),
            replies=tuple(
                [
                    replace(each, body=self._seal(each.body, places.reply(run_id, each.dedupe)))
                    for each in commit.replies
                ]
            ),
            tasks=tuple(
                [
                    replace(t, payload=self._seal(t.payload, places.task(Kind.TASK, run_id, t.token, t.slot)))
                    for t in commit.tasks
                ]
            ),
            starts=tuple([self.new_run(each) for each in commit.starts]),
            members=tuple(
                [
                    replace(each, body=self._seal(each.body, places.member(run_id, each)))
                    for each in commit.members
                ]
            ),
        )

    def new_run(self, new: NewRun) -> NewRun:
        return replace(
            new,
            digest=self._digest(new.digest),
            delivery=self.delivery(new.delivery),
            turn=None if new.turn is None else self.commit(new.turn),
        )

    def finish(self, finish: TaskFinish) -> TaskFinish:
        place = self._places.task(Kind.FAILURE, finish.run_id, finish.token, finish.slot)
        activity, key = finish.keyed or ("", "")
        return replace(
            finish,
            delivery=None if finish.delivery is None else self.delivery(finish.delivery),
            failure=None if finish.failure is None else self._seal(finish.failure, place),
            result=None
            if finish.result is None
            else self._seal(finish.result, self._places.result(activity, key)),
            turn=None if finish.turn is None else self.commit(finish.turn),
        )

    def hold(self, hold: TaskHold) -> TaskHold:
        if hold.details is None:
            return hold
        place = self._places.task(Kind.DETAILS, hold.run_id, hold.token, hold.slot)
        return replace(hold, details=self._seal(hold.details, place))

    def order(self, order: Order) -> Order:
        run_id, places = order.run_id, self._places
        outcome = order.outcome
        return replace(
            order,
            body=self._seal(order.body, places.of(Kind.ORDER, run_id, order.id.bytes)),
            cause=self._seal_text(order.cause, places.of(Kind.CAUSE, run_id)),
            outcome=None if outcome is None else self._seal(outcome, places.of(Kind.OUTCOME, run_id)),
            delivery=None if order.delivery is None else self.delivery(order.delivery),
            digest=None if order.digest is None else self._digest(order.digest),
            sends=tuple([self.delivery(each) for each in order.sends]),
        )


class Opener:
    """What comes out, but for snapshots: whether one is the run's newest only the journal can tell."""

    def __init__(self, pipeline: Pipeline, places: Places) -> None:
        self.pipeline = pipeline
        self._open = pipeline.open
        self._places = places

    def delivery(self, delivery: Delivery) -> Delivery:
        if not delivery.payload:
            return delivery
        return replace(delivery, payload=self._open(delivery.payload, self._places.delivery(delivery)))

    def task(self, task: Task) -> Task:
        def opened(data: bytes | None, kind: Kind) -> bytes | None:
            place = self._places.task(kind, task.run_id, task.token, task.slot)
            return None if data is None else self._open(data, place)

        return replace(
            task,
            payload=opened(task.payload, Kind.TASK),
            details=opened(task.details, Kind.DETAILS),
            failure=opened(task.failure, Kind.FAILURE),
        )

    def claim(self, claim: TaskClaim) -> TaskClaim:
        return replace(claim, task=self.task(claim.task))

    def record(self, record: Record) -> Record:
        place = self._places.record(record)
        if record.kind is RecordKind.CONTROL and self.pipeline.kind(record.body) == Kind.ORDER:
            place = self._places.of(Kind.ORDER, record.run_id, record.cause.bytes)
        return replace(record, body=self._open(record.body, place))

    def member(self, run_id: UUID, member: Member) -> Member:
        return replace(member, body=self._open(member.body, self._places.member(run_id, member)))

    def letter(self, letter: DeadLetter) -> DeadLetter:
        return replace(letter, delivery=self.delivery(letter.delivery))

    def ends(self, run: Run) -> Run:
        """The run, with cause and outcome opened."""
        places = self._places
        outcome = run.outcome
        return replace(
            run,
            cause=self.pipeline.open_text(run.cause, places.of(Kind.CAUSE, run.run_id)),
            outcome=None if outcome is None else self._open(outcome, places.of(Kind.OUTCOME, run.run_id)),
        )

    def snapshot(self, run_id: UUID, version: int, data: bytes) -> bytes:
        return self._open(data, self._places.snapshot(run_id, version))

    def committed(self, commit: Commit | None, committed: Committed | None) -> Committed | None:
        """The answer to a commit that was plain here: its tasks come back with the payloads they had."""
        if committed is None or not committed.tasks:
            return committed
        plain = {} if commit is None else {(t.token, t.slot): t.payload for t in commit.tasks}
        return replace(committed, tasks=tuple([self._born(claim, plain) for claim in committed.tasks]))

    def _born(self, claim: TaskClaim, plain: dict[tuple[int, int], bytes]) -> TaskClaim:
        payload = plain.get((claim.task.token, claim.task.slot))
        if payload is None:
            return self.claim(claim)
        return replace(claim, task=replace(claim.task, payload=payload))

    def replied(self, asked: Asked, answer: Replied) -> Replied:
        if answer.body is None:
            return answer
        return replace(answer, body=self._open(answer.body, self._places.reply(asked.run_id, asked.dedupe)))

    def result(self, reservation: Reservation, answer: Reserved) -> Reserved:
        if answer.result is None:
            return answer
        place = self._places.result(reservation.activity, reservation.key)
        return replace(answer, result=self._open(answer.result, place))
