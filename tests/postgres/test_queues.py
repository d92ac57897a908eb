"""Queues with caps, rates and fairness keys under real races: claimers come one after the other.

A claimer of such a queue looks first (one round trip), then locks the queue's row and reads again (the
second), then leases (the third): a gate stops it before one of them, a held row makes it wait at the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import FinishKind, NewTask, TaskClaim, TaskClaims, TaskWant
from continuum_core.journal.rate import Rate
from continuum_core.testing.conformance.given import FAR, HOUR, finish, fused, new_id, new_task, want
from continuum_core.testing.conformance.kit import claimed_tasks, row, waiting
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.migrations import MIGRATIONS
from continuum_postgres.place import parse
from continuum_postgres.schema import migrate
from continuum_postgres.session import connect
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock

SLOW = Rate(1, HOUR, 3)
"""Three at once, and then no more while a test runs."""


def tasks(count: int, token: int = 1, **changes: Any) -> tuple[NewTask, ...]:
    return tuple(new_task(token, slot, **changes) for slot in range(count))


@asynccontextmanager
async def handles(url: str, namespace: str, count: int) -> AsyncIterator[list[PostgresJournal]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(url, namespace)) for _ in range(count)]


HELD = """
FROM continuum.queues q JOIN continuum.namespaces n ON n.ns = q.ns WHERE n.name = %s FOR UPDATE OF q
"""


@asynccontextmanager
async def held(url: str, namespace: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """All queues of the namespace are locked by another until it is told to let go."""
    async with raw(url) as other:
        await other.execute("BEGIN")
        await other.execute(f"SELECT 1 {HELD}".encode(), (namespace,))
        yield other


async def _state(url: str, namespace: str) -> tuple[list[Any], list[Any]]:
    """What is stored of the namespace's queues: buckets, and whose turn it was."""
    async with raw(url) as other:
        asked = "SELECT {} FROM continuum.{} q JOIN continuum.namespaces n ON n.ns = q.ns WHERE n.name = %s"
        buckets = await other.execute(asked.format("level, at, per", "queues").encode(), (namespace,))
        turns = await other.execute(asked.format("priority, last", "dealt").encode(), (namespace,))
        return await buckets.fetchall(), await turns.fetchall()


# --- claimers at the same moment ----------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"cap": 3}, {"rate": SLOW}, {"cap": 9, "rate": SLOW}], ids=str)
async def test_two_claimers_at_once_keep_to_the_limit(
    postgres_url: str, namespace: str, limits: dict[str, Any]
) -> None:
    """Both looked and found room for all; both wait for the queue's row; the second reads again."""
    async with handles(postgres_url, namespace, 2) as (one, two), raw(postgres_url) as looking:
        await waiting(one, {"tasks": tasks(9)})
        await claimed_tasks(one, want(1, **limits))
        async with held(postgres_url, namespace) as other:
            racing = [asyncio.create_task(claimed_tasks(each, want(2, **limits))) for each in (one, two)]
            await soon(waits_for_lock(looking, 2))
            await other.execute("COMMIT")
        told = await soon(asyncio.gather(*racing))
        assert sorted(len(claims.tasks) for claims in told) == [0, 2]


@pytest.mark.parametrize("limits", [{"cap": 3}, {"rate": SLOW}], ids=str)
async def test_the_first_two_claimers_of_a_queue(
    postgres_url: str, namespace: str, limits: dict[str, Any]
) -> None:
    """There is no row yet: the one who creates it is waited for."""
    async with handles(postgres_url, namespace, 2) as (one, two), raw(postgres_url) as looking:
        await waiting(one, {"tasks": tasks(9)})
        with Gate(one, "claiming", before=3) as gate:
            first = asyncio.create_task(claimed_tasks(one, want(2, **limits)))
            await soon(gate.reached.wait())
            second = asyncio.create_task(claimed_tasks(two, want(2, **limits)))
            await soon(waits_for_lock(looking))
            gate.go.set()
            assert len((await soon(first)).tasks) == 2
            assert len((await soon(second)).tasks) == 1


async def test_claimers_of_keys_take_turns(postgres_url: str, namespace: str) -> None:
    """The second of two at once goes on where the first one stopped."""
    async with handles(postgres_url, namespace, 2) as (one, two), raw(postgres_url) as looking:
        keyed = [new_task(1, slot, fairness=key) for slot, key in enumerate("aaabbccd")]
        await waiting(one, {"tasks": tuple(keyed)})
        with Gate(one, "claiming", before=3) as gate:
            first = asyncio.create_task(claimed_tasks(one, want(3)))
            await soon(gate.reached.wait())
            second = asyncio.create_task(claimed_tasks(two, want(3)))
            await soon(waits_for_lock(looking))
            gate.go.set()
            told = await soon(asyncio.gather(first, second))
        dealt = [[claim.task.fairness for claim in claims.tasks] for claims in told]
        assert dealt == [["a", "b", "c"], ["d", "a", "b"]]


