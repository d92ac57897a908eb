"""A schema that is used again is like a new one: nothing of the test before is in it."""

from __future__ import annotations

import psycopg

from continuum_core.journal.commit import Query
from continuum_core.testing.conformance.given import new_run
from continuum_core.testing.conformance.kit import started
from tests.postgres.handles import opened
from tests.schemas import Schemas


async def test_what_a_test_left_behind_is_gone(postgres_database: str) -> None:
    schemas = Schemas(postgres_database)
    first = schemas.take()
    url = f"{postgres_database}?schema={first}"
    for namespace in ("one", "two"):
        async with opened(url, namespace) as journal:
            await started(journal)
    schemas.give_back(first)
    assert schemas.take() == first
    async with opened(url, "two") as journal:
        assert (await journal.list(Query())).runs == ()
        assert await journal.start([new_run()])


async def test_one_that_is_still_in_use_or_was_changed_is_not_used_again(postgres_database: str) -> None:
    schemas = Schemas(postgres_database)
    busy, changed = schemas.take(), schemas.take()
    for name in (busy, changed):
        async with opened(f"{postgres_database}?schema={name}", "one"):
            pass
    with psycopg.connect(postgres_database) as writing:
        writing.execute(f'DELETE FROM "{busy}".runs'.encode())
        with psycopg.connect(postgres_database, autocommit=True) as other:
            other.execute(f'UPDATE "{changed}".schema SET version = version + 1'.encode())
        for name in (busy, changed):
            schemas.give_back(name)
        assert schemas.take() not in (busy, changed)
