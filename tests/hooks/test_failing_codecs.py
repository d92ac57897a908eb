"""A payload codec that cannot write: who calls is told at once, by name; a worker's work waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from continuum_core import Client, JournalUnavailable, Worker
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.errors import PayloadCodecFailed
from continuum_core.hooks import PluginRefused, Plugins, hookimpl
from continuum_core.hooks.sealing import Kind, Pipeline, Place
from continuum_core.journal.connect import connect
from continuum_core.lane import Lane, Patience
from continuum_core.unopened import Unopened
from tests.hooks.test_codec_shape import Whole
from tests.runtime.machines import Finish, Go, Job, Waits

PLACE = Place(Kind.RECORD, "default")


class Fails(Whole):
    """A codec that fails in encoding while it is told to."""

    tag = "theirs"

    def __init__(self) -> None:
        self.failing = True

    def encode(self, data: bytes, bound: bytes) -> bytes:
        if self.failing:
            raise ConnectionError("the key service is away")
        return data


class Theirs:
    def __init__(self, codec: Any) -> None:
        self.codec = codec

    @hookimpl
    def payload_codecs(self) -> list[Any]:
        return [self.codec]


def plugins(codec: Any) -> Plugins:
    return Plugins(
        named={"vault": Theirs(codec)}, origins={"vault": ("continuum-vault 2.0", "continuum_vault")}
    )


def with_(**members: Any) -> Any:
    return type("Odd", (Whole,), {name: staticmethod(member) for name, member in members.items()})()


TOLD = (
    r"^payload codec 'theirs' of plugin 'vault' \(continuum_vault, of continuum-vault 2\.0\) cannot write: "
    "ConnectionError: the key service is away; nothing was sent$"
)


async def test_who_calls_is_told_at_once_whose_codec_it_is() -> None:
    """Also where it could wait longer than any test: the journal is there, and nothing was sent to it."""
    codec = Fails()
    journal = connect("memory://")
    async with Client(journal, [Waits], patience=3600, plugins=plugins(codec)) as client:
        with pytest.raises(PayloadCodecFailed, match=TOLD) as caught:
            await client.start(Waits, "a", key="k")
        assert (caught.value.codec, caught.value.ambiguous) == ("theirs", False)
        assert isinstance(caught.value.__cause__, ConnectionError)
        codec.failing = False
        run = await client.start(Waits, "a", key="k")
        codec.failing = True
        with pytest.raises(PayloadCodecFailed, match=TOLD):
            await run.send(Go("word"))
        with pytest.raises(PayloadCodecFailed, match=TOLD):
            await client.suspend(run, "why")


async def test_of_a_batch_only_those_are_refused_that_cannot_be_written() -> None:
    class Picky(Whole):
        def encode(self, data: bytes, bound: bytes) -> bytes:
            if b"secret" in data:
                raise ValueError("not this one")
            return data

    async with Client("memory://", [Waits], patience=3600, plugins=plugins(Picky())) as client:
        words = ["plain-1", "secret", "plain-2"]
        made = await asyncio.gather(*(client.start(Waits, w) for w in words), return_exceptions=True)
        assert [isinstance(each, PayloadCodecFailed) for each in made] == [False, True, False]


class Returns(logging.Handler):
    """Has the key service come back once its being away was told."""

    def __init__(self, codec: Fails) -> None:
        super().__init__()
        self.codec = codec
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())
        self.codec.failing = False


async def test_a_workers_work_waits_for_the_codec_and_is_not_lost() -> None:
    journal, codec, log = connect("memory://"), Fails(), logging.getLogger("continuum_core.outage")
    well = Fails()
    well.failing = False
    returns = Returns(codec)
    log.addHandler(returns)
    try:
        async with Client(journal.sibling(), [Waits], plugins=plugins(well)) as client:
            run = await client.start(Waits, "a")
            async with Worker(journal, [Waits], plugins=plugins(codec)):
                await run.send(Go("word"))
                await run.send(Finish())
                await run.result(30)
    finally:
        log.removeHandler(returns)
    assert "commits: payload codec 'theirs' of plugin 'vault' (continuum_vault, of" in returns.told[0]


def text(_data: bytes, _bound: bytes) -> str:
    return "x"


def nothing(_data: bytes, _bound: bytes) -> None:
    return None


def less(data: bytes) -> bytes:
    return data


WRONG: dict[str, tuple[Any, str]] = {
    "encode gives text": (with_(encode=text), "its encode gave an object of type str, and must give bytes"),
    "encode gives nothing": (with_(encode=nothing), "its encode gave None, and must give bytes"),
    "encode takes less": (with_(encode=less), "TypeError: .*2 were given"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_encode_gives_is_looked_at(what: str) -> None:
    codec, told = WRONG[what]
    pipeline = Pipeline([("vault", codec)])
    with pytest.raises(PayloadCodecFailed, match=f"'whole' of plugin 'vault' cannot write: {told}"):
        pipeline.seal(b"{}", PLACE)


def test_what_decode_gives_is_looked_at() -> None:
    pipeline = Pipeline([("vault", with_(decode=text))])
    opened = pipeline.open(pipeline.seal(b"{}", PLACE), PLACE)
    assert isinstance(opened, Unopened), "the run is parked with the reason, as for any that cannot be opened"
    assert "by whole of plugin 'vault': its decode gave an object of type str" in opened.reason


DIGESTS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "short": (lambda data: b"abc", "its digest gave 3 bytes, and must give 16 bytes or None"),
    "text": (lambda data: "x" * 16, "its digest gave an object of type str"),
    "raises": (lambda data: 1 // 0, "ZeroDivisionError"),
}


@pytest.mark.parametrize("what", DIGESTS)
async def test_a_digest_that_is_none_is_refused_before_anything_is_stored(what: str) -> None:
    digest, told = DIGESTS[what]
    async with Client("memory://", [Job], plugins=plugins(with_(digest=digest))) as client:
        with pytest.raises(PayloadCodecFailed, match=told):
            await client.start(Job, "a", key="k")
        assert (await client.list())[0] == []


SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "tag": ({"tag": 5}, "tag cannot be 5: 1 to 16 of a-z 0-9 -"),
    "order": ({"order": "x"}, "payload codec 'whole' has the order 'x', and must have a number"),
    "writes": ({"writes": "no"}, "`writes` of payload codec 'whole' must be True or False"),
    "decode": ({"decode": b""}, "`decode` of payload codec 'whole' must be a function"),
}


@pytest.mark.parametrize("what", SHAPES)
def test_a_codec_of_a_wrong_shape_is_refused_with_whose_it_is(what: str) -> None:
    members, told = SHAPES[what]
    codec = type("Odd", (Whole,), members)()
    with pytest.raises(PluginRefused, match=rf"plugin 'vault' \(continuum_vault, of .*\): .*{told}"):
        Client("memory://", plugins=plugins(codec))


# --- what was sent before, and nobody knows what became of it


class Once:
    """A verb that fails in given ways, one after another, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self, members: Any = ("a",)) -> list[str]:
        if self.errors:
            raise self.errors.pop(0)
        return ["done" for _ in members]


