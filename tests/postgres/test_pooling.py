"""Behind a proxy that pools by transaction: it is noticed, and with `pgbouncer=yes` everything works."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from continuum_core import Client, Worker
from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.kit import started
from continuum_core.testing.private_server import free_port
from continuum_postgres import wakeups
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from tests.postgres.handles import opened, soon
from tests.postgres.machines import Steps
from tests.postgres.pooling import PoolingProxy, pooling


def _with(url: str, **options: str) -> str:
    listed = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{url}{'&' if urlsplit(url).query else '?'}{listed}"


async def _opening(url: str, namespace: str) -> PostgresJournal:
    journal = PostgresJournal(parse(url), namespace, Limits())
    try:
        await journal.open()
    finally:
        await journal.close()
    return journal


# --- noticed


async def test_a_proxy_that_refuses_settings_is_named(postgres_url: str, namespace: str) -> None:
    async with pooling(postgres_url) as (through, _):
        with pytest.raises(IncompatibleJournal, match=r"pooling proxy.*\?pgbouncer=yes"):
            await _opening(through, namespace)


@pytest.mark.parametrize("turns", [True, False])
async def test_a_proxy_that_mixes_sessions_up_is_refused(
    postgres_url: str, namespace: str, turns: bool
) -> None:
    """It drops the settings in silence; then two of our connections meet in one process of the server."""
    async with pooling(postgres_url, turns=turns, tolerant=True) as (through, _):
        with pytest.raises(IncompatibleJournal, match=r"pools by transaction.*\?pgbouncer=yes.*listen="):
            await _opening(through, namespace)


async def test_a_proxy_with_sessions_is_told_of(
    postgres_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose clients keep their connections may be all right: a warning, and on we go."""
    async with pooling(postgres_url, size=50, tolerant=True) as (through, proxy):
        proxy._give_back = lambda server: None  # type: ignore[method-assign]  # it pools by session
        await _opening(through, namespace)
    assert "a proxy is in between" in caplog.text


async def test_a_server_itself_is_not_taken_for_a_proxy(
    postgres_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _opening(postgres_url, namespace)
    assert "proxy" not in caplog.text


async def test_listening_through_it_is_given_up(
    postgres_url: str, namespace: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`listen=` that leads through the proxy as well: no hint arrives, which is said once."""
    monkeypatch.setattr(wakeups, "_HEARD", 0.2)
    async with pooling(postgres_url, tolerant=True) as (through, _):
        url = _with(through, pgbouncer="yes", listen=through)
        async with opened(url, namespace) as journal:
            await soon(journal.wait(20))  # what was missed before it listened
            store = journal._store
            assert store is not None
            assert store.wakeups._listener is not None
            await soon(asyncio.wait([store.wakeups._listener]))
            assert store.wakeups.lost == 0
    assert caplog.text.count("none arrives") == 1
    assert "?listen=URL" in caplog.text


async def test_listening_past_it_hears(postgres_url: str, namespace: str) -> None:
    async with pooling(postgres_url) as (through, _):
        url = _with(through, pgbouncer="yes", listen=postgres_url)
        async with opened(url, namespace) as waiter, opened(url, namespace) as writer:
            await soon(waiter.wait(20))
            await soon(waiter.wait(0))
            pending = asyncio.create_task(waiter.wait(60))
            await started(writer)
            await soon(pending)


# --- statements that the proxy keeps


@pytest.mark.parametrize("turns", [True, False])
async def test_a_proxy_that_mixes_statements_up_is_refused(
    postgres_url: str, namespace: str, turns: bool
) -> None:
    async with pooling(postgres_url, turns=turns) as (through, _):
        with pytest.raises(IncompatibleJournal, match=r"mixes up.*max_prepared_statements.*\?pgbouncer=yes"):
            await _opening(_with(through, pgbouncer="prepared"), namespace)
        await _opening(_with(through, pgbouncer="yes"), namespace)


async def test_what_a_proxy_keeps_is_prepared(postgres_url: str, namespace: str) -> None:
    """On whichever server a run's statements meet, and by our own names: the driver prepares nothing."""
    async with (
        pooling(postgres_url, keeps=True) as (through, proxy),
        opened(_with(through, pgbouncer="prepared"), namespace) as one,
        opened(_with(through, pgbouncer="prepared"), namespace) as two,
    ):
        for journal in (one, two) * 4:
            await started(journal)
            await journal.now()
        names = {name[16:] for server in proxy._servers for name in server.prepared}  # the client's key first
        assert len(names) > 2
        assert all(name.startswith(b"continuum_") for name in names)
        assert proxy.handed > 4


# --- works


async def test_nothing_is_prepared(postgres_url: str, namespace: str) -> None:
    async with opened(_with(postgres_url, pgbouncer="yes"), namespace) as journal:
        await journal.now()
        store = journal._store
        assert store is not None
        connection = await store.reading.session.ready()
        cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
        assert await cursor.fetchone() == (0,)


async def _load(url: str, runs: int) -> None:
    """Two workers, a client, and runs of three steps from all of them."""
    async with (
        Worker(url, [Steps], poll=0.2) as one,
        Worker(url, [Steps], poll=0.2) as two,
        Client(url, [Steps], poll=0.2) as client,
    ):
        starts = [one.client.start, two.client.start, client.start]
        handles = await asyncio.gather(*(starts[n % 3](Steps, n) for n in range(runs)))
        results = await soon(asyncio.gather(*(handle.result(20) for handle in handles)))
    assert results == [n + 3 for n in range(runs)]


@pytest.mark.parametrize("says", ["yes", "prepared"])
async def test_workers_under_load(postgres_url: str, empty_url: str, says: str) -> None:
    """Connections change hands all the time, fewer than there are lanes, and every run ends right."""
    schema = parse(empty_url).schema
    async with pooling(postgres_url, size=3, keeps=says == "prepared") as (through, proxy):
        await _load(_with(through, pgbouncer=says, schema=schema), 90)
        assert proxy.handed > 100


async def test_a_request_to_cancel_reaches_the_server(postgres_url: str) -> None:
    async with pooling(postgres_url, tolerant=True) as (through, proxy):
        async with await psycopg.AsyncConnection.connect(through, autocommit=True) as connection:
            sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
            while not _busy(proxy):
                await asyncio.sleep(0.005)
            await connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                await soon(sleeping)
        assert proxy.cancelled == 1


def _busy(proxy: PoolingProxy) -> bool:
    return any(client.server is not None for client in proxy._clients.values())


# --- a real pgbouncer, where there is one


def _program() -> str:
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    return program


def _version() -> tuple[int, int]:
    told = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    assert found is not None, told
    return int(found[1]), int(found[2])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not the test's own, which nobody but the one who runs the tests may enter."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@contextmanager
def _settled(url: str, folder: Path) -> Iterator[tuple[str, Callable[[], subprocess.Popen[bytes]]]]:
    """The URL of the same database through a pgbouncer, and what starts its process."""
    program = _program()
    parts, port = urlsplit(url), free_port()
    (folder / "users").write_text(f'"{parts.username}" ""\n')
    settings = folder / "pgbouncer.ini"
    keeping = "max_prepared_statements = 100\n" if _version() >= (1, 21) else ""
    settings.write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\n"
        f"pool_mode = transaction\ndefault_pool_size = 3\nlogfile = {folder}/log\n{keeping}"
    )
    user = None
    if os.geteuid() == 0:  # it does not run as root
        user = "nobody"
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    begun: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([program, str(settings)], user=user, stderr=subprocess.DEVNULL))
        return begun[-1]

    try:
        yield urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}")), start
    finally:
        for process in begun:
            process.kill()
            process.wait()


