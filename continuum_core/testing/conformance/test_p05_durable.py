"""Promise 5: what was acknowledged is durable, at the level the backend states."""

from __future__ import annotations

from continuum_core.journal.protocol import Capability
from continuum_core.testing.conformance.given import FAR, folded, new_task, signal, timer
from continuum_core.testing.conformance.kit import (
    Kit,
    child,
    delivered,
    row,
    seen,
    started,
    waiting,
)


async def test_the_level_is_stated(kit: Kit) -> None:
    """Promise 5: `open` tells people in a sentence what survives what."""
    opened = await kit.handle().open()
    assert opened.durability.strip()
    assert opened.backend.strip()
    assert opened.now > 0


async def test_another_handle_reads_what_was_acknowledged(kit: Kit) -> None:
    """Promise 5: an acknowledged write is read by every handle at once."""
    writer, reader = await kit.open(), await kit.open()
    run_id = await waiting(writer, {"tasks": (new_task(1),), "deliveries": ()})
    await delivered(writer, signal(run_id))
    assert await seen(reader, run_id) == await seen(writer, run_id)
    assert await reader.history(run_id) == await writer.history(run_id)


async def test_it_survives_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): when every handle was closed, a new one reads all that was acknowledged."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1), new_task(2))})
    await delivered(journal, signal(run_id))
    await delivered(journal, timer(run_id, FAR))
    before, history = await seen(journal, run_id), await journal.history(run_id)
    await kit.close_all()
    later = kit.stranger()
    await later.open()
    assert await seen(later, run_id) == before
    assert await later.history(run_id) == history


async def test_it_survives_the_process_that_wrote_it(kit: Kit) -> None:
    """Promise 5 (DURABLE, SHARED): what a process was told is committed is there after it died unclosed."""
    kit.needs(Capability.DURABLE, Capability.SHARED)
    journal = await kit.open()
    ids = [await started(journal) for _ in range(3)]
    told = await child(kit, rounds=10)
    assert sum(len(versions) for versions in told.values()) == 30
    for run_id in ids:
        run = await row(journal, run_id)
        history = await journal.history(run_id)
        assert [record.version for record in history] == told[str(run_id)]
        assert folded(history) == run.snapshot
