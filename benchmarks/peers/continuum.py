"""Ours: one asyncio worker, its own client starting the runs and awaiting their results. All is default."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any
from uuid import UUID

from benchmarks.load import each_in_tasks, in_tasks
from benchmarks.peers.machines import Go, One, Relay, Steps, Through, Waits, held
from benchmarks.wire import Contender, elapsed_ms, serve, versions
from continuum_core import Limits, Machine, Worker

_MACHINES: list[type[Machine[Any, Any, Any]]] = [Steps, One, Through, Waits, Relay]
_PARKING = 500
_WAKING = 2_000


class Continuum(Contender):
    mode = "one asyncio worker process, runs started and awaited by its own client; all settings default"

    def __init__(self) -> None:
        self._parked = bytearray()  # sixteen bytes an id, so that what grows is the worker's

    async def prepare(self, url: str) -> None:
        async with Worker(url, _MACHINES):
            pass

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        limits = Limits(**options.pop("limits", {}))
        self.worker = Worker(url, _MACHINES, limits=limits, **options)
        await self.worker.open()
        return {"versions": versions("continuum-core", "psycopg")}

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        client = self.worker.client

        async def one(number: int) -> None:
            handle = await client.start(Steps, number)
            assert await handle.result() == number + 3

        return await in_tasks(one, seconds, flying)

    async def macrostep(self, seconds: float, flying: int) -> dict[str, Any]:
        client = self.worker.client

        async def one(number: int) -> None:
            handle = await client.start(Through, number)
            assert await handle.result() == number + 3

        return await in_tasks(one, seconds, flying)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        took: list[float] = []
        for number in range(samples):
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            handle = await self.worker.client.start(One, number)
            assert await handle.result() == number + 1
            took.append(elapsed_ms(begun))
        return {"ms": took}

    async def park(self, count: int) -> dict[str, Any]:
        client = self.worker.client

        async def one(number: int) -> None:
            handle = await client.start(Waits, number)
            self._parked += handle.id.bytes

        done = await each_in_tasks(one, range(count), _PARKING)
        gc.collect()
        return done

    async def wake(self) -> dict[str, Any]:
        client = self.worker.client
        parked = bytes(self._parked)

        async def one(number: int) -> None:
            handle = client.handle(UUID(bytes=parked[16 * number : 16 * number + 16]))
            await client.send(handle, Go(number))
            assert (await handle.result())[1] == number

        return await each_in_tasks(one, range(len(parked) // 16), _WAKING)

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what == "idle":
            return {}
        if what == "alone":
            return await self._alone(**arguments)
        if what == "relay":
            return await self._relay(arguments["events"])
        if what == "next":
            return await self._next(arguments["seconds"])
        raise NotImplementedError

    async def _alone(self, samples: int, pause: float) -> dict[str, Any]:
        """Runs of three steps, one after the other, with rests in between."""
        took: list[float] = []
        for number in range(samples):
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            handle = await self.worker.client.start(Steps, number)
            assert await handle.result() == number + 3
            took.append(elapsed_ms(begun))
        return {"ms": took}

    async def _relay(self, events: int) -> dict[str, Any]:
        """A run with a history of so many events, in the middle of an activity."""
        client = self.worker.client
        handle = await client.start(Relay, events)

        async def tick(number: int) -> None:
            await client.send(handle, Go(number))

        await each_in_tasks(tick, range(events), 50)
        await held.wait()
        view = await handle.view()
        return {"run": str(handle.id), "version": view.version}

    async def _next(self, seconds: float) -> dict[str, Any]:
        """Milliseconds until this worker carries on with the activity that a dead one left behind."""
        begun = time.perf_counter()
        async with asyncio.timeout(seconds):
            await held.wait()
        return {"ms": elapsed_ms(begun)}

    async def close(self) -> None:
        await self.worker.drain()
        await self.worker.close()


if __name__ == "__main__":
    serve(Continuum())
