"""What people and clients read: one snapshot a verb."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal import cursor
from continuum_core.journal.commit import Inspection, Member, Page, Query
from continuum_core.journal.records import Definition, Record, Run, RunStatus
from continuum_core.journal.replies import Asked, Replied, ReplyState
from continuum_postgres import arrays, rows
from continuum_postgres.arrays import Bigint
from continuum_postgres.session import Session
from continuum_postgres.shards import shard
from continuum_postgres.statements import reading as statements
from continuum_postgres.statements.crews import MEMBERS
from continuum_postgres.statements.deliveries import REPLIED
from continuum_postgres.statements.runs import HISTORY, RUNS_BY_ID
from continuum_postgres.statements.waiting import PUT_OFF_TASKS, WAITING_TASKS
from continuum_postgres.waiting import places
from continuum_postgres.writes import by_run

__all__ = ["define", "definitions", "history", "inspect", "load", "members", "now", "page", "replies"]

_FIRST, _LAST = -(2**63), 2**63 - 1
_BY_STATUS = {RunStatus.RUNNING: statements.RUNS_RUNNING, RunStatus.COMPLETED: statements.RUNS_COMPLETED}
_ABOVE_ALL = (_LAST, b"\xff" * 16)


async def now(session: Session) -> Micros:
    """The verb: the journal's clock."""
    (told,) = await session.ask((statements.NOW, ()))
    return session.space.at(told[0][0])


async def load(session: Session, runs: Sequence[UUID]) -> list[Run | None]:
    """The verb: rows of runs."""
    found: list[Run | None] = [None] * len(runs)
    (told,) = await session.ask((RUNS_BY_ID, by_run(runs)))
    for row in told:
        found[row[0] - 1] = rows.run(row[1:], session.space.namespace)
    return found


async def replies(session: Session, asked: Sequence[Asked]) -> list[Replied]:
    """The verb: what became of questions."""
    dedupes = arrays.texts([each.dedupe for each in asked])
    (told,) = await session.ask((REPLIED, (*by_run(each.run_id for each in asked), dedupes)))
    return [_replied(session, *row) for row in told]


def _replied(
    session: Session, now: Micros, there: bool, consumed: Micros | None, reply: bytes | None
) -> Replied:
    forgotten = session.space.at(now) - session.space.limits.dedupe_window
    if not there or (consumed is not None and consumed <= forgotten):
        return Replied(ReplyState.UNKNOWN)
    return Replied(ReplyState.PENDING) if consumed is None else Replied(ReplyState.GONE, reply)


async def inspect(session: Session, run_id: UUID) -> Inspection | None:
    """The verb: a run with all it has open, as it was at one moment."""
    named = (shard(run_id), run_id)
    _, runs, deliveries, tasks, dead, waiting, put_off, _ = await session.ask(
        (statements.BEGIN_READING, ()),
        (RUNS_BY_ID, by_run((run_id,))),
        (statements.DELIVERIES_OF_RUN, named),
        (statements.TASKS_OF_RUN, named),
        (statements.DEAD_OF_RUN, named),
        (WAITING_TASKS, named),
        (PUT_OFF_TASKS, named),
        ("COMMIT", ()),
    )
    if not runs:
        return None
    at = places(waiting, put_off, run_id.int)
    told = tuple(map(rows.task, tasks))
    return Inspection(
        run=rows.run(runs[0][1:], session.space.namespace),
        deliveries=tuple(map(rows.delivery, deliveries)),
        tasks=told,
        dead=tuple(map(rows.dead_letter, dead)),
        places=tuple(at.get((task.token, task.slot)) for task in told),
    )


async def history(session: Session, run_id: UUID, after: int, limit: int) -> list[Record]:
    """The verb: records with versions above `after`."""
    asked = (shard(run_id), run_id, Bigint(after), Bigint(max(limit, 0)))
    (told,) = await session.ask((HISTORY, asked))
    return [rows.record(row) for row in told]


async def members(session: Session, run_id: UUID, token: int, after: int, limit: int) -> list[Member]:
    """The verb: what came of a crew's members with numbers above `after`."""
    asked = (shard(run_id), run_id, Bigint(token), after, Bigint(max(limit, 0)))
    (told,) = await session.ask((MEMBERS, asked))
    return [Member(token, *row) for row in told]


async def define(session: Session, definitions: Sequence[Definition]) -> None:
    """The verb: store definitions."""
    asked = (
        arrays.texts([one.fingerprint for one in definitions]),
        arrays.texts([one.machine for one in definitions]),
        arrays.integers([one.version for one in definitions]),
        arrays.byteas([one.body for one in definitions]),
    )
    await session.write((statements.ADD_DEFINITIONS, asked))


async def definitions(session: Session) -> list[Definition]:
    """The verb: all of them."""
    (told,) = await session.ask((statements.DEFINITIONS, ()))
    return [rows.definition(row) for row in told]


# --- pages


async def page(session: Session, query: Query, limit: int, after: tuple[Micros, bytes] | None) -> Page:
    """The verb: one page of runs, newest first."""
    wanted = max(limit, 0)
    statement = statements.RUNS
    if query.parent is not None:
        statement = statements.CHILDREN
    elif query.status is not None:
        statement = _BY_STATUS.get(query.status, statements.RUNS_IN_STATUS)
    created, run_id = after or _ABOVE_ALL
    asked = (
        Bigint(_FIRST if query.created_from is None else query.created_from),
        Bigint(_LAST if query.created_to is None else query.created_to),
        Bigint(created),
        UUID(bytes=run_id),
        Bigint(wanted + 1),
        query.machine,
        None if query.status is None else int(query.status),
        query.parent,
    )
    (told,) = await session.ask((statement, asked))
    shown = tuple(rows.run(row, session.space.namespace) for row in told[:wanted])
    more = len(told) > wanted > 0
    return Page(shown, cursor.write(query, shown[-1]) if more else None)
