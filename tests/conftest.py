"""What all tests share: coroutine tests, and a fresh journal of every backend."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Iterator
from uuid import uuid4
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

from continuum_core.testing.redis_server import Redis
from tests.disc import keep_files_in_memory
from tests.schemas import Schemas
from tests.server import database, server

pytest.register_assert_rewrite("continuum_core.testing.conformance")

from continuum_core.testing.conformance.kit import Kit  # noqa: E402 (after its asserts are rewritten)

keep_files_in_memory()

# No test depends on what else is installed on this machine.
os.environ.setdefault("CONTINUUM_PLUGINS", "")

# Hundreds of processes that tests start, and xdist's workers, would each compile the whole library anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that runs its commands in the background has them ignore interrupts, and so all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine under load is no fault of a test: no example is timed, neither its making nor its run.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


_LONG = 3600.0
"""Seconds that a test marked `long` may take; the others' time is in pyproject.toml."""


_MOST_WORKERS = 16
"""All share one PostgreSQL, which takes 300 connections."""


SERVED = ("sqlite", "postgres", "redis")
TAGGED = (*SERVED, "redis&tags=4")
_SHARED_OUT = {"journal": SERVED, "tagged_journal": TAGGED, "gauged_journal": TAGGED}
"""Journals of tests of the engine, by fixture: each test runs on memory and on one of these by default."""


def _is_for_later(item: pytest.Item) -> bool:
    """Whether a test of the engine is tried on this journal only with the long ones.

    What a journal owes the engine is the port, which the kit proves of all of them, always. So the others are
    shared out: by its name, each test has one of its own, and every module meets all of them.
    """
    call = getattr(item, "callspec", None)
    if call is None or item.get_closest_marker("every_journal") is not None:
        return False
    for fixture, journals in _SHARED_OUT.items():
        if (mine := call.params.get(fixture)) in journals:
            others = [part for part in call.id.split("-") if part != mine]
            name = "-".join([item.nodeid.partition("[")[0], *others])
            return bool(journals[crc32(name.encode()) % len(journals)] != mine)
    return False


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_auto_num_workers() -> int | None:
    """Three for two cores: much of a test's time is spent waiting for a server, a lease, another process."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # then xdist itself asks it
    return min((os.cpu_count() or 1) * 3 // 2, _MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)  # before the long ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep most journals of the engine's tests for later, and give long tests the time that they need."""
    for item in items:
        if _is_for_later(item):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("long") is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LONG))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on an event loop of its own, or on its kit's."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    work = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    kit = pyfuncitem.funcargs.get("kit")
    if isinstance(kit, Kit):  # what the test opens is closed on the same loop
        kit.run(work)
        return True
    with asyncio.Runner() as runner:
        runner.run(work)
    return True


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    with server(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of a database of this worker's own."""
    with database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_schemas(postgres_database: str) -> Schemas:
    """Schemas of this worker's database, to be taken by one test after another."""
    return Schemas(postgres_database)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis of this worker's own, or of the one that `CONTINUUM_TEST_REDIS` names."""
    named = os.environ.get("CONTINUUM_TEST_REDIS")
    if named:
        yield named
        return
    with Redis() as server:
        yield server.url()


def fresh_journal(backend: str, request: pytest.FixtureRequest) -> str:
    """The URL of a journal that nobody opened before; only who asks for a server has it started."""
    if backend == "memory":
        return f"memory://{uuid4().hex}"
    if backend == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/journal.db"
    if backend == "redis":
        return f"{request.getfixturevalue('redis_server')}?prefix=fresh_{uuid4().hex[:12]}"
    schemas: Schemas = request.getfixturevalue("postgres_schemas")
    schema = schemas.take()
    request.addfinalizer(lambda: schemas.give_back(schema))
    return f"{request.getfixturevalue('postgres_database')}?schema={schema}"


@pytest.fixture(params=["memory", *SERVED])
def journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal, of each backend in turn."""
    return fresh_journal(request.param, request)


@pytest.fixture(params=["memory", *TAGGED])
def gauged_journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal that counts what waits in it, of each such backend in turn."""
    backend, mark, option = request.param.partition("&")
    return f"{fresh_journal(backend, request)}{mark}{option}"


@pytest.fixture(params=SERVED)
def shared_journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal that several processes may open, of each such backend in turn."""
    return fresh_journal(request.param, request)
