"""Other ways to a server than plain TCP: a socket in the file system, and TLS.

The servers that come with the tests are built without TLS, so a relay of the test's own ends it before one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from continuum_core.errors import JournalUnavailable
from continuum_core.testing.conformance.given import signal
from continuum_core.testing.conformance.kit import row, waiting
from continuum_core.testing.redis_server import Redis
from continuum_redis.wakeups import Wakeups
from tests.redis.handles import opened

LONG = 30.0


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    """Verbs, several tags and hints, by `unix://`."""
    path = tmp_path / "redis.sock"
    with Redis(unixsocket=str(path)):
        url = f"unix://{path}?tags=2"
        async with opened(url, "shop") as journal, opened(url, "shop") as other:
            run_id = await waiting(journal)
            await _is_woken(journal._opened().store.wakeups)
            waiter = asyncio.create_task(journal.wait(LONG))
            await asyncio.sleep(0)
            await other.deliver([signal(run_id)])
            await waiter
            assert (await row(other, run_id)).version == 1


async def _is_woken(wakeups: Wakeups) -> None:
    """Return when the listener listens, which wakes whoever waits."""
    await wakeups.wait(LONG)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that vouches for itself, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl, which makes a certificate, is not installed")
    made = tmp_path / "server.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(made), "-out", str(tmp_path / "alone.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with made.open("ab") as whole:
        whole.write((tmp_path / "alone.pem").read_bytes())
    return made


@contextlib.asynccontextmanager
async def encrypted(certificate: Path, url: str) -> AsyncIterator[int]:
    """The port of a relay that speaks TLS and passes on what it hears to the server."""
    inside = urlsplit(url)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while told := await reader.read(65_536):
                writer.write(told)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(inside.hostname, inside.port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    relay = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield relay.sockets[0].getsockname()[1]
    finally:
        relay.close()


async def test_tls(certificate: Path, redis_url: str, namespace: str) -> None:
    """By `rediss://`, with the certificate checked: one that nobody vouches for is refused."""
    async with encrypted(certificate, redis_url) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        async with opened(f"{url}?ssl_ca_certs={certificate}", namespace) as journal:
            run_id = await waiting(journal)
            await _is_woken(journal._opened().store.wakeups)
        async with opened(redis_url, namespace) as plain:
            assert (await row(plain, run_id)).version == 1
        with pytest.raises(JournalUnavailable, match=r"(?i)certificate"):
            async with opened(url, namespace):
                pass
