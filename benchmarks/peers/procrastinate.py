"""Procrastinate, a plain job queue, as a floor: three jobs, each of which defers the next.

What it does not do: keep a run's state, tell a job's result, or make a job's effect and its deferral of the
next one atomic (a job that is carried out again after a crash defers its successor twice). One worker in
this process, woken by LISTEN/NOTIFY.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from benchmarks.load import in_tasks
from benchmarks.wire import Contender, elapsed_ms, serve, versions

_CONCURRENCY = 32
_POOL = 16


def application(url: str, ended: dict[int, asyncio.Future[int]]) -> Any:
    """The app, and its one task."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=_POOL, max_size=_POOL))

    @app.task(name="step")
    async def step(run: int, number: int, left: int) -> None:
        if left > 1:
            await app.configure_task("step").defer_async(run=run, number=number + 1, left=left - 1)
        else:
            ended.pop(run).set_result(number + 1)

    return app


class Procrastinate(Contender):
    async def prepare(self, url: str) -> None:
        app = application(url, {})
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.url = url
        self.runs = 0
        self.ended: dict[int, asyncio.Future[int]] = {}
        self.app = application(url, self.ended)
        await self.app.open_async()
        self.worker = asyncio.create_task(
            self.app.run_worker_async(concurrency=_CONCURRENCY, install_signal_handlers=False)
        )
        await asyncio.sleep(0.5)  # it begins to listen
        return {"versions": versions("procrastinate", "psycopg")}

    async def _run(self, number: int, left: int) -> int:
        self.runs += 1
        run = self.runs
        self.ended[run] = future = asyncio.get_running_loop().create_future()
        await self.app.configure_task("step").defer_async(run=run, number=number, left=left)
        return await future

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        async def one(number: int) -> None:
            assert await self._run(number, 3) == number + 3

        begun = time.perf_counter()
        done = await in_tasks(one, seconds, flying)
        await self._all_succeeded()
        return {**done, "seconds": time.perf_counter() - begun}

    async def _all_succeeded(self) -> None:
        """A body ends before its job is acknowledged; the clock runs until the last one is."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            while True:
                cursor = await connection.execute(
                    "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"
                )
                row = await cursor.fetchone()
                if row is not None and row[0] == 0:
                    return
                await asyncio.sleep(0.01)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        took: list[float] = []
        for number in range(samples):
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            assert await self._run(number, 1) == number + 1
            took.append(elapsed_ms(begun))
        return {"ms": took}

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what != "idle":
            raise NotImplementedError
        return {}

    async def close(self) -> None:
        self.worker.cancel()
        await asyncio.gather(self.worker, return_exceptions=True)
        await self.app.close_async()


if __name__ == "__main__":
    serve(Procrastinate())
