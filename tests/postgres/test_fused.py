"""Starts and finishes that are one statement: its snapshot is older than its locks, and no harm comes of it.

What the statement waits for, another transaction does: then the first one is stopped between snapshot and
lock, and what it finds is not what it read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.pq.abc import PGresult

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import (
    CommitOutcome,
    Finished,
    FinishKind,
    FinishOutcome,
    NewRun,
    Started,
    StartOutcome,
    TaskClaim,
    TaskFinish,
    TaskHold,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    HOUR,
    finish,
    first_turn,
    fused,
    hold_task,
    new_id,
    new_run,
    new_task,
    signal,
)
from continuum_core.testing.conformance.kit import (
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    delivered,
    payloads,
    row,
    seen,
    waiting,
)
from continuum_postgres import fused as module
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.lane import Lane
from continuum_postgres.session import Ask, Connection, Row, Session, Space
from continuum_postgres.shards import shard
from continuum_postgres.starts import start
from continuum_postgres.statements.fused import FUSE_FINISH, FUSE_FINISHES, FUSE_START, FUSE_STARTS
from tests.postgres.handles import opened, raw, soon, waits_for_lock

_OF_RUN = "WHERE shard = %s AND run_id = %s"
FAR = 2**60


async def ready(journal: Journal, *slots: int, **changes: Any) -> TaskFinish:
    """The finish of a claimed task of a new run, with a turn that closes its token and begins another."""
    await waiting(journal, {"tasks": tuple(new_task(1, slot) for slot in slots or (0,))})
    return await riding(journal, (await claimed_tasks(journal)).tasks[0], **changes)


async def riding(journal: Journal, claim: TaskClaim, **changes: Any) -> TaskFinish:
    ending = finish(claim)
    assert ending.delivery is not None
    run, now = await row(journal, claim.task.run_id), await journal.now()
    born = new_task(2, lease=HOUR, claim_id=new_id())
    told: dict[str, Any] = {"tasks": (born,), "closed": (1,), **changes}
    return ending.riding(fused(run, now, (ending.delivery.id,), **told))


async def finished(journal: Journal, ending: TaskFinish) -> tuple[FinishOutcome, CommitOutcome | None]:
    """The answer, which must come soon."""
    (told,) = await soon(journal.finish([ending]))
    return told.outcome, None if told.committed is None else told.committed.outcome


def the_run(ending: TaskFinish) -> tuple[int, UUID]:
    return shard(ending.run_id), ending.run_id


class Sent:
    """How the statements of one lane's session were told from one another: their texts.

    :param then: what happens once each was answered.
    :ivar alone: those that were sent for a member by itself.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, then: Callable[[Session, str], None] = lambda _, __: None
    ) -> None:
        self.texts: list[str] = []
        self.alone: list[str] = []
        asked, told = Session.ask, Session.tell

        async def ask(session: Session, *asks: Ask) -> list[list[Row]]:
            self.texts.extend(sql for sql, _ in asks)
            answers = await asked(session, *asks)
            for sql, _ in asks:
                then(session, sql)
            return answers

        async def tell(session: Session, sql: str, values: Sequence[object]) -> PGresult:
            self.texts.append(sql)
            self.alone.append(sql)
            answer = await told(session, sql, values)
            session.committing = True  # as it is while the answer is waited for
            then(session, sql)
            session.committing = False
            return answer

        monkeypatch.setattr(Session, "ask", ask)
        monkeypatch.setattr(Session, "tell", tell)


