"""Whole runs whose payloads are kept apart: into other journals, into files, and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from continuum_core import Client, Worker
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.blobs import with_blobs
from continuum_core.carriage.archives import Selection, archive, restore
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.journal.blobs import hash_in
from continuum_core.journal.carrying import carrier_of
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.registry import Registry
from continuum_memory import MemoryJournal
from tests.blobs.machines import SMALL, TEXT, WHOLE, Hear, Stop, Tale

MORE = "and then " * 40
FAR = 2**62


async def _crowd(url: str) -> Any:
    """A run that has ended, and one that lives and has something to hear."""
    async with Worker(url, [Tale], limits=SMALL, poll=0.05) as worker:
        ended = await worker.client.start(Tale, TEXT, key="ended")
        lives = await worker.client.start(Tale, TEXT, key="lives")
        for run in (ended, lives):
            await run.send(Hear(MORE))
        await ended.send(Stop())
        await ended.result(60)
        while (await lives.view()).context.heard != (MORE,):
            await worker.journal.wait(0.05)
        history = await ended.history()
    async with Client(url, [Tale], limits=SMALL) as client:
        await client.send(client.get(Tale, "lives"), Hear(MORE), dedupe="once")
    return history


async def _opened(stack: AsyncExitStack, url: str, limits: Any) -> Journal:
    journal = with_blobs(connect(url), limits)
    await journal.open()
    stack.push_async_callback(journal.close)
    return journal


async def test_a_rehearsal_keeps_no_payload_apart(
    fresh_on: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked beforehand leaves nothing behind, large payloads neither."""
    source_url = fresh_on("sqlite")
    await _crowd(source_url)
    async with AsyncExitStack() as stack:
        source = await _opened(stack, source_url, WHOLE)
        target = await _opened(stack, fresh_on("memory"), SMALL)
        kept: list[int] = []
        keep = MemoryJournal.keep_blobs

        async def noted(journal: MemoryJournal, blobs: Any) -> None:
            kept.append(len(blobs))
            await keep(journal, blobs)

        monkeypatch.setattr(MemoryJournal, "keep_blobs", noted)
        for dry_run in (True, False):
            asked = Copying(host=AsyncioHost(), to="elsewhere", dry_run=dry_run)
            done = await copy(source, target, asked)
            assert (done.complete, done.finished, done.moved) == (True, 1, 1)
            assert bool(kept) is not dry_run


@pytest.mark.parametrize(
    ("source_on", "target_on", "limits"),
    [
        ("sqlite", "postgres", SMALL),
        ("postgres", "redis", SMALL),
        ("redis", "memory", WHOLE),
        ("memory", "sqlite", SMALL),
    ],
    ids=["sqlite-postgres", "postgres-redis", "redis-memory-whole", "memory-sqlite"],
)
async def test_runs_move_whole(
    fresh_on: Callable[[str], str], source_on: str, target_on: str, limits: Any
) -> None:
    source_url, target_url = fresh_on(source_on), fresh_on(target_on)
    history = await _crowd(source_url)
    async with AsyncExitStack() as stack:
        source = await _opened(stack, source_url, WHOLE)
        target = await _opened(stack, target_url, limits)
        asked = Copying(host=AsyncioHost(), to="elsewhere", who="ada", registry=Registry([Tale]))
        done = await copy(source, target, asked)
        assert done.complete, done.troubles
        assert (done.finished, done.moved, done.folded) == (1, 1, 2)
    async with Worker(target_url, [Tale], limits=limits, poll=0.05) as worker:
        client = worker.client
        assert await client.history(client.get(Tale, "ended")) == history
        lives = client.get(Tale, "lives")
        await lives.send(Stop())
        assert await lives.result(60) == f"{TEXT.upper()} {MORE} {MORE}"
    raw = connect(target_url)
    await raw.open()
    [row] = await raw.load([lives.id])
    await raw.close()
    assert row is not None
    assert (hash_in(row.snapshot) is not None) == (limits is SMALL)


async def test_archives_hold_payloads_whole(shared_journal: str, tmp_path: Path) -> None:
    history = await _crowd(shared_journal)
    path = tmp_path / "ended.jsonl"
    async with AsyncExitStack() as stack:
        journal = await _opened(stack, shared_journal, SMALL)
        assert sum(each.bytes for each in await carrier_of(journal).tally()) > len(TEXT) + len(MORE)
        done = await archive(journal, Selection(before=FAR), path, prune=True)
        assert (done.runs, done.pruned) == (1, 1)
        back = await restore(path, journal, registry=Registry([Tale]))
        assert (back.runs, back.folded) == (1, 1)
    async with Client(shared_journal, [Tale], limits=WHOLE) as client:
        ended = client.get(Tale, "ended")
        assert await client.history(ended) == history
        assert (await client.view(ended)).status is RunStatus.COMPLETED
