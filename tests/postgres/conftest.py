"""Journals on a real PostgreSQL: one database a worker, namespaces or a schema a test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest


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
