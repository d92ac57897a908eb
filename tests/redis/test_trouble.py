"""Servers that crash, forget scripts, run full; callers that are cancelled: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal as signal_numbers
from uuid import UUID

import pytest

from continuum_core.errors import JournalUnavailable, PayloadRefused
from continuum_core.journal.commit import CommitOutcome, StartOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, new_run, signal, turn
from continuum_core.testing.conformance.kit import row, seen, waiting
from continuum_core.testing.redis_server import Redis
from continuum_redis.journal import RedisJournal
from continuum_redis.place import parse
from tests.redis.handles import asked, opened, raw

_CUT = (b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes")


async def test_a_connection_that_died_is_replaced() -> None:
    """Cut while nobody used it: the next verb does not even fail."""
    with Redis() as server:
        async with opened(server.url(), "shop") as journal, raw(server.url()) as wire:
            run_id = await waiting(journal)
            await asked(wire, *_CUT)
            assert (await row(journal, run_id)).version == 1
            await journal.deliver([signal(run_id)])
            assert len((await seen(journal, run_id)).deliveries) == 1


async def test_a_server_that_forgot_the_script_is_told_it_again(redis_url: str, namespace: str) -> None:
    async with opened(redis_url, namespace) as journal, raw(redis_url) as wire:
        for _ in range(3):
            await asked(wire, b"SCRIPT", b"FLUSH")
            started = await journal.start([new_run() for _ in range(600)])
            assert {each.outcome for each in started} == {StartOutcome.STARTED}


async def test_a_cancelled_verb_leaves_no_reply_to_others(redis_url: str, namespace: str) -> None:
    """Whenever it is cancelled: the next caller is told what is meant for it."""
    async with opened(redis_url, namespace) as journal:
        run_id = await waiting(journal)
        for steps in range(15):
            verb = asyncio.ensure_future(journal.claim_runs(new_id(), 1, HOUR, TAKES))
            for _ in range(steps):
                await asyncio.sleep(0)
            verb.cancel()
            assert (await row(journal, run_id)).run_id == run_id
            assert await journal.history(run_id, 0, 1) != []


async def test_a_server_that_falls_silent_is_given_up_and_found_again() -> None:
    """The caller is told that the verb may have taken effect, and nobody is told its late answer."""
    with Redis() as server:
        async with opened(f"{server.url()}?socket_timeout=0.2", "shop") as journal:
            run_id = await waiting(journal)
            assert server.pid is not None
            os.kill(server.pid, signal_numbers.SIGSTOP)
            try:
                with pytest.raises(JournalUnavailable) as told:
                    await journal.deliver([signal(run_id)])
            finally:
                os.kill(server.pid, signal_numbers.SIGCONT)
            assert told.value.ambiguous
            assert (await row(journal, run_id)).run_id == run_id


async def test_what_lua_cannot_hold_is_refused_alone(redis_url: str, namespace: str) -> None:
    async with opened(redis_url, namespace) as journal:
        run_id = await waiting(journal)
        for bad in (signal(run_id, due=2**53 + 1), signal(run_id, dedupe="\ud800")):
            with pytest.raises(PayloadRefused):
                await journal.deliver([signal(run_id), bad])
        assert (await seen(journal, run_id)).deliveries == ()
        await journal.deliver([signal(run_id, due=2**53)])
        assert (await seen(journal, run_id)).deliveries[0].due == 2**53


async def test_a_full_server_says_so_and_keeps_what_it_has() -> None:
    """Nothing half written; when there is room again, the same call is carried out."""
    with Redis() as server:
        async with opened(server.url(), "shop") as journal, raw(server.url()) as wire:
            run_id = await waiting(journal)
            claims = await journal.claim_runs(new_id(), 1, HOUR, TAKES)
            before = await seen(journal, run_id)
            await asked(wire, b"CONFIG", b"SET", b"maxmemory", b"1")
            with pytest.raises(JournalUnavailable, match="reached its maxmemory: prune what is over") as told:
                await journal.deliver([signal(run_id)])
            assert not told.value.ambiguous
            await asked(wire, b"CONFIG", b"SET", b"maxmemory", b"0")
            assert await seen(journal, run_id) == before
            assert claims.runs == ()
            await journal.deliver([signal(run_id)])


async def test_a_replica_takes_no_writes() -> None:
    with Redis() as primary, Redis(replicaof=f"127.0.0.1 {primary.port}") as replica:
        journal = RedisJournal(parse(replica.url()), "shop", Limits())
        with pytest.raises(JournalUnavailable, match="replica and takes no writes"):
            await journal.open()
        await journal.close()


@pytest.mark.parametrize("level", ["always", "everysec"])
async def test_killed_under_load_nothing_acknowledged_is_lost(level: str) -> None:
    """kill -9 of the server, five times. The process alone dies, so that even `everysec` keeps it all."""
    with Redis(appendfsync=level) as server:
        async with opened(server.url(), "shop") as journal:
            ids = [await waiting(journal) for _ in range(8)]
            acknowledged = dict.fromkeys(ids, 1)
            for _ in range(5):
                await _committed_until_it_dies(journal, server, acknowledged)
                server.start()
            for run_id, version in acknowledged.items():
                found = await row(journal, run_id)
                assert found.version >= version, "what was acknowledged is there"
                records = await journal.history(run_id)
                assert [record.version for record in records] == list(range(1, found.version + 1))
                assert records[-1].commit_id == found.commit_id, "a commit is all or nothing"


async def _committed_until_it_dies(
    journal: RedisJournal, server: Redis, acknowledged: dict[UUID, int]
) -> None:
    rounds = 0
    while True:
        try:
            await journal.deliver([signal(run_id) for run_id in acknowledged])
            claims = await journal.claim_runs(new_id(), 100, 1, TAKES)
            answers = await journal.commit([turn(claim, claims.now) for claim in claims.runs])
        except JournalUnavailable:
            return
        for claim, answer in zip(claims.runs, answers, strict=True):
            if answer.outcome is CommitOutcome.COMMITTED:
                acknowledged[claim.run_id] = claim.version + 1
        rounds += 1
        if rounds == 10:
            asyncio.get_running_loop().call_later(0.01, server.kill)
