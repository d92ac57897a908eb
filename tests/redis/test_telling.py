"""What the log and the errors say of trouble: whose it is, once, and for how long."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest

from continuum_core import Worker
from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import PrunePlan
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import FAR
from continuum_core.testing.conformance.kit import started
from continuum_core.testing.redis_server import Redis
from continuum_redis import transport
from continuum_redis.driver import Wire, connect
from continuum_redis.journal import RedisJournal
from continuum_redis.place import Place, parse
from tests.postgres.machines import Steps
from tests.redis.handles import asked, opened, raw
from tests.redis.refusing import refusing


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each connection for hints that is tried."""
    made: list[str] = []

    async def connects(place: Place, node: str = "") -> Wire:
        made.append(place.shown)
        return await connect(place, node)

    monkeypatch.setattr(transport, "connect", connects)
    return made


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "prune what is over"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "cannot write to its disk"),
        ("READONLY You can't write against a read only replica.", "is a replica and takes no writes"),
        ("LOADING Redis is loading the dataset in memory", "is loading its data"),
        ("BUSY Redis is busy running a script.", "SCRIPT KILL"),
        ("NOREPLICAS Not enough good replicas to write.", "too few replicas"),
        ("MASTERDOWN Link with MASTER is down.", "the replica has lost its primary"),
        ("CLUSTERDOWN The cluster is down", "the cluster is down"),
        ("WHATEVER came", r"the server refused the script \(WHATEVER came\)"),
    ],
)
async def test_who_acts_is_told_of_whatever_the_server_refuses_with(sentence: str, told: str) -> None:
    """Also where the driver makes a class of the code, and takes it out of the text."""
    async with refusing(sentence) as url:
        journal = RedisJournal(parse(url), "shop", Limits())
        with pytest.raises(JournalUnavailable, match=told):
            await journal.open()


async def test_the_user_of_the_manual_may_do_all_that_a_journal_does() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/redis-journal.md").read_text()
    rule = re.search(r"> (ACL SETUSER shop .*)", page)
    assert rule is not None
    with Redis() as server:
        async with raw(server.url()) as wire:
            await asked(wire, *(word.encode() for word in rule.group(1).split()))
        url = server.url().replace("//", "//shop:secret@")
        async with Worker(url, [Steps], poll=0.2) as worker:
            handle = await worker.client.start(Steps, 1)
            assert await asyncio.wait_for(handle.result(20), 20) == 4
        async with opened(url, "default") as journal:
            heard = asyncio.create_task(journal.wait(60))
            async with opened(url, "default") as other:
                while not heard.done():
                    await started(other)
                    await asyncio.sleep(0)
            assert journal._opened().store.wakeups.lost == 0
            assert (await journal.prune(PrunePlan(FAR, 10))).runs == 1


async def _forbidden(server: Redis) -> str:
    """The URL of a user that may use all keys and no channel: what ACL SETUSER makes."""
    async with raw(server.url()) as wire:
        await asked(wire, b"ACL", b"SETUSER", b"app", b"on", b">secret", b"~*", b"resetchannels", b"+@all")
    return server.url().replace("//", "//app:secret@")


async def test_channels_that_are_forbidden_are_told_once_with_the_rule_that_grants_them(
    caplog: pytest.LogCaptureFixture, tries: list[str]
) -> None:
    """Polling goes on; and the listener notices by itself that somebody typed the rule."""
    caplog.set_level(logging.INFO, "continuum_redis")
    with Redis() as server:
        url = await _forbidden(server)
        async with opened(url, "shop") as journal, raw(server.url()) as operator:
            await started(journal)  # which it cannot tell either
            while len(tries) < 4:
                await journal.wait(0.01)
            [told] = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
            assert "are forbidden" in told
            assert "lost" not in told
            rule = re.search(r"ACL SETUSER .*", told)
            assert rule is not None
            await asked(operator, *(word.strip('"').encode() for word in rule.group().split()))
            while "again" not in caplog.text:
                await journal.wait(0.01)
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


async def test_a_loss_is_counted_and_told_once_however_long_it_lasts(
    caplog: pytest.LogCaptureFixture, tries: list[str]
) -> None:
    caplog.set_level(logging.INFO, "continuum_redis")
    with Redis() as server:
        async with opened(server.url(), "shop") as journal:
            wakeups = journal._opened().store.wakeups
            await journal.wait(20)  # returns once it listens
            for count, often in ((1, "once"), (2, "2 times")):
                tries.clear()
                server.kill()
                while len(tries) < 3:
                    await journal.wait(0.01)
                assert wakeups.lost == count
                server.start()
                ended = re.compile(rf"hints on .* again: gone for \d+\.\d s, lost {often} so far")
                while not ended.search(caplog.text):
                    await asyncio.sleep(0.01)
            assert wakeups.lost == 2
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 2
