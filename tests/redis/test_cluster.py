"""A cluster of three local nodes: slots that move and nodes that are killed under load, and nothing is lost.

No node has a replica, so a killed one is away until it is started again with what its file has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from continuum_core import Client, Worker
from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import CommitOutcome, TaskWant
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, new_task, signal, turn, want
from continuum_core.testing.conformance.kit import claimed, claimed_tasks, committed, row, seen, started
from continuum_core.testing.redis_cluster import RedisCluster
from continuum_redis.journal import RedisJournal
from tests.postgres.machines import Steps
from tests.redis.handles import opened
from tests.redis.test_tags import id_in, tags_of

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=["everysec", "always"])
def cluster(request: pytest.FixtureRequest) -> Iterator[RedisCluster]:
    with RedisCluster(appendfsync=request.param) as cluster:
        yield cluster


def node_of(journal: RedisJournal, cluster: RedisCluster, tag: int) -> int:
    return cluster.owner(tags_of(journal).slots[tag])


def tag_on(journal: RedisJournal, cluster: RedisCluster, node: int) -> int:
    """A tag that this node serves."""
    return next(tag for tag in tags_of(journal).all() if node_of(journal, cluster, tag) == node)


async def test_its_tags_are_spread_over_all_nodes(cluster: RedisCluster, namespace: str) -> None:
    async with opened(cluster.url(), namespace) as journal:
        tags = tags_of(journal)
        assert tags.count == 64
        served = [node_of(journal, cluster, tag) for tag in tags.all()]
        assert sorted(served.count(node) for node in range(3)) == [21, 21, 22]


async def test_the_engine_runs_on_it(cluster: RedisCluster, namespace: str) -> None:
    async with (
        Worker(cluster.url(), [Steps], namespace=namespace, poll=0.5),
        Worker(cluster.url(), [Steps], namespace=namespace, poll=0.5),
        Client(cluster.url(), [Steps], namespace=namespace) as client,
    ):
        handles = [await client.start(Steps, number) for number in range(30)]
        assert [await handle.result(60) for handle in handles] == [number + 3 for number in range(30)]


async def test_a_slot_moves_under_load(cluster: RedisCluster, namespace: str) -> None:
    """To every other node and back while its runs take turns: no turn is torn, lost or done twice."""
    async with opened(cluster.url(), namespace) as journal:
        tag = tag_on(journal, cluster, 0)
        ids = [await started(journal, run_id=id_in(journal, tag)) for _ in range(12)]
        moving = asyncio.create_task(_moved_about(cluster, tags_of(journal).slots[tag]))
        versions = dict.fromkeys(ids, 0)
        after = 0
        while not moving.done() or after < 20:
            await _a_turn_each(journal, versions)
            after += moving.done()
        assert await moving > 0
        for run_id, version in versions.items():
            found, records = await row(journal, run_id), await journal.history(run_id)
            assert found.version >= version > 0
            assert [record.version for record in records] == list(range(1, found.version + 1))
            assert records[-1].commit_id == found.commit_id, "a commit is all or nothing"


async def _moved_about(cluster: RedisCluster, slot: int) -> int:
    moved = 0
    for target in (1, 2, 0):
        moved += await asyncio.to_thread(cluster.migrate, slot, target)
    return moved


async def _a_turn_each(journal: RedisJournal, versions: dict[UUID, int]) -> None:
    await journal.deliver([signal(run_id) for run_id in versions])
    claims = await journal.claim_runs(new_id(), 100, HOUR, TAKES)
    answers = await journal.commit([turn(claim, claims.now) for claim in claims.runs])
    for claim, answer in zip(claims.runs, answers, strict=True):
        assert answer.outcome is CommitOutcome.COMMITTED
        versions[claim.run_id] = claim.version + 1


async def until(attempt: Callable[[], object]) -> None:
    """Repeat what a node that is away may refuse."""
    while True:
        try:
            await attempt()  # type: ignore[misc]  # each is a coroutine function
        except JournalUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("victim", ["the sender's", "the target's"])
async def test_messages_outlive_a_node(cluster: RedisCluster, namespace: str, victim: str) -> None:
    """Killed while messages are on their way from node to node: each arrives once, in its order."""
    async with opened(cluster.url(), namespace) as journal:
        source, target = tag_on(journal, cluster, 1), tag_on(journal, cluster, 2)
        addressee = await started(journal, run_id=id_in(journal, target))
        await claimed(journal)  # its lease keeps it from taking any
        sender = await started(journal, run_id=id_in(journal, source))
        node = cluster.nodes[1 if victim == "the sender's" else 2]
        sent: list[bytes] = []

        async def send() -> None:
            [run] = await journal.load([sender])
            assert run is not None
            if run.version > len(sent):  # the last one's answer was lost
                sent.append(b"%04d" % len(sent))
                return
            word = b"%04d" % len(sent)
            await journal.deliver([signal(sender)])
            claims = await journal.claim_runs(new_id(), 1, 1, TAKES)
            for claim in claims.runs:
                if claim.run_id == sender:
                    sends = (signal(addressee, word),)
                    [answer] = await journal.commit([turn(claim, claims.now, deliveries=sends)])
                    if answer.outcome is CommitOutcome.COMMITTED:
                        sent.append(word)

        for count in (20, 40, 60):
            while len(sent) < count:
                await until(send)
            if count < 60:
                await asyncio.to_thread(node.kill)
                again = asyncio.create_task(asyncio.to_thread(node.start))
                await until(send)
                await again
        await asyncio.to_thread(cluster.settled)

        async def relayed() -> None:
            await claimed(journal)
            waiting = await seen(journal, addressee)
            words = [each.payload for each in waiting.deliveries if each.payload != b"start"]
            if len(words) < len(sent):
                raise JournalUnavailable("not all there yet")
            assert words == sent

        async with asyncio.timeout(60):
            await until(relayed)


async def test_a_cap_holds_over_all_nodes(cluster: RedisCluster, namespace: str) -> None:
    async with opened(cluster.url(), namespace) as journal, opened(cluster.url(), namespace) as other:
        for node in range(3):
            run_id = await started(journal, run_id=id_in(journal, tag_on(journal, cluster, node)))
            claims = await claimed(journal)
            [claim] = [each for each in claims.runs if each.run_id == run_id]
            tasks = tuple(new_task(1, slot) for slot in range(5))
            await committed(journal, turn(claim, claims.now, tasks=tasks))
        capped: TaskWant = want(10, cap=4)
        both = await asyncio.gather(claimed_tasks(journal, capped), claimed_tasks(other, capped))
        held = sum(len(claims.tasks) for claims in both)
        held += len((await claimed_tasks(journal, capped)).tasks)
        assert held == 4