UNWRITTEN = PayloadCodecFailed("theirs", "plugin 'vault'", "no key")
AMBIGUOUS = JournalUnavailable("the connection broke", ambiguous=True)


class Quick(AsyncioHost):
    """A host on which sleeping takes no time, and the clock shows that it did."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


async def test_patience_raises_at_once_only_what_was_never_sent() -> None:
    patience = Patience(Quick(), 3600)
    with pytest.raises(PayloadCodecFailed):
        await patience(Once(UNWRITTEN))
    assert await patience(Once(AMBIGUOUS, UNWRITTEN)) == ["done"]


async def test_patience_at_its_end_does_not_forget_an_ambiguous_try() -> None:
    """A try after it that was plainly refused says nothing of what became of the one before."""
    patience = Patience(Quick(), 10)
    away = [JournalUnavailable("refused") for _ in range(50)]
    with pytest.raises(JournalUnavailable, match=r"refused \(it may or may not have been done\)"):
        await patience(Once(AMBIGUOUS, *away))
    with pytest.raises(JournalUnavailable, match=r"refused$"):
        await patience(Once(*away))


async def test_a_member_that_may_have_been_sent_waits_for_what_its_repeat_tells() -> None:
    lane: Lane[str, str] = Lane(Quick(), Once(AMBIGUOUS, UNWRITTEN), "starts", hasty=True)
    lane.open()
    try:
        assert await lane.ask("a") == "done"
    finally:
        await lane.close()


async def test_a_lane_that_is_not_hasty_waits_as_if_the_journal_were_away() -> None:
    lane: Lane[str, str] = Lane(Quick(), Once(UNWRITTEN, UNWRITTEN), "commits")
    lane.open()
    try:
        assert await lane.ask("a") == "done"
    finally:
        await lane.close()
