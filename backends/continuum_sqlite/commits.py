"""Turns of runs: checked in full before the first write, so that none of them needs undoing.

Rule: fence, version, base and status decide, in this order of importance: version first. The effects
follow one order: consumed, held, released, sent, tasks, closed tokens, the end of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.journal.commit import Commit, CommitOutcome, Committed, NewTask, TaskClaim
from continuum_core.journal.fences import born
from continuum_core.journal.records import ENDED, Delivery, Held, RunStatus, Task
from continuum_sqlite import attributes, crews, deliveries, rows
from continuum_sqlite.rows import Head
from continuum_sqlite.statements.deliveries import DUE_IDS, REPLY
from continuum_sqlite.statements.runs import (
    ADD_RECORD,
    BEGIN_GENERATION,
    END_RUN,
    MAKE_ETERNAL,
    NOTE_GENERATION,
    RECORD_COMMIT,
    TURN_RUN,
)
from continuum_sqlite.statements.tasks import (
    ADD_TASK,
    CANCEL_TASKS_OF_RUN,
    CANCEL_TASKS_OF_TOKEN,
    DROP_UNSTARTED_OF_RUN,
    DROP_UNSTARTED_OF_TOKEN,
    HAS_TASKS_OF_RUN,
    HAS_TASKS_OF_TOKEN,
    TASK,
)
from continuum_sqlite.transaction import Transaction

__all__ = ["apply", "close_run", "commit", "commit_fused", "refused", "repeated"]


def commit(transaction: Transaction, commits: Sequence[Commit]) -> list[Committed]:
    """The verb: one answer per commit."""
    return [
        _commit_claimed(transaction, turn) if turn.fence is not None else commit_fused(transaction, turn)
        for turn in commits
    ]


def _commit_claimed(transaction: Transaction, turn: Commit) -> Committed:
    head = deliveries.read_head(transaction, turn.run_id)
    if head is None:
        return Committed(CommitOutcome.LOST, transaction.now)
    if _untouched(head, turn) and head.fence == turn.fence:
        return apply(transaction, head, turn)
    return repeated(transaction, turn) or Committed(CommitOutcome.LOST, transaction.now)


def commit_fused(
    transaction: Transaction, turn: Commit, head: Head | None = None, brought: Delivery | None = None
) -> Committed:
    """A turn computed ahead, without a claim: it stands only if nobody holds or woke the run meanwhile.

    :param head: of its run, where it was read already.
    :param brought: a delivery that it consumes, which is stored only if the turn is not written now.
    """
    head = deliveries.read_head(transaction, turn.run_id) if head is None else head
    if head is None:
        return refused(transaction)
    leased = head.lease_until is not None and head.lease_until > transaction.now
    if not leased and turn.now <= transaction.now and _untouched(head, turn):
        if not _others_due(transaction, turn):
            return apply(transaction, head, turn, alone=True)
        _store(transaction, brought)
        return refused(transaction)
    _store(transaction, brought)
    return repeated(transaction, turn) or refused(transaction)


def _store(transaction: Transaction, brought: Delivery | None) -> None:
    if brought is not None:
        deliveries.send(transaction, brought, own=True)


def refused(transaction: Transaction) -> Committed:
    return Committed(CommitOutcome.REFUSED, transaction.now)


def _untouched(head: Head, turn: Commit) -> bool:
    return (
        head.version == turn.version
        and head.commit_id == rows.ident(turn.base)
        and head.status == RunStatus.RUNNING
    )


def _others_due(transaction: Transaction, turn: Commit) -> bool:
    """Whether a due delivery would be overtaken. One row more than the turn consumes tells."""
    consumed = {delivery_id.bytes for delivery_id in turn.consumed}
    asked = (transaction.ns, turn.run_id.bytes, transaction.now, len(consumed) + 1)
    return any(row[0] not in consumed for row in transaction.execute(DUE_IDS, asked))


def repeated(transaction: Transaction, turn: Commit) -> Committed | None:
    """The answer of this very commit, as far as it still holds, if it was made before; else None.

    Its id is among the records even when others have committed since: only its answer was lost. Where it
    keeps no record, its id is known until another follows.
    """
    if not _stood(transaction, turn):
        return None
    more = deliveries.has_due(transaction, turn.run_id)
    return Committed(CommitOutcome.COMMITTED, transaction.now, more, _still_claimed(transaction, turn))


def _stood(transaction: Transaction, turn: Commit) -> bool:
    if not turn.records:
        head = deliveries.read_head(transaction, turn.run_id)
        return head is not None and (head.version, head.commit_id) == (turn.after, turn.commit_id.bytes)
    asked = (transaction.ns, turn.run_id.bytes, turn.records[0].version)
    row = transaction.execute(RECORD_COMMIT, asked).fetchone()
    return row is not None and row[0] == turn.commit_id.bytes


def _still_claimed(transaction: Transaction, turn: Commit) -> tuple[TaskClaim, ...]:
    """Of the tasks that the commit had born claimed, those that are; as they stand now."""
    claims: list[TaskClaim] = []
    for new in turn.tasks:
        name = (transaction.ns, turn.run_id.bytes, new.token, new.slot)
        row = transaction.execute(TASK, name).fetchone() if new.lease is not None else None
        if row is not None:
            claim = rows.task_claim(row)
            if claim.task.claim_id == new.claim_id and claim.task.lease_until is not None:
                claims.append(claim)
    return tuple(claims)


# --- effects


def apply(
    transaction: Transaction, head: Head, turn: Commit, unstored: UUID | None = None, *, alone: bool = False
) -> Committed:
    """Write all of a turn that stands.

    :param unstored: a delivery that it consumes and that never was stored.
    :param alone: nothing is due of the run but what the turn consumes.
    """
    _write_run(transaction, head, turn)
    ns, run_id = transaction.ns, turn.run_id
    if len(turn.records) == 1:
        transaction.execute(ADD_RECORD, rows.record_row(ns, turn.records[0]))
    else:
        transaction.executemany(ADD_RECORD, [rows.record_row(ns, record) for record in turn.records])
    attributes.describe(transaction, run_id, turn.attributes)
    if not turn.plain:
        _remember(transaction, turn)
    for delivery_id in turn.consumed:
        if delivery_id != unstored:
            deliveries.consume(transaction, run_id, delivery_id)
    for reply in turn.replies:
        transaction.execute(REPLY, (ns, run_id.bytes, reply.dedupe, reply.body))
    for delivery_id, held in turn.hold:
        deliveries.hold(transaction, run_id.bytes, delivery_id.bytes, held)
    if turn.release:
        deliveries.unhold(transaction, run_id, Held.DEFERRED)
    crews.keep(transaction, run_id, turn.members)
    crews.start_children(transaction, turn.starts)
    ended = turn.status in ENDED  # what it sends to itself reaches nobody then, and uses up no dedupe id
    for delivery in turn.deliveries:
        deliveries.send(transaction, delivery, own=delivery.run_id == run_id and not ended)
    claims = tuple(
        claim for new in turn.tasks if (claim := _add_task(transaction, head, turn, new)) is not None
    )
    if ended:
        close_run(transaction, run_id)  # with all that the turn closes
    else:
        for token in turn.closed:
            _close_token(transaction, run_id, token)
    if claims and (ended or any(claim.task.token in turn.closed for claim in claims)):
        claims = _still_claimed(transaction, turn)  # what was just begun may be asked to stop already
    freed = not alone or turn.release or turn.deliveries
    more = not ended and bool(freed) and deliveries.has_due(transaction, run_id)
    return Committed(CommitOutcome.COMMITTED, transaction.now, more, claims)


def _write_run(transaction: Transaction, head: Head, turn: Commit) -> None:
    new = (
        transaction.ns,
        turn.run_id.bytes,
        turn.after,
        turn.fingerprint,
        turn.cause,
        turn.snapshot,
        turn.outcome,
        turn.commit_id.bytes,
        transaction.now,
    )
    if turn.status is RunStatus.RUNNING:
        transaction.execute(TURN_RUN, new)
        return
    parked = turn.status is RunStatus.PARKED
    tries = head.tries if parked else 0  # a run parked as a suspect is one still when it is unparked
    fence = max(head.fence + 1, transaction.now) if parked else head.fence
    transaction.execute(END_RUN, (*new, tries, int(turn.status), fence))


def _remember(transaction: Transaction, turn: Commit) -> None:
    """What a turn says of generations and eternity."""
    name = (transaction.ns, turn.run_id.bytes)
    if turn.eternal:
        for statement in MAKE_ETERNAL:
            transaction.execute(statement, name)
    if turn.begins:
        transaction.execute(BEGIN_GENERATION, name)
        transaction.execute(NOTE_GENERATION, (*name, turn.begins, transaction.now))


def _add_task(transaction: Transaction, head: Head, turn: Commit, new: NewTask) -> TaskClaim | None:
    """Store a task; the claim of it, where it is born claimed."""
    task = born(turn.run_id, new, transaction.now)
    added = transaction.execute(ADD_TASK, _task_row(transaction.ns, task)).rowcount
    return TaskClaim(task, head.machine, turn.fingerprint) if new.lease is not None and added else None


def _task_row(ns: int, task: Task) -> rows.Row:
    """Parameters of ADD_TASK."""
    return (
        ns,
        task.run_id.bytes,
        task.token,
        task.slot,
        task.activity,
        task.queue,
        task.priority,
        task.due,
        task.payload,
        task.key,
        int(task.undo),
        task.fence,
        task.lease_until,
        rows.ident(task.claim_id),
        task.fairness,
    )


def _close_token(transaction: Transaction, run_id: UUID, token: int) -> None:
    deliveries.close_timers(transaction, run_id, token)
    name = (transaction.ns, run_id.bytes, token)
    if transaction.execute(HAS_TASKS_OF_TOKEN, name).fetchone() is not None:
        transaction.execute(DROP_UNSTARTED_OF_TOKEN, name)
        transaction.execute(CANCEL_TASKS_OF_TOKEN, name)


def close_run(transaction: Transaction, run_id: UUID) -> None:
    """Close all that a run which has ended had open."""
    deliveries.empty(transaction, run_id)
    name = (transaction.ns, run_id.bytes)
    if transaction.execute(HAS_TASKS_OF_RUN, name).fetchone() is not None:
        transaction.execute(DROP_UNSTARTED_OF_RUN, name)
        transaction.execute(CANCEL_TASKS_OF_RUN, name)
