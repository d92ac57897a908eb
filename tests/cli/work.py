"""Lets a worker in this process bring runs of the shop to rest, without time passing."""

from __future__ import annotations

import asyncio

from continuum_core.errors import RunEnded
from continuum_core.journal.records import RunStatus
from continuum_core.worker import Worker
from tests.cli.shop import Order


def work_until_over(url: str, *keys: str) -> None:
    """Run a worker until the orders with these keys are over, however they end."""

    async def work() -> None:
        async with Worker(url, [Order], poll=0.05) as worker:
            for key in keys:
                try:
                    await worker.client.result(worker.client.get(Order, key), 30.0)
                except RunEnded:
                    continue

    asyncio.run(work())


def work_until(url: str, key: str, status: RunStatus) -> None:
    """Run a worker until this order has that status."""

    async def work() -> None:
        async with Worker(url, [Order], poll=0.05) as worker:
            while (await worker.client.view(worker.client.get(Order, key))).status is not status:
                await worker.journal.wait(0.05)

    asyncio.run(work())
