"""A real PostgreSQL for these tests: one server a session, one database a worker, namespaces a test."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from continuum_core.testing.servers import Postgres


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The same for all workers of one session."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server. The first worker that asks starts it; the last that leaves ends it."""
    named = os.environ.get("CONTINUUM_TEST_POSTGRES")
    if named:
        yield named
        return
    folder = _shared_folder(tmp_path_factory)
    state = folder / "postgres.json"
    server: Postgres | None = None
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if state.exists():
            known = json.loads(state.read_text())
        else:
            server = Postgres()
            server.start()
            known = {"url": server.url(), "users": 0}
        known["users"] += 1
        state.write_text(json.dumps(known))
    yield known["url"]
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = json.loads(state.read_text())
        left["users"] -= 1
        state.write_text(json.dumps(left))
    if server is not None:
        _wait_until_unused(folder, state)
        server.stop()


def _wait_until_unused(folder: Path, state: Path) -> None:
    """Other workers may still use the server that this one started."""

    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with (folder / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if json.loads(state.read_text())["users"] <= 0:
                state.unlink()
                return
        time.sleep(0.1)


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of a database of this worker's own."""
    name = f"continuum_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    parts = urlsplit(postgres_server)
    yield urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The URL of a journal; a test takes namespaces of its own in it."""
    return postgres_database


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
def empty_url(postgres_database: str) -> Iterator[str]:
    """The URL of a schema that nobody opened before."""
    schema = f"fresh_{uuid4().hex[:12]}"
    yield f"{postgres_database}?schema={schema}"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
