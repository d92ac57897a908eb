"""Promise 19 (LOOKS): who opens to look makes nothing, changes nothing, and is told what is not there."""

from __future__ import annotations

from typing import cast

import pytest

from continuum_core.errors import IncompatibleJournal, JournalMissing
from continuum_core.journal.connect import planting
from continuum_core.journal.looking import Looking
from continuum_core.journal.protocol import Capability, Journal, Opened
from continuum_core.testing.conformance.given import signal
from continuum_core.testing.conformance.kit import Kit, delivered, seen, waiting


async def _look(journal: Journal) -> Opened:
    return await cast(Looking, journal).look()


async def test_a_place_without_a_journal_stays_without(kit: Kit) -> None:
    """Promise 19 (LOOKS): a look at a place that nobody opened finds nothing, and leaves nothing."""
    kit.needs(Capability.LOOKS)
    if kit.unopened is None:
        pytest.skip("the kit was given one store: with {fresh} or {tmp} in --journal it knows unopened ones")
    url = kit.unopened()
    for _ in range(2):
        with pytest.raises(JournalMissing):
            await _look(kit.stranger(url=url))
    await kit.stranger(url=url).open()
    journal = kit.stranger(url=url)
    await _look(journal)
    await waiting(journal)


async def test_a_namespace_that_nobody_opened_is_not_there(kit: Kit) -> None:
    """Promise 19 (LOOKS): nor is a namespace made; what others hold changes nothing."""
    kit.needs(Capability.LOOKS)
    await waiting(await kit.open(f"{kit.namespace}-other"))
    journal = kit.handle()
    for _ in range(2):
        with pytest.raises(JournalMissing, match=kit.namespace):
            await _look(journal)
    await journal.open()
    await _look(kit.handle())


async def test_what_is_looked_at_is_worked_on_like_what_was_opened(kit: Kit) -> None:
    """Promise 19 (LOOKS): a handle that looks has all verbs, and tells the same of itself."""
    kit.needs(Capability.LOOKS)
    opened = await kit.open()
    run_id = await waiting(opened)
    before = await seen(opened, run_id)
    journal = kit.handle()
    told = await _look(journal)
    again = await _look(journal)
    assert (told.backend, told.schema, told.durability) == (again.backend, again.schema, again.durability)
    assert await seen(journal, run_id) == before
    await delivered(journal, signal(run_id))
    assert len((await seen(opened, run_id)).deliveries) == len(before.deliveries) + 1
    await journal.close()
    await _look(journal)
    assert await journal.load([run_id])


async def test_an_older_schema_is_left_as_it_is(kit: Kit) -> None:
    """Promise 19 (LOOKS, MIGRATES): a schema that is behind is refused, and still behind afterwards."""
    kit.needs(Capability.LOOKS, Capability.MIGRATES)
    backend = planting(kit.url)
    assert backend is not None
    newest = (await kit.handle().open()).schema
    if kit.unopened is None or newest == 1:
        pytest.skip("with {fresh} or {tmp} in --journal, and a second schema, the kit can make an older one")
    url = kit.unopened()
    await backend.plant(url, newest - 1)
    for _ in range(2):
        with pytest.raises(IncompatibleJournal, match=rf"version {newest - 1}\b.*needs {newest}") as refused:
            await _look(kit.stranger(url=url))
        assert not isinstance(refused.value, JournalMissing)
    assert (await kit.stranger(url=url).open()).schema == newest