async def test_one_waits_behind_one_of_each_other_tenant(postgres_url: str, namespace: str) -> None:
    """Four claimers at once, three long backlogs: who has one task is among the first of each round."""
    async with handles(postgres_url, namespace, 4) as claimers:
        backlog = [new_task(1, slot, fairness="xyz"[slot % 3]) for slot in range(120)]
        await waiting(claimers[0], {"tasks": tuple(backlog)})
        await waiting(claimers[0], {"tasks": (new_task(1, fairness="a"), new_task(1, 1, fairness="zz"))})
        order: list[tuple[int, str]] = []

        async def work(journal: PostgresJournal) -> None:
            for _ in range(10):
                claims = await claimed_tasks(journal, want(2))
                order.extend((claims.now, claim.task.fairness) for claim in claims.tasks)

        await soon(asyncio.gather(*(work(each) for each in claimers)))
        dealt = [key for _, key in sorted(order, key=lambda one: one[0])]
        assert len(dealt) == 80
        assert {"a", "zz"} <= set(dealt[:5])
        later = [key for key in dealt if key in "xyz"]
        assert {abs(later.count(key) - later.count("x")) for key in "yz"} <= {0, 1}


async def test_many_queues_in_every_order_do_not_deadlock(postgres_url: str, namespace: str) -> None:
    """Claims of limited queues named in different orders, against finishes, commits and each other."""
    asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    async with handles(postgres_url, namespace, 4) as claimers, raw(postgres_url) as looking:
        names = ["a", "b", "c"]
        runs = [
            await waiting(claimers[0], {"tasks": tasks(40, queue=names[at % 3], fairness="k")})
            for at in range(6)
        ]
        before = await (await looking.execute(asked)).fetchone()
        counts = await soon(
            asyncio.gather(*(_claim_often(each, names, runs, at) for at, each in enumerate(claimers)))
        )
        await looking.execute("SELECT pg_stat_clear_snapshot()")
        assert await (await looking.execute(asked)).fetchone() == before
        assert sum(counts) > 100


async def _claim_often(journal: PostgresJournal, names: Sequence[str], runs: Sequence[UUID], at: int) -> int:
    mine = [*names[at % 3 :], *names[: at % 3]]
    wants = [want(4, name, cap=30, rate=Rate(1, 1, 1_000)) for name in (mine[::-1] if at % 2 else mine)]
    done = 0
    for number in range(12):
        claims = (await claimed_tasks(journal, *wants)).tasks
        done += len(claims)
        kind = FinishKind.RETURN if number % 3 == 0 else FinishKind.DONE
        await journal.finish([finish(claim, kind) for claim in (claims[::-1] if at % 2 else claims)])
        run = await row(journal, runs[(number + at) % len(runs)])
        more = (new_task(100 + 20 * at + number, queue=mine[0]),)
        await journal.commit([fused(run, await journal.now(), tasks=more)])
    return done


async def test_who_was_slower_takes_what_others_left(postgres_url: str, namespace: str) -> None:
    """Two claimers of a plain queue saw the same tasks: from then on the slower one reads some more."""
    async with handles(postgres_url, namespace, 2) as (slow, quick):
        await waiting(slow, {"tasks": tasks(12)})
        got: list[int] = []
        for _ in range(2):
            with Gate(slow, "claiming", before=2) as gate:
                claiming = asyncio.create_task(claimed_tasks(slow, want(3)))
                await soon(gate.reached.wait())
                assert len((await claimed_tasks(quick, want(3))).tasks) == 3
                gate.go.set()
                got.append(len((await soon(claiming)).tasks))
        assert got == [0, 3]
        assert len((await claimed_tasks(slow, want(3))).tasks) == 3, "and takes no more than its limit"


# --- what costs nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"cap": 2}, {"rate": SLOW}, {"cap": 2, "rate": SLOW}], ids=str)
async def test_a_queue_without_room_is_not_locked(
    postgres_url: str, namespace: str, limits: dict[str, Any]
) -> None:
    """Nor is one where nothing waits: its row is held by another, and the poll is answered."""
    async with opened(postgres_url, namespace) as journal:
        await waiting(journal, {"tasks": tasks(9)})
        while (await claimed_tasks(journal, want(2, **limits), lease=2 * HOUR)).tasks:
            pass
        async with held(postgres_url, namespace):
            full = await soon(claimed_tasks(journal, want(2, **limits)))
            assert full.tasks == ()
            by_token = full.next_due is not None and full.next_due <= full.now + HOUR
            assert by_token is ("cap" not in limits)
            assert (await soon(claimed_tasks(journal, want(2, activities=("idle",), cap=100)))).tasks == ()


async def test_round_trips(postgres_url: str, namespace: str) -> None:
    """An empty poll is one, a plain claim two, a claim in turn three."""
    async with opened(postgres_url, namespace) as journal:
        await waiting(journal, {"tasks": (*tasks(1), *tasks(1, 2, queue="keys", fairness="k"))})

        async def trips(*wants: TaskWant) -> tuple[int, int]:
            with Gate(journal, "claiming", before=-1) as gate:
                claims: TaskClaims = await claimed_tasks(journal, *wants)
                return -1 - gate._left, len(claims.tasks)

        await trips(want(5, "idle"))
        assert await trips(want(5)) == (2, 1)
        assert await trips(want(5)) == (1, 0)
        assert await trips(want(5, "keys")) == (3, 1)
        assert await trips(want(5, "keys", cap=9, rate=SLOW)) == (1, 0)


