"""How much waits, by the journal's own count: what plugins and `continuum health` are told."""

from __future__ import annotations

from continuum_core import Client, Worker
from continuum_core.hooks import Gauges, Plugins, hookimpl
from continuum_core.journal.gauges import gauged, gauges_of
from continuum_core.journal.records import RunStatus
from tests.runtime.machines import Go, Job, Waits

HOUR = 3_600_000_000


def test_rows_are_counted_by_queue_and_by_what_may_be_claimed() -> None:
    now = 10 * HOUR
    tasks = [
        ("mail", now - 5, None),
        ("mail", now - 9, now - 1),  # its lease is over
        ("mail", now + HOUR, None),
        ("mail", now - 99, now + 1),
        ("bulk", now + 1, None),
    ]
    gauges = gauges_of(now, [0, 7, 3], {RunStatus.PARKED: 2}, tasks)
    assert (gauges.due, gauges.oldest_due) == (3, 3)
    assert (gauges.parked, gauges.suspended) == (2, 0)
    told = [(q.queue, q.waiting, q.later, q.claimed, q.oldest) for q in gauges.queues]
    assert told == [("bulk", 0, 1, 0, None), ("mail", 2, 1, 1, now - 9)]


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
