"""A service's own book: a file of JSON lines that several processes append to and nobody rewrites.

Each entry is one write under an exclusive lock, so that what a process decides from the book still holds
when it writes, and a process that is killed leaves a whole line or none.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Entry", "Ledger", "entries", "first"]

Entry = dict[str, Any]


class Ledger:
    """The book of one service, as one process has it open.

    :param path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._read = 0
        self._thread = threading.Lock()  # file locks hold between processes, not between threads
        self._known: dict[str, list[Entry]] = {}

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def about(self, subject: str) -> Generator[list[Entry], None, None]:
        """All entries about a subject, by anybody, while nobody else can write."""
        with self._thread:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield self._known.setdefault(subject, [])
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def write(self, subject: str, what: str, *, sync: bool = False, **fields: Any) -> None:
        """Append an entry; within `about` only.

        :param sync: return when it is on the disk.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"at": at, "what": what, "subject": subject, "pid": os.getpid(), **fields}
        line = msgspec.json.encode(entry) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("the disk took a part of a ledger entry only")
        if sync:
            os.fsync(self._file)

    def _catch_up(self) -> None:
        """Read what was written since the last time, here or elsewhere."""
        size = os.fstat(self._file).st_size
        text = os.pread(self._file, size - self._read, self._read)
        self._read = size
        for line in text.splitlines():
            entry: Entry = msgspec.json.decode(line)
            self._known.setdefault(entry["subject"], []).append(entry)


def first(book: list[Entry], *whats: str) -> Entry | None:
    """The first entry that tells one of these."""
    return next((entry for entry in book if entry["what"] in whats), None)


def entries(path: Path) -> list[Entry]:
    """All entries of a book, read afresh, oldest first."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