@pytest.fixture(params=["by itself", "in a batch", "in columns"], autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The statements for a start and a finish.

    Those for one member, sent by itself over a connection that nobody uses or as a batch of one; or those
    for many, with one in them.
    """
    if request.param == "by itself":  # also where it is the first that the connection is made for
        free = property(lambda lane: not (lane._jobs or lane._first.taken or lane._stopped))
        monkeypatch.setattr(Lane, "free", free)
    else:
        monkeypatch.setattr(Lane, "free", False)
    if request.param != "in columns":
        return FUSE_START, FUSE_FINISH
    monkeypatch.setattr(module, "_MANY", 1)
    return FUSE_STARTS, FUSE_FINISHES


async def test_a_step_is_one_statement(
    postgres_url: str,
    namespace: str,
    form: tuple[str, str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start with its turn, a finish with its turn, the last one: nothing else is sent."""
    async with opened(postgres_url, namespace) as journal:
        new = new_run()
        born = new_task(1, lease=HOUR, claim_id=new_id())
        first = replace(new, turn=first_turn(new, await journal.now(), tasks=(born,)))
        sent = Sent(monkeypatch)
        (started,) = await journal.start([first])
        assert sent.texts == [form[0]]
        assert started.committed is not None
        step = await riding(journal, started.committed.tasks[0])
        sent.texts.clear()
        (told,) = await journal.finish([step])
        assert sent.texts == [form[1]]
        assert (told.outcome, told.committed and told.committed.more) == (FinishOutcome.FINISHED, False)
        assert told.committed is not None
        (claim,) = told.committed.tasks
        assert claim.task in (await seen(journal, step.run_id)).tasks
        last = await riding(
            journal, claim, tasks=(), closed=(2,), status=RunStatus.COMPLETED, outcome=b"outcome"
        )
        sent.texts.clear()
        assert await finished(journal, last) == (FinishOutcome.FINISHED, CommitOutcome.COMMITTED)
        assert sent.texts == [form[1]]
        by_itself = "by itself" in request.node.name
        assert sent.alone == ([form[0], form[1], form[1]] if by_itself else [])
        inspection = await seen(journal, step.run_id)
        assert (inspection.run.status, inspection.run.outcome) == (RunStatus.COMPLETED, b"outcome")
        assert (inspection.tasks, inspection.deliveries) == ((), ())
        assert [record.version for record in await journal.history(step.run_id)] == [1, 2, 3]


async def _waiting_finish(
    journal: Journal, ending: TaskFinish, other: psycopg.AsyncConnection[Any], looking: Any
) -> asyncio.Task[Sequence[Finished]]:
    """A finish that has read, and waits for the run's row, which `other` has locked."""
    await other.execute("BEGIN")
    await other.execute(f"SELECT 1 FROM continuum.runs {_OF_RUN} FOR UPDATE", the_run(ending))
    ends = asyncio.create_task(journal.finish([ending]))
    await soon(waits_for_lock(looking))
    return ends


async def test_a_turn_committed_meanwhile_refuses_it(postgres_url: str, namespace: str) -> None:
    """The version moved between snapshot and lock: the finish stands alone, and its outcome is due."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        ends = await _waiting_finish(journal, ending, other, looking)
        await other.execute(
            f"UPDATE continuum.runs SET version = version + 1, commit_id = gen_random_uuid() {_OF_RUN}",
            the_run(ending),
        )
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.outcome is FinishOutcome.FINISHED
        assert told.committed is not None
        assert told.committed.outcome is CommitOutcome.REFUSED
        inspection = await seen(journal, ending.run_id)
        assert (inspection.tasks, payloads(inspection.deliveries)) == ((), [b"outcome"])
        assert len(await journal.history(ending.run_id)) == 1


async def test_a_claim_of_the_run_meanwhile_refuses_it(postgres_url: str, namespace: str) -> None:
    """Version and commit id are what they were, but somebody else's lease is live."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        ends = await _waiting_finish(journal, ending, other, looking)
        await other.execute(
            f"UPDATE continuum.runs SET lease_until = {FAR}, fence = fence + 1 {_OF_RUN}", the_run(ending)
        )
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.outcome is FinishOutcome.FINISHED
        assert told.committed is not None
        assert told.committed.outcome is CommitOutcome.REFUSED
        assert (await row(journal, ending.run_id)).version == 1


async def test_a_run_that_only_changed_its_place_is_taken(postgres_url: str, namespace: str) -> None:
    """It was claimed and given back: another version of the row, and nothing that speaks against the turn."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        ends = await _waiting_finish(journal, ending, other, looking)
        await other.execute(f"UPDATE continuum.runs SET fence = fence + 7 {_OF_RUN}", the_run(ending))
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.committed is not None
        assert told.committed.outcome is CommitOutcome.COMMITTED
        run = await row(journal, ending.run_id)
        assert (run.version, run.snapshot.endswith(b"fused;"), run.fence % 7) == (2, True, run.fence % 7)
        assert [task.token for task in (await seen(journal, ending.run_id)).tasks] == [2]


async def test_a_task_claimed_meanwhile_takes_the_turn_with_it(postgres_url: str, namespace: str) -> None:
    """Its lease had run out, and another worker has it: lost, and neither run nor records have moved."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as thief,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        before = await seen(journal, ending.run_id)
        ends = await _waiting_finish(journal, ending, other, looking)
        await thief.execute(
            f"UPDATE continuum.tasks SET fence = fence + 1, lease_until = {FAR} {_OF_RUN}", the_run(ending)
        )
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert (told.outcome, told.committed) == (FinishOutcome.LOST, None)
        after = await seen(journal, ending.run_id)
        assert after.run == before.run
        assert [task.fence for task in after.tasks] == [before.tasks[0].fence + 1]
        assert len(await journal.history(ending.run_id)) == 1


async def test_a_task_being_claimed_is_waited_for(postgres_url: str, namespace: str) -> None:
    """The claim has the task locked and is not committed; the run is ours already, and is given up again."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as thief,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        await thief.execute("BEGIN")
        await thief.execute(f"UPDATE continuum.tasks SET fence = fence + 1 {_OF_RUN}", the_run(ending))
        ends = asyncio.create_task(journal.finish([ending]))
        await soon(waits_for_lock(looking))
        await thief.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.outcome is FinishOutcome.LOST
        assert (await row(journal, ending.run_id)).version == 1


async def test_a_heartbeat_meanwhile_changes_nothing(postgres_url: str, namespace: str) -> None:
    """The task has another version of its row, of the same fence: finish and turn stand."""
    async with (
        opened(postgres_url, namespace) as journal,
        opened(postgres_url, namespace) as beating,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        (task,) = (await seen(journal, ending.run_id)).tasks
        ends = await _waiting_finish(journal, ending, other, looking)
        claim = TaskClaim(task, "machine", "fingerprint")
        assert await soon(beating.heartbeat([hold_task(claim, b"half")], HOUR)) == [True]
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.outcome is FinishOutcome.FINISHED
        assert told.committed is not None
        assert told.committed.outcome is CommitOutcome.COMMITTED
        assert [task.token for task in (await seen(journal, ending.run_id)).tasks] == [2]


async def test_a_task_finished_meanwhile_is_gone(postgres_url: str, namespace: str) -> None:
    """The same finish twice at once: one stands, the other is told what became of the turn."""
    async with (
        opened(postgres_url, namespace) as journal,
        opened(postgres_url, namespace) as second,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        ends = await _waiting_finish(journal, ending, other, looking)
        again = asyncio.create_task(second.finish([ending]))
        await soon(waits_for_lock(looking, 2))
        await other.execute("COMMIT")
        told = [(await soon(each))[0] for each in (ends, again)]
        assert {one.outcome for one in told} == {FinishOutcome.FINISHED, FinishOutcome.GONE}
        assert all(one.committed and one.committed.outcome is CommitOutcome.COMMITTED for one in told)
        assert (await row(journal, ending.run_id)).version == 2


async def test_what_is_delivered_meanwhile_is_due_afterwards(postgres_url: str, namespace: str) -> None:
    """It came after the snapshot: the turn was before it, and it is handed out by the next claim."""
    async with (
        opened(postgres_url, namespace) as journal,
        opened(postgres_url, namespace) as sender,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal)
        ends = await _waiting_finish(journal, ending, other, looking)
        await soon(delivered(sender, signal(ending.run_id, b"late")))
        await other.execute("COMMIT")
        (told,) = await soon(ends)
        assert told.committed is not None
        assert told.committed.outcome is CommitOutcome.COMMITTED
        claim, _ = await claimed_one(sender)
        assert (claim.version, payloads(claim.deliveries)) == (2, [b"late"])


async def test_what_is_delivered_while_the_run_ends_is_put_away(postgres_url: str, namespace: str) -> None:
    """The end did not see it; the claim that meets it makes it a dead letter."""
    async with (
        opened(postgres_url, namespace) as journal,
        opened(postgres_url, namespace) as sender,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        ending = await ready(journal, tasks=(), status=RunStatus.COMPLETED)
        ends = await _waiting_finish(journal, ending, other, looking)
        await soon(delivered(sender, signal(ending.run_id, b"late")))
        await other.execute("COMMIT")
        await soon(ends)
        assert (await claimed(sender)).runs == ()
        inspection = await seen(journal, ending.run_id)
        assert (inspection.run.status, inspection.deliveries) == (RunStatus.COMPLETED, ())
        assert [letter.delivery.payload for letter in inspection.dead] == [b"late"]


@pytest.mark.parametrize("ends", [False, True], ids=["closes a token", "ends the run"])
async def test_other_tasks_are_closed_the_long_way(postgres_url: str, namespace: str, ends: bool) -> None:
    """A task beside the finished one is cancelled, which the statement does not do."""
    async with opened(postgres_url, namespace) as journal:
        changes = {"tasks": (), "status": RunStatus.COMPLETED, "closed": ()} if ends else {}
        ending = await ready(journal, 0, 1, **changes)
        assert await finished(journal, ending) == (FinishOutcome.FINISHED, CommitOutcome.COMMITTED)
        left = [(task.token, task.slot, task.cancel) for task in (await seen(journal, ending.run_id)).tasks]
        assert left == ([(1, 1, True)] if ends else [(1, 1, True), (2, 0, False)])


async def test_a_fence_is_made_of_the_statements_own_time(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is under way another verb of the handle has a later time; the row has the statement's."""
    async with opened(postgres_url, namespace) as journal:
        new, now = new_run(), await journal.now()
        born = new_task(1, lease=HOUR, claim_id=new_id())
        first = replace(new, turn=first_turn(new, now, tasks=(born,)))

        def later(session: Session, _: str) -> None:
            session.space.last += 5_000_000

        Sent(monkeypatch, later)
        (started,) = await journal.start([first])
        assert started.committed is not None
        (claim,) = started.committed.tasks
        assert claim.task in (await seen(journal, new.run_id)).tasks
        (told,) = await journal.finish([await riding(journal, claim)])
        assert told.committed is not None
        (claim,) = told.committed.tasks
        assert claim.task in (await seen(journal, new.run_id)).tasks


async def test_what_became_of_it_is_unknown_until_a_connection_tells(
    postgres_url: str, namespace: str, form: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost and nobody can be asked: it may or may not have been done. Once more, it was."""
    async with opened(postgres_url, namespace) as journal:
        ending, new = await ready(journal), new_run()
        first = replace(new, turn=first_turn(new, await journal.now()))

        async def refuse(_: Space) -> Connection:
            raise psycopg.OperationalError("refused")

        def lose(_: Session, sql: str) -> None:
            if sql in form:
                monkeypatch.setattr(Space, "connect", refuse)
                raise psycopg.OperationalError("lost")

        connect = Space.connect
        Sent(monkeypatch, lose)
        for verb in (lambda: journal.finish([ending]), lambda: journal.start([first])):
            monkeypatch.setattr(Space, "connect", connect)
            with pytest.raises(JournalUnavailable) as unavailable:
                await soon(verb())
            assert unavailable.value.ambiguous
        monkeypatch.undo()
        assert await finished(journal, ending) == (FinishOutcome.GONE, CommitOutcome.COMMITTED)
        assert [one.outcome for one in await soon(journal.start([first]))] == [StartOutcome.EXISTS]


async def test_what_was_not_sent_was_not_done(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(postgres_url, namespace) as journal:
        ending, new = await ready(journal), new_run()
        first = replace(new, turn=first_turn(new, await journal.now()))
        store = journal._store
        assert store is not None
        for lane in (store.starting, store.turning):
            await lane.session.drop()

        async def refuse(_: Space) -> Connection:
            raise psycopg.OperationalError("refused")

        monkeypatch.setattr(Space, "connect", refuse)
        for verb in (lambda: journal.finish([ending]), lambda: journal.start([first])):
            with pytest.raises(JournalUnavailable) as unavailable:
                await soon(verb())
            assert not unavailable.value.ambiguous


@pytest.mark.parametrize("form", ["in a batch"], indirect=True)
async def test_others_in_the_batch_are_taken(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One member's run has something due, one's task has a key, one's fence is stale: the rest is taken."""
    async with opened(postgres_url, namespace) as journal:
        plain = [await ready(journal) for _ in range(3)]
        due, stale = await ready(journal), replace(await ready(journal), fence=1)
        await waiting(journal, {"tasks": (new_task(1, key="once"),)})
        keyed = await riding(journal, await claimed_task(journal))
        await delivered(journal, signal(due.run_id))
        sent = Sent(monkeypatch)
        told = await soon(journal.finish([plain[0], due, plain[1], stale, keyed, plain[2]]))
        assert sent.texts[0] == FUSE_FINISHES
        assert [one.outcome.value for one in told] == [
            *("finished", "finished", "finished", "lost", "finished", "finished")
        ]
        outcomes = [one.committed and one.committed.outcome.value for one in told]
        assert outcomes == ["committed", "refused", "committed", None, "committed", "committed"]


@pytest.mark.parametrize("form", ["in a batch"], indirect=True)
async def test_a_batch_half_done_is_ambiguous(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost before the second transaction: the first has committed, as a repeat is told."""
    async with opened(postgres_url, namespace) as journal:
        plain, due = await ready(journal), await ready(journal)
        await delivered(journal, signal(due.run_id))
        whole, failing = Session.ask, [True] * 2

        async def ask(session: Session, *asks: Ask) -> list[list[Row]]:
            if asks[0][0] == "BEGIN" and failing:
                failing.pop()
                raise psycopg.OperationalError("lost")
            return await whole(session, *asks)

        monkeypatch.setattr(Session, "ask", ask)
        with pytest.raises(JournalUnavailable) as told:
            await soon(journal.finish([plain, due]))
        assert told.value.ambiguous
        failing.clear()
        again = await soon(journal.finish([plain, due]))
        assert [one.outcome for one in again] == [FinishOutcome.GONE, FinishOutcome.FINISHED]
        assert [one.committed and one.committed.outcome.value for one in again] == ["committed", "refused"]


async def test_a_connection_that_died_is_replaced(postgres_url: str, namespace: str) -> None:
    """Terminated while nobody used it: whether the statement was done is found out on a new one."""
    mine = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mine'"
    async with (
        opened(f"{postgres_url}?application_name=mine", namespace) as journal,
        raw(postgres_url) as other,
    ):
        ending, new = await ready(journal), new_run()
        first = replace(new, turn=first_turn(new, await journal.now()))
        await other.execute(f"SELECT pg_terminate_backend(pid) {mine}".encode())
        assert await finished(journal, ending) == (FinishOutcome.FINISHED, CommitOutcome.COMMITTED)
        assert [one.outcome for one in await soon(journal.start([first]))] == [StartOutcome.STARTED]


async def test_a_lost_answer_is_found_out(
    postgres_url: str, namespace: str, form: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement was done and its answer lost: it is told as a repeat, with what was born claimed."""
    async with opened(postgres_url, namespace) as journal:
        ending, new = await ready(journal), new_run()
        born = new_task(1, lease=HOUR, claim_id=new_id())
        first = replace(new, turn=first_turn(new, await journal.now(), tasks=(born,)))

        def lose(_: Session, sql: str) -> None:
            if sql in form:
                raise psycopg.OperationalError("lost")

        Sent(monkeypatch, lose)
        (told,) = await soon(journal.finish([ending]))
        (started,) = await soon(journal.start([first]))
        assert (told.outcome, started.outcome) == (FinishOutcome.GONE, StartOutcome.EXISTS)
        for one, token in ((told, 2), (started, 1)):
            assert one.committed is not None
            assert one.committed.outcome is CommitOutcome.COMMITTED
            assert [claim.task.token for claim in one.committed.tasks] == [token]


@pytest.mark.parametrize("form", ["in a batch"], indirect=True)
async def test_members_that_meet_keep_their_order(postgres_url: str, namespace: str) -> None:
    """A finish delivers to a run whose own finish comes after it: that one's turn is refused."""
    async with opened(postgres_url, namespace) as journal:
        second = await ready(journal)
        first = await ready(journal, deliveries=(signal(second.run_id, b"first"),))
        told = await soon(journal.finish([first, second]))
        assert [one.committed and one.committed.outcome.value for one in told] == ["committed", "refused"]


async def test_a_start_that_races_another(postgres_url: str, namespace: str) -> None:
    """The same run is made by a transaction that is open still: the start waits, and finds it there."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        there = await waiting(journal)
        new = new_run(digest=(await row(journal, there)).digest)
        new = replace(new, turn=first_turn(new, await journal.now()))
        beside = new_run()
        beside = replace(beside, turn=first_turn(beside, await journal.now()))
        await other.execute("BEGIN")
        await _copied(other, there, new)
        store = journal._store
        assert store is not None
        starting: asyncio.Task[list[Started]] = asyncio.create_task(
            store.turning.gather(start, [new, beside])  # a lane that waits for others
        )
        await soon(waits_for_lock(looking))
        await other.execute("COMMIT")
        told = await soon(starting)
        assert [one.outcome for one in told] == [StartOutcome.EXISTS, StartOutcome.STARTED]
        assert len(await journal.history(beside.run_id)) == 1


async def _copied(connection: psycopg.AsyncConnection[Any], of: UUID, new: NewRun) -> None:
    """The row of another run, as that of `new`."""
    asked = "SELECT column_name FROM information_schema.columns WHERE table_name = 'runs'"
    told = await (await connection.execute(f"{asked} AND table_schema = 'continuum'")).fetchall()
    named = {name: name for (name,) in told} | {"shard": str(shard(new.run_id)), "run_id": "%s::uuid"}
    await connection.execute(
        f"INSERT INTO continuum.runs ({', '.join(named)}) SELECT {', '.join(named.values())} "
        f"FROM continuum.runs {_OF_RUN}".encode(),
        (new.run_id, shard(of), of),
    )


async def test_a_task_that_is_there_already_stays(postgres_url: str, namespace: str) -> None:
    """A turn brings a task whose name the run has: that one stays as it is, and the rest stands."""
    async with opened(postgres_url, namespace) as journal:
        ending = await ready(journal)
        assert ending.turn is not None
        await soon(journal.commit([fused(await row(journal, ending.run_id), 0, tasks=(new_task(2),))]))
        run = await row(journal, ending.run_id)
        turn = replace(
            ending.turn, version=run.version, base=run.commit_id, records=(_after(ending, run.version),)
        )
        assert await finished(journal, ending.riding(turn)) == (
            FinishOutcome.FINISHED,
            CommitOutcome.COMMITTED,
        )
        (task,) = (await seen(journal, ending.run_id)).tasks
        assert (task.token, task.lease_until) == (2, None)


def _after(ending: TaskFinish, version: int) -> Any:
    assert ending.turn is not None
    return replace(ending.turn.records[0], version=version + 1)


TABLES = ("runs", "records", "tasks", "deliveries", "seen")
TIMES = frozenset({"created", "updated", "ended", "due", "scheduled", "wake", "lease_until", "fence", "at"})
IDS = frozenset({"run_id", "shard", "ns", "commit_id", "cause", "claim_id", "id"})


async def test_both_ways_write_the_same_rows(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever columns there are, now or later: none is written by one way and not by the other."""
    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as looking:
        short = await _three_steps(journal)
        monkeypatch.setattr(Session, "alone", property(lambda _: False))
        long = await _three_steps(journal)
        for runs in zip(short, long, strict=True):
            rows = [[await _rows(looking, table, run_id) for table in TABLES] for run_id in runs]
            assert rows[0] == rows[1]
            assert rows[0][0]


async def _three_steps(journal: PostgresJournal) -> list[UUID]:
    """Runs that were left after their start, after a step, and after their end."""
    ids: list[UUID] = []
    for steps in range(3):
        new = new_run(key="key", parent=None)
        born = new_task(1, lease=HOUR, claim_id=new_id(), fairness="tenant")
        (told,) = await journal.start(
            [replace(new, turn=first_turn(new, await journal.now(), tasks=(born,), cause="why"))]
        )
        ids.append(new.run_id)
        assert told.committed is not None
        if steps:
            (claim,) = told.committed.tasks
            changes = {"tasks": (), "status": RunStatus.FAILED, "outcome": b"no"} if steps > 1 else {}
            ending = replace(await riding(journal, claim, cause="then", **changes), kind=FinishKind.FAILED)
            assert await finished(journal, ending) == (FinishOutcome.FINISHED, CommitOutcome.COMMITTED)
    return ids


async def _rows(looking: psycopg.AsyncConnection[Any], table: str, run_id: UUID) -> list[dict[str, object]]:
    """Rows of a run; of times and ids only whether there is one."""
    cursor = await looking.execute(
        f"SELECT * FROM continuum.{table} {_OF_RUN} ORDER BY 1, 2, 3".encode(), (shard(run_id), run_id)
    )
    names = [column.name for column in cursor.description or ()]
    told = [dict(zip(names, values, strict=True)) for values in await cursor.fetchall()]
    veiled = TIMES | IDS
    return [
        {name: (value is not None) if name in veiled else value for name, value in one.items()}
        for one in told
    ]


@pytest.mark.parametrize("form", ["in a batch"], indirect=True)
async def test_many_batches_of_finishes_do_not_deadlock(postgres_url: str, namespace: str) -> None:
    """Handles finish the same tasks, beat and close them, each in its own order: they end, no deadlock."""
    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as looking:
        asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        before = await (await looking.execute(asked)).fetchone()
        handles = [journal.sibling() for _ in range(4)]
        for handle in handles:
            await handle.open()
        try:
            for _ in range(8):
                endings = [await ready(journal) for _ in range(8)]
                told = await soon(
                    asyncio.gather(*(_all_ways(handle, endings, at) for at, handle in enumerate(handles)))
                )
                stood = [sum(one[at] is FinishOutcome.FINISHED for one in told) for at in range(8)]
                assert stood == [1] * 8
        finally:
            for handle in handles:
                await handle.close()
        await looking.execute("SELECT pg_stat_clear_snapshot()")
        assert await (await looking.execute(asked)).fetchone() == before


async def _all_ways(journal: Journal, endings: Sequence[TaskFinish], at: int) -> list[FinishOutcome]:
    """The finishes in an order of the handle's own, while their tasks beat and something closes them."""
    order = list(range(len(endings)))
    order = order[at:] + order[:at]
    if at % 2:
        order.reverse()
    held = [_hold(endings[place]) for place in order]
    moved = [fused(await row(journal, endings[place].run_id), 0, closed=(1,)) for place in order[:2]]
    told, _, _ = await asyncio.gather(
        journal.finish([endings[place] for place in order]),
        journal.heartbeat(held, HOUR),
        journal.commit(moved),
    )
    by_place = dict(zip(order, told, strict=True))
    return [by_place[place].outcome for place in range(len(endings))]


def _hold(ending: TaskFinish) -> TaskHold:
    return TaskHold(run_id=ending.run_id, token=ending.token, slot=ending.slot, fence=ending.fence)
