"""Archives: written safely before anything is deleted, read strictly before anything is written."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from continuum_core.carriage.archives import Selection, archive, restore
from continuum_core.carriage.files import DamagedArchive
from continuum_core.errors import PayloadRefused, UsageError
from continuum_core.journal.carrying import Arrival, Departure, carrier_of
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.registry import Registry
from continuum_core.testing.conformance.given import new_id
from tests.carriage.conftest import Fresh
from tests.carriage.crowd import crowd, images, live
from tests.carriage.interrupted import Passing
from tests.cli.shop import Order

EVER = 2**62


@asynccontextmanager
async def _opened(url: str, namespace: str | None = None) -> AsyncIterator[Journal]:
    journal = connect(url, namespace)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@pytest.mark.parametrize("backend", ["memory", "sqlite", "postgres", "redis"])
async def test_what_is_archived_and_pruned_comes_back(fresh: Fresh, tmp_path: Path, backend: str) -> None:
    url, path = fresh(backend), tmp_path / "old.jsonl"
    await crowd(url)
    async with _opened(url) as journal:
        before, going = await images(journal), await live(journal)
        done = await archive(journal, Selection(EVER), path, prune=True)
        assert (done.runs, done.pruned, done.bytes) == (3, 3, path.stat().st_size)
        assert set(await images(journal)) == going
        told = await restore(path, journal, registry=Registry([Order]))
        assert (told.runs, told.present, told.folded, told.conflicts) == (3, 0, 3, [])
        assert await images(journal) == before
        again = await restore(path, journal)
        assert (again.runs, again.present) == (0, 3)
        assert await images(journal) == before


async def test_what_a_journal_cannot_hold_is_left_out_alone(fresh: Fresh, tmp_path: Path) -> None:
    """And told, as a dry run tells it before."""
    url, path = fresh("sqlite"), tmp_path / "old.jsonl"
    await crowd(url)
    async with _opened(url) as journal, _opened(fresh("memory")) as other:
        await archive(journal, Selection(EVER), path)
        odd = next(run_id for run_id, image in (await images(journal)).items() if image.run.key == "done")

        async def around(name: str, verb: Any, arguments: tuple[Any, ...]) -> Any:
            if name in ("restore", "rehearse") and arguments[0][0].run.run_id == odd:
                raise PayloadRefused("key", "it is odd")
            return await verb(*arguments)

        refusing = cast(Journal, Passing(other, around))
        for dry_run in (True, False):
            told = await restore(path, refusing, dry_run=dry_run)
            [conflict] = told.conflicts
            assert (str(odd) in conflict, "cannot hold it" in conflict) == (True, True)
            assert (told.runs, len(await images(other))) == (2, 0 if dry_run else 2)


async def test_every_line_is_json_that_says_what_it_is(fresh: Fresh, tmp_path: Path) -> None:
    url, path = fresh("memory"), tmp_path / "old.jsonl"
    await crowd(url)
    async with _opened(url) as journal:
        await archive(journal, Selection(EVER), path)
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [line["kind"] for line in lines] == ["archive", "definition", "run", "run", "run", "end"]
    assert {line["v"] for line in lines} == {1}
    assert lines[-1]["body"] == {"runs": 3}
    assert lines[2]["body"]["run"]["machine"] == "order"
    assert path.stat().st_mode & 0o077 == 0


async def test_a_selection_chooses(fresh: Fresh, tmp_path: Path) -> None:
    url = fresh("memory")
    await crowd(url)
    async with _opened(url) as journal:
        counts = [
            Selection(0),
            Selection(EVER, machine="other"),
            Selection(EVER, statuses=frozenset({RunStatus.TERMINATED})),
            Selection(EVER, statuses=frozenset({RunStatus.RUNNING, RunStatus.FAILED})),
        ]
        told = [(await archive(journal, wanted, None)).runs for wanted in counts]
        assert told == [0, 0, 1, 1]
        assert list(tmp_path.iterdir()) == []


async def test_nothing_is_deleted_before_the_file_is_safe(
    fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when the disk is full, nor when it cannot be synced; and no half of a file is left."""
    url, path = fresh("sqlite"), tmp_path / "old.jsonl"
    await crowd(url)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    async with _opened(url) as journal:
        before = await images(journal)
        for name in ("write", "fsync", "link"):
            with monkeypatch.context() as patched:
                patched.setattr(os, name, full)
                with pytest.raises(UsageError, match="nothing was deleted"):
                    await archive(journal, Selection(EVER), path, prune=True)
            assert await images(journal) == before
            assert list(tmp_path.glob("old*")) == []
        path.write_text("another's")
        with pytest.raises(UsageError, match="is there already"):
            await archive(journal, Selection(EVER), path, prune=True)
        assert (path.read_text(), await images(journal)) == ("another's", before)


