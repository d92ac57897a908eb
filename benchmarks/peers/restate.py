"""Restate: a server of its own, with its own replicated log on disk, which calls handlers over HTTP/2.

The server is started here, one node, its files in a temporary folder, all else default. The handlers are
served by hypercorn in this process, and the load comes from here as well, over plain HTTP/1.1 connections
kept open. PostgreSQL has no part in it: there is no WAL to compare.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import restate
from hypercorn.asyncio import serve as serve_http
from hypercorn.config import Config

from benchmarks.load import each_in_tasks, in_tasks
from benchmarks.wire import Contender, elapsed_ms, serve, versions

_READY = 60.0  # seconds
_PARKING = 100

steps = restate.Service("steps")
one = restate.Service("one")
waits = restate.Workflow("waits")


async def noop(number: int) -> int:
    return number + 1


@steps.handler("run")
async def run_steps(ctx: restate.Context, number: int) -> int:
    for name in ("one", "two", "three"):
        number = await ctx.run_typed(name, noop, restate.RunOptions(), number)
    return number


@one.handler("run")
async def run_one(ctx: restate.Context, number: int) -> int:
    return await ctx.run_typed("one", noop, restate.RunOptions(), number)


@waits.main("run")
async def run_waits(ctx: restate.WorkflowContext, number: int) -> int:
    told: int = await ctx.promise("go", type_hint=int).value()
    return told


@waits.handler("go")
async def go(ctx: restate.WorkflowSharedContext, number: int) -> None:
    await ctx.promise("go", type_hint=int).resolve(number)


class Http:
    """Connections kept open, one for each caller at a time: as little client as can be."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a 2xx answer. Raises RuntimeError for any other."""
        pair = self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = pair
        payload = b"" if body is None else json.dumps(body).encode()
        kind = b"" if body is None else b"content-type: application/json\r\n"
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(payload)}\r\n".encode()
        writer.write(head + kind + b"\r\n" + payload)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            answer = await self._chunks(reader)
        else:
            answer = await reader.readexactly(int(headers.get("content-length", "0")))
        self.free.append(pair)
        if status.split()[1][0] != "2":
            raise RuntimeError(f"{method} {path}: {status}: {answer.decode()}")
        return json.loads(answer) if answer else None

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        found = b""
        while size := int(await reader.readline(), 16):
            found += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return found

    def close(self) -> None:
        for _, writer in self.free:
            writer.close()


class Restate(Contender):
    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.folder = tempfile.TemporaryDirectory(prefix="bench-restate-")
        ports = [_free_port() for _ in range(4)]
        ingress, admin, node, handlers = ports
        binary = Path(sys.executable).parents[1] / "node_modules" / ".bin" / "restate-server"
        addresses = {
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_NODE_NAME": "bench",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
        }
        self.server = self._start([str(binary), "--base-dir", self.folder.name, "--no-logo"], addresses)
        self.parked = 0
        self.down = asyncio.Event()
        self.http = asyncio.create_task(self._serve(handlers))
        self.ingress = Http(ingress)
        await self._registered(Http(admin), handlers)
        return {"versions": {**versions("restate-sdk", "hypercorn")}, "server": self.server.pid}

    def _start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        wanted = {**os.environ, **variables}
        return subprocess.Popen(command, env=wanted, stdout=sys.stderr, stderr=sys.stderr)

    async def _serve(self, port: int) -> None:
        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        config.h2_max_concurrent_streams = 2147483647  # as its manual's configuration for production
        config.keep_alive_max_requests = 2147483647
        config.keep_alive_timeout = 2147483647
        application: Any = restate.app([steps, one, waits])
        await serve_http(application, config, shutdown_trigger=self.down.wait)

    async def _registered(self, admin: Http, handlers: int) -> None:
        until = time.monotonic() + _READY
        while True:
            try:
                await admin.ask("POST", "/deployments", {"uri": f"http://127.0.0.1:{handlers}"})
                await self.ingress.ask("POST", "/one/run", 1)
                break
            except (OSError, EOFError, RuntimeError):
                if time.monotonic() > until or self.server.poll() is not None:
                    raise
                await asyncio.sleep(0.2)
        admin.close()

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        async def run(number: int) -> None:
            assert await self.ingress.ask("POST", "/steps/run", number) == number + 3

        return await in_tasks(run, seconds, flying)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        took: list[float] = []
        for number in range(samples):
            await asyncio.sleep(pause)
            begun = time.perf_counter()
            assert await self.ingress.ask("POST", "/one/run", number) == number + 1
            took.append(elapsed_ms(begun))
        return {"ms": took}

    async def park(self, count: int) -> dict[str, Any]:
        first = self.parked
        self.parked += count

        async def start(number: int) -> None:
            await self.ingress.ask("POST", f"/waits/w{number}/run/send", number)

        return await each_in_tasks(start, range(first, first + count), _PARKING)

    async def wake(self) -> dict[str, Any]:
        async def tell(number: int) -> None:
            await self.ingress.ask("POST", f"/waits/w{number}/go", number)
            assert await self.ingress.ask("GET", f"/restate/workflow/waits/w{number}/attach") == number

        return await each_in_tasks(tell, range(self.parked), _PARKING)

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if what != "idle":
            raise NotImplementedError
        return {}

    async def close(self) -> None:
        self.ingress.close()
        self.server.terminate()
        try:
            await asyncio.to_thread(self.server.wait, 10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.down.set()
        await asyncio.wait([self.http], timeout=5)
        self.folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    serve(Restate())
