"""Blobs that are missing or damaged, and processes that die before what refers to one is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from continuum_core.carriage.images import whole
from continuum_core.errors import PayloadLocked
from continuum_core.journal.blobs import Blob, BlobName, keeping
from continuum_core.journal.carrying import carrier_of
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.blobs.machines import SMALL, TEXT, Hear, Stop, Tale

MORE = "and then " * 40
LEASES = timedelta(minutes=30)
TWO_DAYS = timedelta(days=2)


class Between:
    """A journal whose blobs and writes pass through the test's hands."""

    def __init__(self, inner: Journal, spoil: Callable[[bytes | None], bytes | None]) -> None:
        self._inner = inner
        self._spoil = spoil
        self.wrong = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sibling(self) -> Any:
        return self  # whoever shares the loop shares the handle

    async def keep_blobs(self, blobs: Sequence[Blob]) -> None:
        keeps = keeping(self._inner)
        assert keeps is not None
        await keeps.keep_blobs(blobs)

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        keeps = keeping(self._inner)
        assert keeps is not None
        found = await keeps.fetch_blobs(names)
        return [self._spoil(data) for data in found] if self.wrong else found

    async def close(self) -> None:
        pass  # the engine's client and worker close it, each


def _missing(data: bytes | None) -> bytes | None:
    return None


def _damaged(data: bytes | None) -> bytes | None:
    return data and data[:-1]


@pytest.mark.parametrize(
    ("backend", "spoil", "word"),
    [
        ("memory", _missing, "is not in the journal"),
        ("postgres", _damaged, "is damaged"),
        ("redis", _missing, "is not in the journal"),
    ],
    ids=["missing", "damaged", "missing-redis"],
)
async def test_a_run_parks_on_a_blob_and_goes_on_when_it_is_back(
    fresh_on: Callable[[str], str], backend: str, spoil: Callable[[bytes | None], bytes | None], word: str
) -> None:
    journal = fresh_on(backend)
    clocks: list[Any] = []
    between = Between(connect(journal, clock=lambda: clocks[0].now()), spoil)
    engine = Engine([Tale], journal=cast(Journal, between), limits=SMALL)
    clocks.append(engine.clock)
    async with engine:
        run = await engine.start(Tale, TEXT)
        between.wrong = True
        await engine.send(run, Hear(MORE))
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert word in view.cause
        assert str(run.id) in view.cause
        assert "blob " in view.cause
        with pytest.raises(PayloadLocked, match=word):
            await run.history()
        [dumped] = await carrier_of(engine.client.journal).dump([run.id])
        assert dumped is not None
        with pytest.raises(PayloadLocked, match=word):
            await whole(engine.client.journal, dumped.image)
        between.wrong = False
        await engine.client.unpark(run)
        await engine.send(run, Stop())
        assert await run.result() == f"{TEXT.upper()} {MORE}"
        await engine.check(run)
    await between._inner.close()


# --- deaths


class Dying:
    """A journal whose writer stops for ever at its `at`-th write: before it, or when it stands untold.

    :ivar put: the blobs that were put through it and its siblings.
    """

    def __init__(self, inner: Journal, at: int, after: bool, engine: list[Engine]) -> None:
        self._inner = inner
        self._at = at
        self._after = after
        self._engine = engine
        self._writes = [0]
        self.put: list[BlobName] = []
        self.armed = [False]

    @property
    def died(self) -> bool:
        return self._writes[0] >= self._at

    def sibling(self) -> Journal:
        made = Dying(self._inner.sibling(), self._at, self._after, self._engine)
        made._writes, made.put, made.armed = self._writes, self.put, self.armed
        return cast(Journal, made)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._counted(found) if name in ("commit", "finish") else found

    async def keep_blobs(self, blobs: Sequence[Blob]) -> None:
        inner: Any = self._inner
        self.put += [BlobName(blob.run_id, blob.hash) for blob in blobs]
        await self._counted(inner.keep_blobs)(blobs)

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        inner: Any = self._inner
        found: list[bytes | None] = await inner.fetch_blobs(names)
        return found

    def _counted(self, verb: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def counted(members: Any) -> Any:
            self._writes[0] += self.armed[0]
            last = self.armed[0] and self._writes[0] == self._at
            if last and not self._after:
                await self._engine[0].sleep(timedelta(days=3650))
            answer = await verb(members)
            if last:
                await self._engine[0].sleep(timedelta(days=3650))
            return answer

        return counted


async def died(url: str, at: int, after: bool) -> bool:
    """Whether the worker met its `at`-th write. Its run ends as ever, and leaves nothing behind."""
    engines: list[Engine] = []
    dying = Dying(connect(url, clock=lambda: engines[0].clock.now()), at, after, engines)
    engine = Engine([Tale], journal=cast(Journal, dying), limits=SMALL)
    engines.append(engine)
    async with engine:
        run = await engine.client.start(Tale, TEXT)
        dying.armed[0] = True  # what the client writes is nobody's death here
        await engine.settle()
        dying.armed[0] = False
        if dying.died:
            await engine.crash()
            await engine.advance(LEASES)
        await engine.send(run, Hear(MORE))
        await engine.advance(TWO_DAYS)
        await engine.client.prune(TWO_DAYS)
        await engine.check(run)
        await engine.send(run, Stop())
        assert await run.result() == f"{TEXT.upper()} {MORE}"
        await engine.advance(TWO_DAYS)
        assert (await engine.client.prune(timedelta(days=1))).runs == 1
        assert dying.put
        assert await dying.fetch_blobs(dying.put) == [None] * len(dying.put)
    return dying.died


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_every_write_may_be_the_last_of_a_worker(after: bool) -> None:
    at = 1
    while await died("memory://", at, after):
        at += 1
    assert at > 3, "blobs, a commit, a finish"


@pytest.mark.parametrize("backend", ["sqlite", "redis&tags=4"])
async def test_so_on_the_other_journals(fresh_on: Callable[[str], str], backend: str) -> None:
    assert await died(fresh_on(backend), 1, True)


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("backend", ["sqlite", "postgres", "redis", "redis&tags=4"])
async def test_every_write_on_the_other_journals(
    fresh_on: Callable[[str], str], backend: str, after: bool
) -> None:
    at = 1
    while await died(fresh_on(backend), at, after):
        at += 1
    assert at > 3