# --- claimers that are lost -----------------------------------------------------------------------------


async def test_a_claimer_that_is_cut_off_keeps_nothing(postgres_url: str, namespace: str) -> None:
    """Its connection goes between choosing and leasing: no token, no turn and no task is gone."""
    limits: dict[str, Any] = {"cap": 4, "rate": SLOW}
    async with handles(postgres_url, namespace, 2) as (lost, other), raw(postgres_url) as looking:
        await waiting(other, {"tasks": tasks(6, fairness="a")})
        assert len((await claimed_tasks(lost, want(1, **limits))).tasks) == 1
        before = await _state(postgres_url, namespace)
        with Gate(lost, "claiming", before=3) as gate:
            claim_id = new_id()
            claiming = asyncio.create_task(claimed_tasks(lost, want(2, **limits), claim_id=claim_id))
            await soon(gate.reached.wait())
            await looking.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND state = 'idle in transaction'"
            )
            gate.go.set()
            with pytest.raises(JournalUnavailable):
                await soon(claiming)
        assert await _state(postgres_url, namespace) == before
        assert len((await claimed_tasks(other, want(9, **limits))).tasks) == 2
        assert (await claimed_tasks(lost, want(9, **limits), claim_id=claim_id)).tasks == ()


async def test_a_claimer_that_stands_still_is_waited_for_only_so_long(
    postgres_url: str, namespace: str
) -> None:
    """A process stopped while it holds the queue's row: the server ends its session, and the others go on."""
    bounded = f"{postgres_url}?options=-c%20idle_in_transaction_session_timeout%3D300"
    async with opened(bounded, namespace) as stopped, opened(postgres_url, namespace) as other:
        await waiting(other, {"tasks": tasks(6)})
        with Gate(stopped, "claiming", before=3) as gate:
            claiming = asyncio.create_task(claimed_tasks(stopped, want(2, cap=3)))
            await soon(gate.reached.wait())
            try:
                assert len((await soon(claimed_tasks(other, want(9, cap=3)))).tasks) == 3
            finally:
                gate.go.set()
            with pytest.raises(JournalUnavailable):
                await soon(claiming)


# --- what was put off -----------------------------------------------------------------------------------


async def test_what_was_put_off_is_ready_once_it_was_met(postgres_url: str, namespace: str) -> None:
    """A claim that has room for one of three makes the others ready; while they are to come, none is."""
    later = (
        "SELECT count(*) FROM continuum.tasks t JOIN continuum.namespaces n ON n.ns = t.ns "
        "WHERE n.name = %s AND NOT t.leased AND t.wake IS NOT NULL"
    )

    async def put_off() -> int:
        found = await (await other.execute(later, (namespace,))).fetchone()
        assert found is not None
        return int(found[0])

    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as other:
        await waiting(journal, {"tasks": tasks(3)})
        claims: Sequence[TaskClaim] = (await claimed_tasks(journal)).tasks
        await journal.finish([finish(claim, FinishKind.RETRY, delay=HOUR) for claim in claims])
        assert await put_off() == 3
        await other.execute(
            "UPDATE continuum.tasks t SET due = 1, wake = 1 FROM continuum.namespaces n "
            "WHERE n.ns = t.ns AND n.name = %s AND NOT t.leased",
            (namespace,),
        )
        assert len((await claimed_tasks(journal, want(1))).tasks) == 1
        assert await put_off() == 0
        assert len((await claimed_tasks(journal, want(9))).tasks) == 2


OLD_TASK = """
INSERT INTO {}.tasks (shard, leased, cancel, ns, run_id, token, slot, priority, due, scheduled, wake,
  lease_until, fence, reported, attempt, losses, undo, activity, queue, payload)
VALUES (0, $1, false, 1, $2, 1, 0, 0, $3, 0, $4, $4, 1, 0, 0, 0, false, 'a', 'q', '')
"""


async def test_a_schema_of_before_is_brought_up(empty_url: str) -> None:
    """What waits, is leased or put off under version 1 is claimed, kept or waited for under the next one."""
    place = parse(empty_url)
    async with await connect(place.conninfo) as connection:
        await migrate(connection, place, MIGRATIONS[:1])
        for number, (leased, wake, due) in enumerate([(False, None, 1), (True, 9, 1), (False, None, FAR)]):
            old = (leased, UUID(int=number), due, wake)
            await connection.execute(OLD_TASK.format(place.schema).encode(), old)
        await migrate(connection, place)
        asked = f"SELECT wake, fairness FROM {place.schema}.tasks ORDER BY run_id"
        found = await connection.execute(asked.encode())
        assert await found.fetchall() == [(None, ""), (9, ""), (FAR, "")]
