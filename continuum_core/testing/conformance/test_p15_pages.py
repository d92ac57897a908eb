"""Promise 15: keyset pages: a row present throughout appears exactly once, under concurrent writes."""

from __future__ import annotations

from uuid import UUID

import pytest

from continuum_core.errors import PayloadRefused
from continuum_core.journal.commit import OrderKind, PrunePlan, Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Run, RunStatus
from continuum_core.testing.conformance.given import new_id, new_run
from continuum_core.testing.conformance.kit import Kit, ordered, passed, started


async def _everything(journal: Journal, query: Query, limit: int) -> list[Run]:
    runs: list[Run] = []
    cursor: str | None = None
    while True:
        page = await journal.list(query, limit, cursor)
        assert len(page.runs) <= limit
        runs += page.runs
        cursor = page.cursor
        if cursor is None:
            return runs


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
async def test_pages_cover_everything_once(kit: Kit, limit: int) -> None:
    """Promise 15: newest first by (created, run id), whatever the size of the page."""
    journal = await kit.open()
    await journal.start([new_run() for _ in range(4)])
    ids = [await started(journal) for _ in range(4)]
    runs = await _everything(journal, Query(), limit)
    assert len(runs) == 8
    order = [(run.created, run.run_id.int) for run in runs]
    assert order == sorted(order, reverse=True)
    assert [run.run_id for run in runs[:4]] == ids[::-1]


async def test_pages_under_writes(kit: Kit) -> None:
    """Promise 15: rows that stay appear exactly once while others come, end and are pruned."""
    journal, writer = await kit.open(), await kit.open()
    stay: set[UUID] = set()
    go: list[UUID] = []
    for number in range(20):
        run_id = await started(writer)
        if number % 3:
            stay.add(run_id)
        else:
            go.append(run_id)
    found: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await journal.list(Query(), 3, cursor)
        found += [run.run_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
        await started(writer)
        if go:
            await ordered(writer, OrderKind.TERMINATE, go.pop(), outcome=b"")
            await passed(writer, await writer.now())
            await writer.prune(PrunePlan(before=await writer.now(), limit=10))
    assert len(found) == len(set(found))
    assert stay <= set(found)


async def test_all_fields_of_a_query_must_match(kit: Kit) -> None:
    """Promise 15: machine, status, parent and the time of creation (from, and before to)."""
    journal = await kit.open()
    parent = new_id()
    one = await started(journal, machine="m1", parent=parent)
    await passed(journal, await journal.now())
    two = await started(journal, machine="m1")
    await passed(journal, await journal.now())
    three = await started(journal, machine="m2", parent=parent)
    await ordered(journal, OrderKind.SUSPEND, two)
    rows = {run.run_id: run for run in (await journal.list(Query())).runs}
    created = rows[two].created

    async def ids(**fields: object) -> list[UUID]:
        return [run.run_id for run in (await journal.list(Query(**fields))).runs]  # type: ignore[arg-type]

    assert await ids(machine="m1") == [two, one]
    assert await ids(status=RunStatus.SUSPENDED) == [two]
    assert await ids(status=RunStatus.RUNNING) == [three, one]
    assert await ids(parent=parent) == [three, one]
    assert await ids(parent=parent, machine="m1") == [one]
    assert await ids(created_from=created) == [three, two]
    assert await ids(created_to=created) == [one]
    assert await ids(created_from=created, created_to=created + 1) == [two]
    assert await ids(machine="m3") == []


async def test_a_foreign_cursor_is_refused(kit: Kit) -> None:
    """Promise 15: a cursor is good for the query and the namespace that gave it, and for nothing else."""
    journal, other = await kit.open(), await kit.open(f"{kit.namespace}-other")
    for _ in range(3):
        await started(journal)
        await started(other)
    page = await journal.list(Query(), 1)
    assert page.cursor is not None
    again = await journal.list(Query(), 1, page.cursor)
    assert again == await journal.list(Query(), 1, page.cursor)
    forged = ["", "x", "1.2.3", page.cursor + "0", page.cursor[:-1], "é\n", "." * 5]
    for cursor in forged:
        with pytest.raises(PayloadRefused):
            await journal.list(Query(), 1, cursor)
    with pytest.raises(PayloadRefused):
        await journal.list(Query(machine="kit"), 1, page.cursor)
    with pytest.raises(PayloadRefused):
        await other.list(Query(), 1, page.cursor)
