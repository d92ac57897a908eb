"""Roles of a test's own on a real server, gone with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

__all__ = ["as_role", "role"]


@contextmanager
def role(url: str, more: str = "") -> Iterator[str]:
    """The name of a role that may connect; what it owns and was granted in this database goes with it."""
    name, url = f"role_{uuid4().hex[:12]}", url.partition("?")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN {more}".encode())
    try:
        yield name
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {name} CASCADE".encode())
            connection.execute(f"DROP ROLE {name}".encode())


def as_role(url: str, name: str, password: str = "") -> str:
    """The same URL for another role."""
    parts = urlsplit(url)
    secret = f":{password}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{name}{secret}@{parts.hostname}:{parts.port}"))
