"""Runs whose payloads are kept apart: as if they were not, whoever reads, and until they are gone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_compress import Compress
from continuum_core import Client, Worker
from continuum_core.blobs import rows
from continuum_core.blobs.swaps import Wanted
from continuum_core.errors import PayloadLocked
from continuum_core.hooks import Plugins
from continuum_core.journal.blobs import BlobName, hash_in, keeping
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.testing import Engine
from continuum_core.unopened import is_sealed
from continuum_crypto import Crypto, Key
from tests.blobs.machines import SMALL, TEXT, WHOLE, Echo, Hear, Stop, Tale, Tellers, Whisper

LOUD = TEXT.upper()
MORE = "and then " * 40
DAY = timedelta(days=1)


@contextlib.asynccontextmanager
async def backend_of(url: str) -> AsyncGenerator[Journal, None]:
    """A handle that follows no reference."""
    raw = connect(url)
    await raw.open()
    try:
        yield raw
    finally:
        await raw.close()


async def names(raw: Journal, run: UUID) -> list[BlobName]:
    """The blobs that rows of a run refer to."""
    found = await raw.inspect(run)
    assert found is not None
    wanted = Wanted()
    rows.inspection(found, wanted)
    for record in await raw.history(run):
        rows.record(record, wanted)
    return list(wanted.lengths)


async def present(raw: Journal, asked: list[BlobName]) -> int:
    """How many of these blobs are there."""
    keeps = keeping(raw)
    assert keeps is not None
    return sum(data is not None for data in await keeps.fetch_blobs(asked))


async def told(client: Client) -> Any:
    """A run that has heard the same thing twice, and ended."""
    run = await client.start(Tale, TEXT, key="k")
    await run.send(Hear(MORE))
    await run.send(Hear(MORE))
    await run.send(Stop())
    assert await run.result(60) == f"{LOUD} {MORE} {MORE}"
    return run


@pytest.mark.parametrize("limits", [SMALL, WHOLE], ids=["small", "none"])
async def test_whoever_reads_sees_what_was_written(shared_journal: str, limits: Any) -> None:
    async with Worker(shared_journal, [Tale], limits=SMALL, poll=0.05) as worker:
        run = await told(worker.client)
        expected = await run.history()
    async with Client(shared_journal, [Tale], limits=limits) as client:
        handle = client.handle(run.id)
        assert await handle.history() == expected
        assert (await handle.view()).context.heard == (MORE, MORE)
        assert (await client.start(Tale, TEXT, key="k")).id == run.id
        found, _ = await client.find('machine = "tale"')
        assert [view.context for view in found] == [(await handle.view()).context]
    async with backend_of(shared_journal) as raw:
        [row] = await raw.load([run.id])
        assert row is not None
        assert row.outcome is not None
        assert hash_in(row.snapshot) is not None
        assert hash_in(row.outcome) is not None
        bodies = [record.body for record in await raw.history(run.id)]
        assert sum(hash_in(body) is not None for body in bodies) >= 4
        assert all(len(body) < 200 for body in bodies)
        kept = await names(raw, run.id)
        assert await present(raw, kept) == len(kept)


async def test_what_another_wrote_whole_stays_whole(shared_journal: str) -> None:
    async with Client(shared_journal, [Tale], limits=WHOLE) as client:
        run = await client.start(Tale, TEXT, key="k")
        await run.send(Hear(MORE))
    async with Worker(shared_journal, [Tale], limits=SMALL, poll=0.05) as worker:
        run = worker.client.get(Tale, "k")
        await run.send(Stop())
        assert await run.result(60) == f"{LOUD} {MORE}"


async def test_child_runs_and_members(journal: str) -> None:
    """Their starts, their outcomes and what came of them are large, each of another run."""
    async with Engine([Tellers, Echo], journal=journal, limits=SMALL, paranoid=True) as engine:
        run = await engine.start(Tellers, (TEXT, MORE, TEXT))
        assert await run.result() == (LOUD, MORE.upper(), LOUD)


async def test_a_living_run_keeps_two_snapshots(journal: str) -> None:
    """However many it had: what was consumed goes a day later, and nothing that is still referred to."""
    async with Engine([Whisper], journal=journal, limits=SMALL) as engine:
        run = await engine.start(Whisper, TEXT)
        prune = engine.client.prune
        assert (await prune(DAY)).blobs == 0
        for number in range(6):
            await engine.send(run, Hear(f"{number} {MORE}"))
        await engine.advance(DAY)
        swept = await prune(DAY)
        assert swept.blobs == 1 + 6 + 1, "the input, the events that were heard, the last snapshot but one"
        assert (await engine.context(run)).text == f"5 {MORE}"
        await engine.advance(DAY)
        assert (await prune(DAY)).blobs == 0
        await engine.send(run, Stop())
        await engine.advance(DAY)
        ended = await prune(timedelta(hours=1))
        assert ended.runs == 1
        assert ended.blobs >= 2, "its snapshot and its outcome"


async def test_sealed_payloads_are_kept_as_they_are_stored(shared_journal: str) -> None:
    plugins = Plugins(Crypto(lambda: (Key("new", b"n" * 32),)), Compress())
    async with Worker(shared_journal, [Tale], limits=SMALL, plugins=plugins, poll=0.05) as worker:
        run = await told(worker.client)
        assert [step.event for step in await run.history()][-1] == "Stop"
    async with backend_of(shared_journal) as raw:
        kept = await names(raw, run.id)
        keeps = keeping(raw)
        assert keeps is not None
        found = await keeps.fetch_blobs(kept)
    assert kept
    assert all(data is not None and is_sealed(data) for data in found)
    async with Client(shared_journal, [Tale], plugins=Plugins()) as plain:
        with pytest.raises(PayloadLocked, match="no payload codec is configured here"):
            await plain.handle(run.id).history()
