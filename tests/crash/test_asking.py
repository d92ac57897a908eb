"""A client without a worker asks; the workers are other processes, and are killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from continuum_core import Client
from tests.crash.test_kill import Fleet
from tests.runtime.talks import Buy, Open, Shop


async def test_questions_outlive_the_workers_that_take_them(shared_journal: str, tmp_path: Path) -> None:
    fleet = Fleet(shared_journal, tmp_path / "trace.db")
    try:
        async with Client(shared_journal, [Shop], poll=0.5) as client:
            run = await client.start(Shop, 100)
            await run.send(Open())

            def ask(number: int) -> asyncio.Task[int]:
                return asyncio.create_task(run.ask(Buy(1), timeout=60, id=f"order-{number}"))

            waits = [ask(number) for number in range(10)]
            fleet.hire()
            while not fleet.ready(fleet.hired[0]):
                assert fleet.hired[0].poll() is None, "the worker died by itself"
                await asyncio.sleep(0)
            fleet.hire()
            waits += [ask(number) for number in range(10, 20)]
            await waits[0]
            fleet.kill(fleet.hired[0])
            told = await asyncio.gather(*waits)
            assert sorted(told) == list(range(80, 100)), "each was taken once, and told its own reply"
            assert await asyncio.gather(*[ask(number) for number in range(20)]) == told
            assert await run.query(lambda c: c.sold) == 20
    finally:
        await fleet.dismiss()
