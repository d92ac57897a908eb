"""Steps that the tests of promise 23 share."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from continuum_core.journal.carrying import (
    Carrier,
    DepartOutcome,
    Departure,
    Dumped,
    RunImage,
    carrier_of,
)
from continuum_core.journal.commit import (
    FinishKind,
)
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.journal.records import Held
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    finish,
    hold_task,
    new_id,
    new_task,
    signal,
    timer,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    finished,
    started,
)

__all__ = ["busy_run", "departing", "dump_of", "elsewhere", "left", "opened", "whole"]


async def opened(kit: Kit, limits: Limits | None = None) -> tuple[Journal, Carrier]:
    kit.needs(Capability.CARRIES)
    journal = await kit.open(limits=limits)
    return journal, carrier_of(journal)


async def elsewhere(kit: Kit, limits: Limits | None = None) -> tuple[Journal, Carrier]:
    """Another namespace stands for another journal."""
    journal = await kit.open(f"{kit.namespace}-elsewhere", limits)
    return journal, carrier_of(journal)


async def dump_of(journal: Journal, run_id: UUID) -> Dumped:
    (dumped,) = await carrier_of(journal).dump([run_id])
    assert dumped is not None, f"run {run_id} is gone"
    return dumped


async def whole(journal: Journal, run_id: UUID) -> RunImage:
    image = (await dump_of(journal, run_id)).image
    assert image.records == ()
    return replace(image, records=tuple(await journal.history(run_id)))


def departing(dumped: Dumped, **changes: Any) -> Departure:
    run_id = dumped.image.run.run_id
    return replace(Departure(run_id, dumped.mark, new_id(), b"moved", b"left"), **changes)


async def left(journal: Journal, run_id: UUID) -> RunImage:
    """Have a run depart; its image."""
    image, dumped = await whole(journal, run_id), await dump_of(journal, run_id)
    assert await carrier_of(journal).depart([departing(dumped)]) == [DepartOutcome.DEPARTED]
    return image


async def busy_run(journal: Journal) -> UUID:
    """A run with something of everything: deliveries free, held and to come, tasks, dedupe ids."""
    run_id = await started(journal, key="k")
    claim, now = await claimed_one(journal)
    tasks = (new_task(1, 0), new_task(1, 1, key="key", undo=True, fairness="f"), new_task(2, 0, priority=3))
    sent = (timer(run_id, FAR), timer(run_id, now + HOUR, token=2, slot=1))
    await committed(journal, turn(claim, now, (b"a;", b"b;"), tasks=tasks, deliveries=sent))
    first, second, third = (await claimed_tasks(journal)).tasks
    await finished(journal, finish(first, FinishKind.RETRY, failure=b"failure", delay=HOUR))
    await journal.heartbeat([hold_task(second, details=b"details")], HOUR)
    for one in (second, third):
        await finished(journal, finish(one, FinishKind.RETURN))
    await delivered(journal, signal(run_id, b"deferred", dedupe="d1"))
    await delivered(journal, signal(run_id, b"taken", dedupe="d2"))
    claim, now = await claimed_one(journal)
    deferred, taken = claim.deliveries
    held = ((deferred.id, Held.DEFERRED),)
    await committed(journal, turn(claim, now, (b"c;",), consumed=(taken.id,), hold=held))
    await delivered(journal, signal(run_id, b"free", dedupe="d3"))
    return run_id
