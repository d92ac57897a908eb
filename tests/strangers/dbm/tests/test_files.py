"""What the kit cannot know of: files, their owner, and what a process that was cut off leaves in them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from continuum_core.errors import IncompatibleJournal, JournalUnavailable
from continuum_core.journal.commit import Reservation
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Definition
from continuum_dbm.log import Log

RUN = UUID(int=1)
OPEN_ONCE = """
import asyncio, sys
from continuum_core.journal.connect import connect

asyncio.run(connect(sys.argv[1]).open())
"""


def definition(number: int) -> Definition:
    return Definition(fingerprint=f"f{number}", machine="m", version=number, body=b"body")


def opened(path: Path, work: Callable[[Journal], Coroutine[Any, Any, Any]]) -> Any:
    """What `work` makes of the opened journal."""

    async def carry_out() -> Any:
        journal = connect(f"dbm:///{path}")
        await journal.open()
        try:
            return await work(journal)
        finally:
            await journal.close()

    return asyncio.run(carry_out())


async def define_three(journal: Journal) -> None:
    for number in range(3):
        await journal.define([definition(number)])


async def numbers(journal: Journal) -> list[int]:
    return [each.version for each in await journal.definitions()]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    async def other(_: Journal) -> str:
        command = [sys.executable, "-c", OPEN_ONCE, f"dbm:///{tmp_path}/x"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        return done.stderr

    assert "is open in another process" in opened(tmp_path / "x", other)


@pytest.mark.parametrize("left", [0, 10])
def test_a_close_that_was_cut_off_costs_nothing(tmp_path: Path, left: int) -> None:
    """`dbm.dumb` writes its directory anew when it is closed; the old one lies beside it meanwhile."""
    opened(tmp_path / "x", define_three)
    directory = tmp_path / "x.1.dir"
    whole = directory.read_bytes()
    (tmp_path / "x.1.bak").write_bytes(whole)
    if left:
        directory.write_bytes(whole[:left])
    else:
        directory.unlink()
    assert opened(tmp_path / "x", numbers) == [0, 1, 2]


def test_the_log_is_kept_short(tmp_path: Path) -> None:
    """Many changes of few rows become a log of those rows, and the old one goes."""

    async def change_much(journal: Journal) -> None:
        for number in range(1_200):  # each is one entry: the reservation is renewed
            reservation = Reservation("act", "key", RUN, 1, 0, 1_000_000 + number)
            await journal.reserve([reservation])

    opened(tmp_path / "x", change_much)
    opened(tmp_path / "x", define_three)
    assert opened(tmp_path / "x", numbers) == [0, 1, 2]
    assert {path.name for path in tmp_path.iterdir()} >= {"x", "x.2.dat", "x.2.dir", "x.lock"}
    assert not list(tmp_path.glob("x.1.*"))


def test_a_failed_write_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refused is in no answer, and nothing more is taken until the journal is opened again."""

    async def fail(journal: Journal) -> None:
        await journal.define([definition(0)])

        def refuse(*_: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(Log, "append", refuse)
        with pytest.raises(JournalUnavailable, match="no space left") as caught:
            await journal.define([definition(1)])
        assert caught.value.ambiguous
        with pytest.raises(JournalUnavailable, match="open it again"):
            await journal.definitions()

    opened(tmp_path / "x", fail)
    monkeypatch.undo()
    assert opened(tmp_path / "x", numbers) == [0]


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("notes")
    with pytest.raises(IncompatibleJournal, match="no dbm journal"):
        opened(tmp_path / "x", numbers)
    with pytest.raises(IncompatibleJournal, match="cannot be opened"):
        opened(tmp_path / "nowhere" / "x", numbers)
    for url in ("dbm://x", "dbm:///", "dbm:///x?a=b"):
        with pytest.raises(IncompatibleJournal, match="write dbm:///"):
            connect(url)
