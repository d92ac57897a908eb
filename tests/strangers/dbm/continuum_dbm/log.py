"""The log: entries under rising numbers in a `dbm.dumb` database, and which database that is.

Why `dbm.dumb`, which is always there: a key that is new is appended to its two files, so that a process
killed at any moment leaves whole entries and perhaps one that was never acknowledged.
`dbm.gnu` and `dbm.ndbm` write over their pages, and a killed process may leave them torn.

A file NAME says which generation of the log counts (``NAME.3.dat``, ``NAME.3.dir``); writing a shorter one
and replacing that file is how the log is kept short. ``NAME.lock`` is locked by the process that has it open.
"""

from __future__ import annotations

import contextlib
import dbm.dumb
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from continuum_core.errors import IncompatibleJournal, JournalUnavailable

__all__ = ["Log"]


class Log:
    """An open log. Raises JournalUnavailable where another process has it, or the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise IncompatibleJournal(f"{path}: cannot be opened: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._generation = self._stated()
            self._db: Any = self._opened(self._generation)
            self._next = len(self._db)
        except BlockingIOError as error:
            os.close(self._lock)
            raise JournalUnavailable(f"{path} is open in another process; a dbm journal has one") from error
        except BaseException:
            os.close(self._lock)
            raise

    def __len__(self) -> int:
        return self._next

    def entries(self) -> Iterator[bytes]:
        """All of them, in order."""
        for number in range(self._next):
            yield self._db[b"%d" % number]

    def append(self, entry: bytes) -> None:
        """Add an entry; when this returns, it survives the process. Raises OSError."""
        self._db[b"%d" % self._next] = entry
        self._next += 1

    def rewrite(self, entries: Iterable[bytes]) -> None:
        """Go on with a log of these entries; killed before its end, the old one counts. Raises OSError."""
        old, new = self._generation, self._generation + 1
        self._remove(new)
        db = self._opened(new)
        count = 0
        for count, entry in enumerate(entries, start=1):
            db[b"%d" % (count - 1)] = entry
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.write_text(f"{new}\n")
        os.replace(beside, self._path)
        self._db.close()
        self._db, self._next, self._generation = db, count, new
        self._remove(old)

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)

    def _stated(self) -> int:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            self._path.write_text("1\n")
            return 1
        except ValueError as error:
            raise IncompatibleJournal(f"{self._path}: is no dbm journal") from error

    def _opened(self, generation: int) -> Any:
        name = self._name(generation)
        directory, copy = Path(f"{name}.dir"), Path(f"{name}.bak")
        with contextlib.suppress(FileNotFoundError):
            # Closing writes the directory anew, which only ever grows: a shorter one was cut off.
            if not directory.exists() or copy.stat().st_size > directory.stat().st_size:
                os.replace(copy, directory)
        return dbm.dumb.open(name, "c")

    def _name(self, generation: int) -> str:
        return str(self._path.with_name(f"{self._path.name}.{generation}"))

    def _remove(self, generation: int) -> None:
        for ending in ("dat", "dir", "bak"):
            Path(f"{self._name(generation)}.{ending}").unlink(missing_ok=True)
