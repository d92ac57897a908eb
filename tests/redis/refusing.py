"""A server of the protocol that lets clients in, and refuses whatever else they ask with one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["refusing"]

_GREETINGS = (b"CLIENT", b"SELECT")


@asynccontextmanager
async def refusing(sentence: str) -> AsyncIterator[str]:
    """Its URL, while it serves.

    :param sentence: with its code as the first word.
    """

    serving = asyncio.TaskGroup()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            parts = []
            for _ in range(int(head[1:])):
                await reader.readline()
                parts.append((await reader.readline()).strip())
            greeted = parts[0].upper() in _GREETINGS
            writer.write(b"+OK\r\n" if greeted else f"-{sentence}\r\n".encode())
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.create_task(serve(reader, writer))

    async with serving:  # which waits until all clients have left
        server = await asyncio.start_server(accept, "127.0.0.1")
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()
