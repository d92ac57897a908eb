"""harel: durable statecharts, the nearest in kind.

Best mode: its `DurableRunner` with `execution="inline"`, in threads, a connection each: an event is committed
when `process` returns. (Its asynchronous runner on one loop does less than half of that.) *Step-durable* is a
start and three events, each a transition with an action; *macrostep-atomic* is one start that takes three
automatic transitions, committed once and carried out again as a block after a crash. Runs that wait are woken
through its worker, as events reach them from elsewhere; it polls every 5 ms, which the idle figures show.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import psycopg
from harel import DurableRunner, Event, definition_from_dsl
from harel.engine.aio.distributed import AsyncDistributedRunner
from harel.engine.aio_store.postgres import AsyncPostgresStore
from harel.engine.aio_transport.postgres import AsyncPostgresTransport
from harel.engine.store import PostgresStore

from benchmarks.load import each_in_tasks, each_in_threads, in_threads
from benchmarks.wire import Contender, elapsed_ms, serve, versions

_POOL = 16
_PARKING = 8
_HEAD = "event Go {}\nmachine NAME { context { number: int } initial One final Done success "
_THREE = "state One { on enter noop } state Two { on enter noop } state Three { on enter noop } "
_MACHINES = {
    "steps": _THREE + "from One to Two on Go from Two to Three on Go from Three to Done on Go }",
    "through": _THREE + "from One to Two from Two to Three from Three to Done }",
    "one": "state One {} state Two { on enter noop } from One to Two on Go from Two to Done }",
}


def noop(stm: Any, event: Any, **_: Any) -> None:
    stm.execution_ctx["number"] += 1


async def noop_async(stm: Any, event: Any, **_: Any) -> None:
    stm.execution_ctx["number"] += 1


def definitions(action: Any) -> dict[str, Any]:
    """The machines; `action` is sync or async, as the runner wants it."""
    return {
        name: definition_from_dsl(
            _HEAD.replace("NAME", name) + rest, name, actions={"noop": action}, validate=True
        )
        for name, rest in _MACHINES.items()
    }


class Harel(Contender):
    async def prepare(self, url: str) -> None:
        for make in (AsyncPostgresStore.from_dsn, AsyncPostgresTransport.from_dsn):
            await (await make(url)).close()

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.url = url
        self.inline = definitions(noop)
        self.own = threading.local()
        self.connections: list[Any] = []
        self.parked: list[str] = []
        self.store = await AsyncPostgresStore.from_dsn(url, _POOL, create_schema=False)
        self.transport = await AsyncPostgresTransport.from_dsn(url, pool_size=_POOL, create_schema=False)
        self.runner = AsyncDistributedRunner(self.store, self.transport, definitions(noop_async))
        self.stop = asyncio.Event()
        self.worker: asyncio.Task[None] | None = None
        return {"versions": versions("harel", "psycopg")}

    def _runner(self) -> Any:
        """This thread's own."""
        found = getattr(self.own, "runner", None)
        if found is None:
            connection = psycopg.connect(self.url)
            self.connections.append(connection)
            store = PostgresStore(connection, create_schema=False)
            found = self.own.runner = DurableRunner(store, self.inline, execution="inline")
        return found

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        def one(number: int) -> None:
            runner = self._runner()
            made = runner.create("steps", {"number": number})
            for _ in range(3):
                made = runner.process(made.id, Event(kind="Go"))
            assert made.status == "DONE"
            assert made.context["number"] == number + 3

        return await asyncio.to_thread(in_threads, one, seconds, flying)

    async def macrostep(self, seconds: float, flying: int) -> dict[str, Any]:
        def one(number: int) -> None:
            made = self._runner().create("through", {"number": number})
            assert made.status == "DONE"
            assert made.context["number"] == number + 3

        return await asyncio.to_thread(in_threads, one, seconds, flying)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        return await asyncio.to_thread(self._latency, samples, pause)

    def _latency(self, samples: int, pause: float) -> dict[str, Any]:
        took: list[float] = []
        runner = self._runner()
        for number in range(samples):
            time.sleep(pause)
            begun = time.perf_counter()
            made = runner.create("one", {"number": number})
            made = runner.process(made.id, Event(kind="Go"))
            took.append(elapsed_ms(begun))
            assert made.context["number"] == number + 1
        return {"ms": took}

    async def park(self, count: int) -> dict[str, Any]:
        first = len(self.parked)
        self.parked += [""] * count

        def one(number: int) -> None:
            self.parked[number] = self._runner().create("one", {"number": number}).id

        return await asyncio.to_thread(each_in_threads, one, range(first, first + count), _PARKING)

    async def wake(self) -> dict[str, Any]:
        self._work()
        begun = time.perf_counter()

        async def tell(number: int) -> None:
            await self.runner.send(self.parked[number], Event(kind="Go"))

        await each_in_tasks(tell, range(len(self.parked)), _POOL)
        for number, run in enumerate(self.parked):
            assert (await self._ended(run)).context["number"] == number + 1
        return {"runs": len(self.parked), "seconds": time.perf_counter() - begun, "p50": 0.0, "p99": 0.0}

    async def _ended(self, run: str) -> Any:
        while (made := await self.store.load(run)).status != "DONE":  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.02)
        return made

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what != "idle":
            raise NotImplementedError
        self._work()
        return {}

    def _work(self) -> None:
        if self.worker is None:
            self.worker = asyncio.create_task(self.runner.worker().run(self.stop))

    async def close(self) -> None:
        self.stop.set()
        if self.worker is not None:
            await self.worker
        for connection in self.connections:
            connection.close()
        await self.store.close()
        await self.transport.close()


if __name__ == "__main__":
    serve(Harel())
