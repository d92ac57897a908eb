"""LangGraph with its PostgreSQL saver, `durability="sync"`: a step's checkpoint is written before the next.

Best mode: synchronous `invoke` in threads over a connection pool of the same size. It has no worker: whoever
calls `invoke` runs the graph, and a run that nobody calls again stays where it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from benchmarks.load import in_threads
from benchmarks.wire import Contender, elapsed_ms, serve, versions

_THREADS = 16


class State(TypedDict):
    number: int


def noop(state: State) -> State:
    return {"number": state["number"] + 1}


def chain(saver: Any, names: list[str]) -> Any:
    """A graph of nodes one after the other."""
    graph = StateGraph(State)
    for name in names:
        graph.add_node(name, noop)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile(checkpointer=saver)


class LangGraph(Contender):
    def _pool(self, url: str) -> Any:
        wanted = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}  # as its manual says
        return ConnectionPool(url, min_size=_THREADS, max_size=_THREADS, kwargs=wanted, open=True)

    async def prepare(self, url: str) -> None:
        with self._pool(url) as pool:
            PostgresSaver(pool).setup()

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.pool = self._pool(url)
        self.pool.wait()
        saver = PostgresSaver(self.pool)
        self.three = chain(saver, ["one", "two", "three"])
        self.one = chain(saver, ["one"])
        self.run = 0
        return {"versions": versions("langgraph", "langgraph-checkpoint-postgres", "psycopg")}

    def _invoke(self, graph: Any, asked: Any, thread: str) -> Any:
        return graph.invoke(asked, {"configurable": {"thread_id": thread}}, durability="sync")

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        self.run += 1

        def one(number: int) -> None:
            ended = self._invoke(self.three, {"number": number}, f"{self.run}-{number}")
            assert ended["number"] == number + 3

        return await asyncio.to_thread(in_threads, one, seconds, flying)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        return await asyncio.to_thread(self._latency, samples, pause)

    def _latency(self, samples: int, pause: float) -> dict[str, Any]:
        self.run += 1
        took: list[float] = []
        for number in range(samples):
            time.sleep(pause)
            begun = time.perf_counter()
            assert self._invoke(self.one, {"number": number}, f"l{self.run}-{number}")["number"] == number + 1
            took.append(elapsed_ms(begun))
        return {"ms": took}

    async def close(self) -> None:
        self.pool.close()


if __name__ == "__main__":
    serve(LangGraph())
