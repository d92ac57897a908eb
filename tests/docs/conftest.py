"""The process that tries pages: one for all the pages that a worker of the suite has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.reader import Reader, Tried

Read = Callable[[Path], Tried]


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    with closing(Reader()) as reader:
        yield reader


@pytest.fixture
def run_page(reader: Reader, tmp_path: Path) -> Read:
    """Try a page as a reader with the project installed would, in an empty folder."""

    def run(page: Path) -> Tried:
        room = tmp_path / "room"
        room.mkdir()
        return reader.read(page, room, tmp_path / "printed")

    return run
