"""A proxy that pools connections by transaction, for tests: what pgbouncer does, as a journal sees it.

It speaks the server's protocol, version 3 without encryption. A client has a server's connection from its
first message until the server is ready for the next one outside a transaction; then the next client that
asks gets it. So nothing that is set for a session sticks, prepared statements belong to strangers, and
notifications that arrive between transactions go to nobody. Settings at startup are refused. Told to, it
keeps the prepared statements of its clients apart: each is prepared anew where its client has not been yet.

Source: PostgreSQL's documentation, "Frontend/Backend Protocol", message formats.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from attrs import define, field, frozen

__all__ = ["PoolingProxy", "pooling"]

_STARTUP, _CANCEL, _TLS, _GSS = 3 << 16, 80877102, 80877103, 80877104
_ENDS = b"SQF"  # messages that the server answers with ReadyForQuery: Sync, Query, FunctionCall


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(kind, body) of the next message."""
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


@frozen
class _Parse:
    """A statement on its way to be prepared.

    :ivar ours: the client knows nothing of it, and is not to be answered.
    """

    name: bytes
    ours: bool


@define(eq=False)
class _Server:
    """One connection to the server, and the client that has it now."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    statuses: list[bytes]
    key: bytes
    client: _Client | None = None
    prepared: set[bytes] = field(factory=set[bytes])
    parses: deque[_Parse | None] = field(factory=deque["_Parse | None"])  # under way; None: a round ends


@define(eq=False)
class _Client:
    """One client.

    :ivar awaited: answers of the server that end a round (ReadyForQuery) still to come.
    :ivar unended: messages were sent since the last one that asks for such an answer.
    """

    writer: asyncio.StreamWriter
    key: bytes
    server: _Server | None = None
    statements: dict[bytes, bytes] = field(factory=dict[bytes, bytes])
    awaited: int = 0
    unended: bool = False


class PoolingProxy:
    """The proxy of one database.

    :param size: connections to the server, at most.
    :param turns: the connection that rested longest is taken next, so that no client meets its own again;
        otherwise the one used last is, as pgbouncer does.
    :param tolerant: settings at startup are dropped in silence (``ignore_startup_parameters``).
    :param keeps: prepared statements are kept for each client (``max_prepared_statements``).
    :ivar handed: how often a server's connection was handed to a client other than the one before.
    :ivar cancelled: requests to cancel that were passed on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        size: int = 4,
        turns: bool = True,
        tolerant: bool = False,
        keeps: bool = False,
    ) -> None:
        self.handed = 0
        self.cancelled = 0
        self._target = host, port
        self._size, self._turns, self._tolerant, self._keeps = size, turns, tolerant, keeps
        self._idle: list[_Server] = []
        self._servers: set[_Server] = set()
        self._clients: dict[bytes, _Client] = {}
        self._last: dict[_Server, _Client] = {}
        self._freed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in [end.writer for end in self._servers] + [end.writer for end in self._clients.values()]:
            writer.close()

    # --- clients

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, from its first byte to its last."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = _Client(writer, secrets.token_bytes(8))
        try:
            parameters = await self._begin(reader, writer)
            if parameters is not None:
                await self._welcome(client, parameters)
                await self._pass_on(reader, client, parameters)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # close() ends it
        finally:
            self._clients.pop(client.key, None)
            if client.server is not None:  # it left in the middle of something
                await self._discard(client.server)
            writer.close()
            self._tasks.discard(task)

    async def _begin(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[bytes, bytes] | None:
        """What the client says of itself; None for one that only came to cancel, or is refused."""
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            body = await reader.readexactly(length - 8)
            if code in (_TLS, _GSS):
                writer.write(b"N")
            elif code == _CANCEL:
                await self._cancel(body)
                return None
            else:
                break
        words = body.split(b"\0")
        parameters = dict(zip(words[::2], words[1::2], strict=False))
        parameters.pop(b"", None)
        if parameters.pop(b"options", b"") and not self._tolerant:
            said = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            writer.write(_message(b"E", said))
            await writer.drain()
            return None
        return parameters

    async def _welcome(self, client: _Client, parameters: dict[bytes, bytes]) -> None:
        server = await self._take(client, parameters)
        self._give_back(server)
        self._clients[client.key] = client
        client.writer.write(_message(b"R", struct.pack("!i", 0)) + b"".join(server.statuses))
        client.writer.write(_message(b"K", client.key) + _message(b"Z", b"I"))

    async def _pass_on(
        self, reader: asyncio.StreamReader, client: _Client, parameters: dict[bytes, bytes]
    ) -> None:
        while True:
            kind, body = await _read(reader)
            if kind == b"X":
                return
            if kind == b"H":  # Flush: nothing to answer; psycopg sends one behind each Sync of a pipeline
                if client.server is not None:
                    client.server.writer.write(_message(kind, body))
                continue
            server = client.server or await self._take(client, parameters)
            client.unended = kind not in _ENDS
            client.awaited += kind in _ENDS
            server.writer.write(
                self._kept(client, server, kind, body) if self._keeps else _message(kind, body)
            )
            await server.writer.drain()

    def _kept(self, client: _Client, server: _Server, kind: bytes, body: bytes) -> bytes:
        """The message as this server is to have it, where statements have the names of their clients."""
        if kind in _ENDS:
            server.parses.append(None)
            return _message(kind, body)
        before = 0 if kind == b"P" else body.index(b"\0") + 1 if kind == b"B" else 1
        name, rest = body[before:].split(b"\0", 1)
        named = kind in b"PB" or (kind in b"DC" and body[:1] == b"S")
        if not named or not name:
            if kind == b"P":
                server.parses.append(_Parse(b"", ours=False))
            return _message(kind, body)
        full = client.key.hex().encode() + name
        sent = _message(kind, body[:before] + full + b"\0" + rest)
        if kind == b"P":
            client.statements[name] = rest
            server.parses.append(_Parse(full, ours=False))
            server.prepared.add(full)
        elif full not in server.prepared and name in client.statements:
            server.parses.append(_Parse(full, ours=True))
            server.prepared.add(full)
            sent = _message(b"P", full + b"\0" + client.statements[name]) + sent
        return sent

    def _is_ours(self, server: _Server, kind: bytes) -> bool:
        """Whether what the server says answers what only we have sent."""
        if kind == b"1":
            parse = server.parses.popleft()
            return parse is not None and parse.ours
        if kind == b"Z":
            while (left := server.parses.popleft()) is not None:  # passed over after an error
                server.prepared.discard(left.name)
        return False

    async def _cancel(self, key: bytes) -> None:
        client = self._clients.get(key)
        if client is not None and client.server is not None:
            self.cancelled += 1
            _, writer = await asyncio.open_connection(*self._target)
            writer.write(struct.pack("!ii", 16, _CANCEL) + client.server.key)
            await writer.drain()
            writer.close()

    # --- servers

    async def _take(self, client: _Client, parameters: dict[bytes, bytes]) -> _Server:
        async with self._freed:
            while not self._idle and len(self._servers) >= self._size:
                await self._freed.wait()
            if self._idle:
                server = self._idle.pop(0 if self._turns else -1)
            else:
                server = await self._connect(parameters)
        if self._last.get(server) not in (None, client):
            self.handed += 1
        self._last[server] = client
        server.client, client.server = client, server
        return server

    def _give_back(self, server: _Server) -> None:
        if server.client is not None:
            server.client.server = None
        server.client = None
        self._idle.append(server)
        self._spawn_notice()

    def _spawn_notice(self) -> None:
        async def tell() -> None:
            async with self._freed:
                self._freed.notify()

        self._spawn(asyncio.create_task(tell()))

    def _spawn(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, parameters: dict[bytes, bytes]) -> _Server:
        reader, writer = await asyncio.open_connection(*self._target)
        said = b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items()) + b"\0"
        writer.write(struct.pack("!ii", len(said) + 8, _STARTUP) + said)
        statuses: list[bytes] = []
        key = b""
        while True:
            kind, body = await _read(reader)
            if kind == b"S":
                statuses.append(_message(kind, body))
            elif kind == b"K":
                key = body
            elif kind == b"E":
                raise ConnectionError(body.decode(errors="replace"))
            elif kind == b"Z":
                break
        server = _Server(reader, writer, statuses, key)
        self._servers.add(server)
        self._spawn(asyncio.create_task(self._answer(server)))
        return server

    async def _answer(self, server: _Server) -> None:
        """What the server says goes to whoever has it now; said to nobody, it is lost."""
        try:
            while True:
                kind, body = await _read(server.reader)
                client = server.client
                if client is None or (self._keeps and self._is_ours(server, kind)):
                    continue
                client.writer.write(_message(kind, body))
                if kind == b"Z":
                    client.awaited -= 1
                    if body == b"I" and not client.awaited and not client.unended:
                        self._give_back(server)
                await client.writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            client = server.client
            await self._discard(server)
            if client is not None:
                client.writer.close()

    async def _discard(self, server: _Server) -> None:
        if server.client is not None:
            server.client.server = None
            server.client = None
        self._servers.discard(server)
        self._last.pop(server, None)
        with contextlib.suppress(ValueError):
            self._idle.remove(server)
        server.writer.close()
        async with self._freed:
            self._freed.notify()


@asynccontextmanager
async def pooling(
    url: str, *, size: int = 4, turns: bool = True, tolerant: bool = False, keeps: bool = False
) -> AsyncIterator[tuple[str, PoolingProxy]]:
    """The URL of the same database through a proxy, and the proxy. See `PoolingProxy`."""
    parts = urlsplit(url)
    proxy = PoolingProxy(
        parts.hostname or "127.0.0.1",
        parts.port or 5432,
        size=size,
        turns=turns,
        tolerant=tolerant,
        keeps=keeps,
    )
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}")), proxy
    finally:
        listening.close()
        await proxy.close()
