"""DBOS: the library and a PostgreSQL, no service of its own.

Modes: *direct*, where threads call workflows in this process, its quickest; *async*, the same with
coroutines, which is slower; *queue*, where workflows are enqueued and its workers find them by polling, which
is how they are spread over processes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.load import each_in_tasks, in_tasks, in_threads
from benchmarks.wire import Contender, elapsed_ms, serve, versions

QUEUE = "bench"
TUNED = 0.02
"""Seconds between two looks of the queue and of who awaits a result, in W1; the defaults are 1 and 1."""


@DBOS.step()
def noop(number: int) -> int:
    return number + 1


@DBOS.step()
async def noop_async(number: int) -> int:
    return number + 1


@DBOS.workflow()
def steps(number: int) -> int:
    return noop(noop(noop(number)))


@DBOS.workflow()
async def steps_async(number: int) -> int:
    return await noop_async(await noop_async(await noop_async(number)))


@DBOS.workflow()
def one(number: int) -> int:
    return noop(number)


@DBOS.workflow()
async def waits() -> int:
    got = await DBOS.recv_async("go", timeout_seconds=86_400)
    return -1 if got is None else int(got)


class Dbos(Contender):
    async def prepare(self, url: str) -> None:
        self._launch(url)
        DBOS.destroy()

    def _launch(self, url: str) -> None:
        DBOS(
            config={
                "name": "bench",
                "system_database_url": url,
                "log_level": "ERROR",
                "application_version": "bench",
                "enable_otlp": False,
            }
        )
        DBOS.launch()

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self._mode = options.get("mode", "direct")
        self._waiting: list[Any] = []
        self._poll: dict[str, float] = {"polling_interval_sec": TUNED} if options.get("tuned") else {}
        self._launch(url)
        if self._mode == "queue":
            await asyncio.to_thread(lambda: DBOS.register_queue(QUEUE, **self._poll))
        return {"versions": versions("dbos", "psycopg", "sqlalchemy")}

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        if self._mode == "async":

            async def run_async(number: int) -> None:
                assert await steps_async(number) == number + 3

            return await in_tasks(run_async, seconds, flying)

        def run(number: int) -> None:
            if self._mode == "queue":
                assert self._through_queue(steps, number) == number + 3
            else:
                assert steps(number) == number + 3

        return await asyncio.to_thread(in_threads, run, seconds, flying)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        return await asyncio.to_thread(self._latency, samples, pause)

    def _latency(self, samples: int, pause: float) -> dict[str, Any]:
        took: list[float] = []
        for number in range(samples):
            time.sleep(pause)
            begun = time.perf_counter()
            result = self._through_queue(one, number) if self._mode == "queue" else one(number)
            took.append(elapsed_ms(begun))
            assert result == number + 1
        return {"ms": took}

    def _through_queue(self, workflow: Any, number: int) -> Any:
        return DBOS.enqueue_workflow(QUEUE, workflow, number).get_result(**self._poll)

    async def park(self, count: int) -> dict[str, Any]:
        async def start(number: int) -> None:
            with SetWorkflowID(f"waits-{number}"):
                self._waiting.append((number, await DBOS.start_workflow_async(waits)))

        first = len(self._waiting)
        done = await each_in_tasks(start, range(first, first + count), 16)
        await asyncio.sleep(2.0)  # the last ones reach their recv
        return done

    async def wake(self) -> dict[str, Any]:
        waiting = self._waiting

        async def tell(index: int) -> None:
            number, handle = waiting[index]
            await DBOS.send_async(handle.workflow_id, number, "go")
            assert await handle.get_result() == number

        return await each_in_tasks(tell, range(len(waiting)), 200)

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what != "idle":
            raise NotImplementedError
        return {}

    async def close(self) -> None:
        await asyncio.to_thread(DBOS.destroy)


if __name__ == "__main__":
    serve(Dbos())
