"""Promise 19: opening migrates an older schema; openers race safely; a schema of another time is refused.

What an older, newer or damaged store looks like is the backend's own business: its own tests plant
one. The kit asks what every backend can be asked.
"""

from __future__ import annotations

import pytest

from continuum_core.errors import UsageError
from continuum_core.journal.protocol import PORT_VERSION, Journal, Opened
from continuum_core.testing.conformance.given import new_run, signal
from continuum_core.testing.conformance.kit import Kit, apart, claimed, delivered, seen, started, waiting


async def test_openers_race_safely(kit: Kit) -> None:
    """Promise 19: many that open a store that nobody opened before all succeed, and agree on its schema."""

    async def open_and_start(journal: Journal) -> Opened:
        await journal.start([new_run()])
        return await journal.open()

    opened = apart(kit.handle(), [open_and_start] * 6)
    assert len({(one.backend, one.schema, one.durability) for one in opened}) == 1
    journal = await kit.open()
    assert len((await claimed(journal)).runs) == 6


async def test_opening_again_keeps_everything(kit: Kit) -> None:
    """Promise 19: an open of what is open already, by this or another handle, changes no row."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    before = await seen(journal, run_id)
    first = await journal.open()
    second = await kit.handle().open()
    assert (first.schema, first.backend) == (second.schema, second.backend)
    assert await seen(journal, run_id) == before


async def test_an_unopened_handle_says_so(kit: Kit) -> None:
    """Promise 19: a verb before open, or after close, is a mistake of the caller and is told as one."""
    journal = kit.handle()
    with pytest.raises(UsageError):
        await journal.now()
    await journal.open()
    await started(journal)
    await journal.close()
    with pytest.raises(UsageError):
        await claimed(journal)
    sibling = journal.sibling()
    with pytest.raises(UsageError):
        await sibling.load([])


async def test_the_handle_is_bound_to_its_namespace(kit: Kit) -> None:
    """Promise 19: it tells which, and its siblings have the same."""
    journal = await kit.open()
    assert journal.namespace == kit.namespace
    assert journal.sibling().namespace == kit.namespace
    assert isinstance(journal, Journal)
    assert PORT_VERSION == 1