async def _answers(url: str, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "pgbouncer ended"
        try:
            async with await psycopg.AsyncConnection.connect(url):
                return
        except psycopg.OperationalError:
            await asyncio.sleep(0.02)


async def test_pgbouncer_itself(postgres_url: str, empty_url: str, namespace: str, folder: Path) -> None:
    schema = parse(empty_url).schema
    with _settled(postgres_url, folder) as (through, start):
        await soon(_answers(through, start()))
        with pytest.raises(IncompatibleJournal, match=r"\?pgbouncer=yes"):
            await _opening(through, namespace)
        await _load(_with(through, pgbouncer="yes", schema=schema), 60)
        prepared = _with(through, pgbouncer="prepared", schema=schema)
        if _version() >= (1, 21):
            await _load(prepared, 60)
        else:
            with pytest.raises(IncompatibleJournal, match="max_prepared_statements"):
                await _opening(prepared, namespace)


async def test_pgbouncer_is_killed_and_comes_back(
    postgres_url: str, empty_url: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Under load, twice: what is under way waits, and every run ends right."""
    schema = parse(empty_url).schema
    with _settled(postgres_url, folder) as (through, start):
        process = start()
        await soon(_answers(through, process))
        url = _with(through, pgbouncer="yes", listen=postgres_url, schema=schema)
        async with Worker(url, [Steps], poll=0.2) as worker:
            under_way: list[asyncio.Task[int]] = []
            for _ in range(2):
                under_way += [asyncio.create_task(_result(worker, n)) for n in range(300)]
                while sum(task.done() for task in under_way) < len(under_way) - 290:
                    await asyncio.sleep(0)
                process.kill()
                process.wait()
                assert not all(task.done() for task in under_way)
                await asyncio.sleep(0.1)  # tries to connect are refused meanwhile
                process = start()
                await soon(_answers(through, process))
            results = await soon(asyncio.gather(*under_way))
    assert results == [n + 3 for n in range(300)] * 2
    assert "tried again until it answers" in caplog.text


async def _result(worker: Worker, number: int) -> int:
    return await (await worker.client.start(Steps, number)).result()
