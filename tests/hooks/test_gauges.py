"""How much waits, by the journal's own count: what plugins and `continuum health` are told."""

from __future__ import annotations

from continuum_core import Client, Worker
from continuum_core.hooks import Gauges, Plugins, hookimpl
from continuum_core.journal.commit import FinishKind
from continuum_core.journal.connect import connect
from continuum_core.journal.gauges import gauged, gauges_of
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import QUEUE, finish, new_task, want
from continuum_core.testing.conformance.kit import SteppedClock, claimed_tasks, waiting
from tests.runtime.machines import Go, Job, Waits

HOUR = 3_600_000_000
SECOND = 1_000_000


def test_rows_are_counted_by_queue_and_by_what_may_be_claimed() -> None:
    now = 10 * HOUR
    tasks = [
        ("mail", "send", now - 5, None),
        ("mail", "send", now - 9, now - 1),  # its lease is over
        ("mail", "later", now + HOUR, None),
        ("mail", "held", now - 99, now + 1),
        ("bulk", "later", now + 1, None),
    ]
    gauges = gauges_of(now, [0, 7, 3], {RunStatus.PARKED: 2}, tasks)
    assert (gauges.due, gauges.oldest_due) == (3, 3)
    assert (gauges.parked, gauges.suspended) == (2, 0)
    assert told(gauges) == [("bulk", 0, 1, 0, None), ("mail", 2, 1, 1, now - 9)]
    assert [queue.activities for queue in gauges.queues] == [(), ("send",)]


async def test_a_journal_says_how_much_waits(gauged_journal: str) -> None:
    async with Client(gauged_journal, [Job, Waits]) as client:
        journal = gauged(client.journal)
        assert journal is not None
        before = await journal.gauges()
        assert (before.due, before.oldest_due, before.queues) == (0, None, ())
        await client.start(Job, "a")
        waits = await client.start(Waits, "b")
        await waits.send(Go("word"))
        await client.suspend(await client.start(Waits, "c"))
        gauges = await journal.gauges()
    assert gauges.due == 1
    assert gauges.oldest_due is not None
    assert before.now <= gauges.oldest_due <= gauges.now
    assert (gauges.parked, gauges.suspended) == (0, 1)
    [queue] = gauges.queues
    assert (queue.queue, queue.waiting, queue.later, queue.claimed) == ("default", 1, 0, 0)
    assert queue.activities == ("work",)


def told(gauges: Gauges) -> list[tuple[str, int, int, int, int | None]]:
    return [(q.queue, q.waiting, q.later, q.claimed, q.oldest) for q in gauges.queues]


async def test_tasks_are_counted_by_what_became_of_them(gauged_journal: str) -> None:
    clock = SteppedClock()
    journal = connect(gauged_journal, "counted", clock=clock)
    begun = clock.at
    await journal.open()
    counting = gauged(journal)
    assert counting is not None
    try:
        for _ in range(6):
            await waiting(journal, {"tasks": (new_task(), new_task(token=2, queue="bulk"))})
        clock.at += 10
        lost = await claimed_tasks(journal, want(limit=2), lease=SECOND)
        kept = await claimed_tasks(journal, want(limit=3), lease=HOUR)
        retried = finish(kept.tasks[0], FinishKind.RETRY, delay=HOUR)
        await journal.finish([retried, finish(kept.tasks[1], delivery=None)])
        clock.at += 2 * SECOND
        gauges = await counting.gauges()
        # Of the six, two whose lease is over and one that nobody took wait; one is tried again later.
        assert told(gauges) == [("bulk", 6, 0, 0, begun), (QUEUE, 3, 1, 1, begun)]
        assert (len(lost.tasks), gauges.now, gauges.due) == (2, clock.at, 0)
        clock.at += 2 * HOUR
        gauges = await counting.gauges()
        assert told(gauges) == [("bulk", 6, 0, 0, begun), (QUEUE, 5, 0, 0, begun)]

        # A claim puts off the three that were lost, and gets the others.
        others = await claimed_tasks(journal, want(queue="bulk"), want())
        await journal.finish([finish(each) for each in others.tasks])
        gauges = await counting.gauges()
        assert [each[:4] for each in told(gauges)] == [(QUEUE, 0, 3, 0)]
        assert (gauges.due, gauges.oldest_due) == (8, clock.at)
        clock.at += HOUR
        rest = await claimed_tasks(journal)
        await journal.finish([finish(each) for each in rest.tasks])
        assert told(await counting.gauges()) == []
    finally:
        await journal.close()


async def test_a_worker_reads_them_only_where_a_plugin_wants_to_know(tmp_path: object) -> None:
    class Reads:
        def __init__(self) -> None:
            self.told: list[tuple[str, Gauges]] = []

        @hookimpl
        def gauges_read(self, namespace: str, gauges: Gauges) -> None:
            self.told.append((namespace, gauges))

    reads = Reads()
    async with Worker(f"sqlite:///{tmp_path}/runs.db", [Waits], plugins=Plugins(reads)) as worker:
        while not reads.told:
            await worker.client.journal.wait(0.1)
    [(namespace, gauges)] = reads.told
    assert namespace == "default"
    assert gauges.due == 0