def _cut(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3][:-40]]


def _ends_early(lines: list[bytes]) -> list[bytes]:
    return lines[:4]


def _misses_one(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], *lines[4:]]


def _flipped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b'"version":', b'"version":1', 1), *lines[4:]]


def _noise(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], b"\xff\xfe not JSON\n", *lines[4:]]


def _newer(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b'"v":1', b'"v":2', 1), *lines[4:]]


def _goes_on(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[3]]


@pytest.mark.parametrize(
    ("damage", "line", "saved"),
    [
        (_cut, 4, 1),
        (_ends_early, 5, 2),
        (_misses_one, 5, 2),
        (_flipped, 4, 2),
        (_noise, 4, 2),
        (_newer, 4, 2),
        (_goes_on, 7, 3),
    ],
)
async def test_a_damaged_line_is_named_and_nothing_is_written(
    fresh: Fresh, tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], line: int, saved: int
) -> None:
    """With `salvage` the other lines are restored, and the damaged ones told."""
    url, path = fresh("memory"), tmp_path / "old.jsonl"
    await crowd(url)
    async with _opened(url) as journal:
        await archive(journal, Selection(EVER), path)
        whole = await images(journal)
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    kept = path.read_bytes()
    async with _opened(fresh("memory")) as target:
        with pytest.raises(DamagedArchive) as raised:
            await restore(path, target)
        assert raised.value.line == line
        assert f"line {line}: " in str(raised.value)
        assert (await images(target), await target.definitions()) == ({}, [])
        told = await restore(path, target, salvage=True)
        assert line in [each.line for each in told.damaged]
        assert told.runs == saved
        assert all(whole[run_id] == image for run_id, image in (await images(target)).items())
    assert path.read_bytes() == kept


async def test_a_file_of_another_namespace_is_refused(fresh: Fresh, tmp_path: Path) -> None:
    url, path = fresh("memory"), tmp_path / "old.jsonl"
    await crowd(url)
    async with _opened(url) as journal:
        await archive(journal, Selection(EVER), path)
    async with _opened(url, "other") as other:
        with pytest.raises(UsageError, match="--namespace default"):
            await restore(path, other)
        with pytest.raises(UsageError, match="cannot be read"):
            await restore(tmp_path / "none.jsonl", other)


async def test_a_moving_run_is_not_archived(fresh: Fresh) -> None:
    """Its image is all there is of it, until it has arrived."""
    url = fresh("memory")
    await crowd(url)
    async with _opened(url) as journal:
        run_id = (await live(journal)).pop()
        [dumped] = await carrier_of(journal).dump([run_id])
        assert dumped is not None
        await carrier_of(journal).depart([Departure(run_id, dumped.mark, new_id(), b"{}", b"{}")])
        assert (await archive(journal, Selection(EVER), None)).runs == 3
        await carrier_of(journal).settle([Arrival(run_id)])
        assert (await archive(journal, Selection(EVER), None)).runs == 4
