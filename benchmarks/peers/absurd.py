"""Absurd: tasks whose steps are checkpoints, all of it stored procedures in PostgreSQL.

Best mode for throughput: sixteen clients in threads, each with a connection of its own, spawning tasks and
working on them in turn (`work_batch`), so that nobody ever sleeps until a poll. For latency and waking its
own worker loop runs beside the client, with the default poll of 250 ms or, *tuned*, of 1 ms.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import Absurd

from benchmarks.load import each_in_threads, summary
from benchmarks.wire import Contender, elapsed_ms, serve, versions

_TUNED = 0.001  # seconds
_BATCH = 25
"""Tasks that a client spawns, then claims at once and carries out: more did not help."""


def client(url: str) -> Any:
    """A client of its own connection which knows the tasks."""
    app = Absurd(url)

    @app.register_task(name="steps")
    def steps(params: dict[str, int], ctx: Any) -> int:
        number = params["number"]
        for name in ("one", "two", "three"):
            number = ctx.step(name, lambda value=number: value + 1)
        return number

    @app.register_task(name="one")
    def one(params: dict[str, int], ctx: Any) -> int:
        number = params["number"]
        result: int = ctx.step("one", lambda: number + 1)
        return result

    @app.register_task(name="waits")
    def waits(params: dict[str, int], ctx: Any) -> Any:
        return ctx.await_event(f"go-{params['number']}", timeout=86_400)

    return app


class AbsurdPeer(Contender):
    async def prepare(self, url: str) -> None:
        await asyncio.to_thread(self._prepare, url)

    def _prepare(self, url: str) -> None:
        ctl = Path(sys.executable).with_name("absurdctl")
        for arguments in (["init"], ["create-queue", "default"]):
            done = subprocess.run(
                [str(ctl), arguments[0], "-d", url, *arguments[1:]],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"absurdctl {arguments[0]}: {done.stdout}{done.stderr}")

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.url = url
        self.poll = _TUNED if options.get("tuned") else 0.25
        self.workers: list[tuple[Any, threading.Thread]] = []
        self.clients: list[Any] = []
        self.parked: list[str] = []
        return {"versions": versions("absurd-sdk", "absurdctl", "psycopg")}

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        return await asyncio.to_thread(self._steps, seconds, flying)

    def _steps(self, seconds: float, flying: int) -> dict[str, Any]:
        """`flying` clients in threads; each sees its own batch through, results read at the end."""
        took: list[float] = []
        failed: list[BaseException] = []
        begun = time.perf_counter()

        def loop(app: Any, first: int) -> None:
            try:
                number = first
                while time.perf_counter() < begun + seconds:
                    number = self._batch(app, number, took)
            except BaseException as error:
                failed.append(error)

        while len(self.clients) < flying:
            self.clients.append(client(self.url))
        begun = time.perf_counter()
        threads = [
            threading.Thread(target=loop, args=(app, index * 1_000_000))
            for index, app in enumerate(self.clients[:flying])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        self._complete()
        return summary(took, time.perf_counter() - begun)

    def _batch(self, app: Any, number: int, took: list[float]) -> int:
        started = time.perf_counter()
        for _ in range(_BATCH):
            app.spawn("steps", {"number": number})
            number += 1
        app.work_batch(batch_size=_BATCH)
        took += [time.perf_counter() - started] * _BATCH
        return number

    def _complete(self) -> None:
        """Work on what is left: a claim passes over tasks that another one is looking at."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                rows = connection.execute("SELECT state, count(*) FROM absurd.t_default GROUP BY state")
                states: dict[str, int] = dict(rows.fetchall())
                if set(states) == {"completed"}:
                    return
                if not set(states) <= {"completed", "pending"}:
                    raise RuntimeError(f"tasks are {states}")
                self.clients[0].work_batch(batch_size=_BATCH)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        return await asyncio.to_thread(self._latency, samples, pause)

    def _latency(self, samples: int, pause: float) -> dict[str, Any]:
        self._start_workers(1)
        app = client(self.url)
        took: list[float] = []
        for number in range(samples):
            time.sleep(pause)
            begun = time.perf_counter()
            task = app.spawn("one", {"number": number})["task_id"]
            assert self._result(app, task) == number + 1
            took.append(elapsed_ms(begun))
        app.close()
        return {"ms": took}

    def _result(self, app: Any, task: str) -> Any:
        if self.poll != _TUNED:  # its own way to wait, which begins with 50 ms and doubles
            return app.await_task_result(task).result
        while (found := app.fetch_task_result(task)).state != "completed":
            if found.state in ("failed", "cancelled"):
                raise RuntimeError(f"{task} {found}")
            time.sleep(self.poll)
        return found.result

    async def park(self, count: int) -> dict[str, Any]:
        return await asyncio.to_thread(self._park, count)

    def _park(self, count: int) -> dict[str, Any]:
        apps = [client(self.url) for _ in range(8)]
        first = len(self.parked)
        self.parked += [""] * count

        def batch(index: int) -> None:
            app = apps[index % 8]
            numbers = range(first, first + count)[index * _BATCH : (index + 1) * _BATCH]
            for number in numbers:
                self.parked[number] = app.spawn("waits", {"number": number})["task_id"]
            app.work_batch(batch_size=len(numbers))

        done = each_in_threads(batch, range(-(-count // _BATCH)), 8)
        for app in apps:
            app.close()
        return {**done, "runs": count}

    async def wake(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._wake)

    def _wake(self) -> dict[str, Any]:
        apps = [client(self.url) for _ in range(8)]
        self._start_workers(8)

        def tell(number: int) -> None:
            apps[number % 8].emit_event(f"go-{number}", number)

        begun = time.perf_counter()
        each_in_threads(tell, range(len(self.parked)), 8)
        with psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                row = connection.execute(
                    "SELECT count(*) FROM absurd.t_default WHERE state <> 'completed'"
                ).fetchone()
                if row is not None and row[0] == 0:
                    break
                time.sleep(0.02)
        elapsed = time.perf_counter() - begun
        for number, task in list(enumerate(self.parked))[::100]:
            assert apps[0].fetch_task_result(task).result == number
        for app in apps:
            app.close()
        return {"runs": len(self.parked), "seconds": elapsed, "p50": 0.0, "p99": 0.0}

    def _start_workers(self, count: int) -> None:
        for _ in range(count - len(self.workers)):
            app = client(self.url)
            thread = threading.Thread(
                target=app.start_worker, kwargs={"poll_interval": self.poll}, daemon=True
            )
            thread.start()
            self.workers.append((app, thread))

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what != "idle":
            raise NotImplementedError
        self._start_workers(1)
        return {}

    async def close(self) -> None:
        for app, _ in self.workers:
            app.stop_worker()
        for app, thread in self.workers:
            thread.join(5)
            app.close()
        for app in self.clients:
            app.close()


if __name__ == "__main__":
    serve(AbsurdPeer())
