"""Promise 19: opening migrates an older schema, racing openers included."""

from __future__ import annotations

import pytest

from continuum_core.errors import UsageError
from continuum_core.journal.commit import FinishOutcome
from continuum_core.journal.connect import planting
from continuum_core.journal.protocol import MEANINGS, Capability, Journal, Opened
from continuum_core.testing.conformance.given import HOUR, finish, folded, new_id, new_task, want
from continuum_core.testing.conformance.kit import Kit, apart, finished, seen, waiting


async def test_what_is_declared_is_known(kit: Kit) -> None:
    """Promise 19: every capability that the backend declares is one of the port's, spelled as there."""
    assert kit.capabilities <= MEANINGS.keys(), "an unknown capability would be asked of by nobody"


async def test_every_older_schema_is_brought_forward(kit: Kit) -> None:
    """Promise 19 (MIGRATES): from each version that there ever was, by racing openers, to one that works."""
    kit.needs(Capability.MIGRATES)
    backend = planting(kit.url)
    assert backend is not None
    newest = (await kit.handle().open()).schema
    if kit.unopened is None:
        pytest.skip("the kit was given one store: with {fresh} or {tmp} in --journal it can make older ones")
    for version in range(1, newest):
        url = kit.unopened()
        await backend.plant(url, version)
        journal = kit.stranger(url=url)
        opened = apart(journal, [_open_again] * 3)
        assert {one.schema for one in opened} == {newest}, f"from schema {version}"
        await journal.open()
        await _works(journal)
        with pytest.raises(UsageError):
            await backend.plant(url, version)


async def _open_again(journal: Journal) -> Opened:
    return await journal.open()


async def _works(journal: Journal) -> None:
    """A run with a task, from its start to the task's outcome."""
    run_id = await waiting(journal, {"tasks": (new_task(1, fairness="key"),)})
    (task,) = (await journal.claim_tasks(new_id(), [want(cap=1)], HOUR)).tasks
    assert task.task.fairness == "key"
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.FINISHED
    inspection = await seen(journal, run_id)
    assert [delivery.payload for delivery in inspection.deliveries] == [b"outcome"]
    assert folded(await journal.history(run_id)) == inspection.run.snapshot
