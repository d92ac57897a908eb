"""Promise 5: what was acknowledged is durable: also when the process is killed in the middle of its verbs."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import pytest

from continuum_core.journal.protocol import Capability, Journal
from continuum_core.testing.conformance.given import FAR, folded, signal, timer
from continuum_core.testing.conformance.kit import Kit, bereaved, delivered, seen, started


@pytest.mark.parametrize("lines", [1, 40, 150])
async def test_it_survives_kill_9(kit: Kit, lines: int) -> None:
    """Promise 5 (DURABLE): all that a process was told before SIGKILL is there, and nothing is half there."""
    kit.needs(Capability.DURABLE)
    told = await bereaved(kit, lines)
    assert len(told) >= lines
    journal = await kit.open()
    of_run: dict[UUID, list[list[str]]] = defaultdict(list)
    for line in told:
        of_run[UUID(line[1])].append(line)
    for run_id, lines_of_run in of_run.items():
        await _is_whole(journal, run_id, lines_of_run)
    await _goes_on(journal)


async def _is_whole(journal: Journal, run_id: UUID, told: list[list[str]]) -> None:
    inspection, history = await seen(journal, run_id), await journal.history(run_id)
    assert [record.version for record in history] == list(range(1, inspection.run.version + 1))
    snapshot = folded(history)
    assert snapshot == inspection.run.snapshot
    waiting = {delivery.payload for delivery in inspection.deliveries}
    consumed = set(snapshot.split(b";"))
    assert not waiting & consumed, "what a turn consumed waits again"
    for what, _, *rest in told:
        if what == "committed":
            assert inspection.run.version >= int(rest[0]), f"version {rest[0]} was acknowledged"
        if what in ("delivered", "finished"):
            assert rest[-1].encode() in waiting | consumed, f"{what} was acknowledged"
        if what == "finished":
            assert int(rest[0]) not in {task.token for task in inspection.tasks}, "a finished task is back"


async def _goes_on(journal: Journal) -> None:
    """The store takes and tells again, what was cut off notwithstanding."""
    run_id = await started(journal)
    await delivered(journal, signal(run_id))
    await delivered(journal, timer(run_id, FAR))
    assert len((await seen(journal, run_id)).deliveries) == 3
