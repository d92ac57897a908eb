"""Promise 17: a lost wakeup delays and never strands; a backend that declares WAKEUPS also sends some."""

from __future__ import annotations

import asyncio

from continuum_core.journal.protocol import Capability
from continuum_core.testing.conformance.kit import Kit, child, claimed, started

_A_DAY = 86_400.0
_PROCESSES = 5


async def test_another_process_wakes_who_waits(kit: Kit) -> None:
    """Promise 17 (SHARED, WAKEUPS): of the writes of another process, one at least ends a wait of a day.

    A single hint may be lost, so several processes write; that none of their hints comes is a fault.
    """
    kit.needs(Capability.SHARED, Capability.WAKEUPS)
    journal = await kit.open()
    await started(journal)
    waiter = asyncio.create_task(journal.wait(0))
    await waiter  # what this handle wrote itself is known to it now
    waiter = asyncio.create_task(journal.wait(_A_DAY))
    try:
        for _ in range(_PROCESSES):
            await child(kit, rounds=5)
            await asyncio.wait([waiter], timeout=1)  # a hint may be under way
            if waiter.done():
                break
        assert waiter.done(), f"{_PROCESSES} processes wrote, and nobody woke this one"
    finally:
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
    assert len((await claimed(journal)).runs) <= 1
