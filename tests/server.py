"""A real PostgreSQL for tests: one server for all workers of a session, one database for each worker.

`CONTINUUM_TEST_POSTGRES` names a server; without it a private one is started, and its being nowhere to be
had is a failure.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from continuum_core.testing.servers import Postgres

__all__ = ["database", "server"]

NAMED = "CONTINUUM_TEST_POSTGRES"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of a server. The first who asks in `folder` starts it, and ends it when the last has left."""
    named = os.environ.get(NAMED)
    if named:
        yield named
        return
    state = folder / "postgres.json"
    mine: Postgres | None = None
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if state.exists():
            known = json.loads(state.read_text())
        else:
            mine = Postgres()
            mine.start()
            known = {"url": mine.url(), "users": 0}
        known["users"] += 1
        state.write_text(json.dumps(known))
    try:
        yield known["url"]
    finally:
        with (folder / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            left = json.loads(state.read_text())
            left["users"] -= 1
            state.write_text(json.dumps(left))
        if mine is not None:
            _wait_until_unused(folder, state)
            mine.crash()  # its files go with it: no farewell, no checkpoint
            mine.stop()


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


@contextmanager
def database(url: str) -> Iterator[str]:
    """The URL of a new database on a server; dropped afterwards where the server is not a private one."""
    name = f"continuum_test_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        if NAMED in os.environ:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
