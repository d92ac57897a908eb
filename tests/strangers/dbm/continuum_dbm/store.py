"""A store: the namespaces of one log, the lock that makes a verb one transaction, the clock, and who waits.

All handles of this process on one path share one store; the last to close it closes the log.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from continuum_core.clock import Micros
from continuum_core.errors import IncompatibleJournal, JournalUnavailable
from continuum_dbm.log import Log
from continuum_dbm.rows import Change, Space

__all__ = ["Store", "acquire"]

_SLACK = 1_000
_ROWS_AN_ENTRY = 500

_Line = tuple[str, str, bool, msgspec.Raw]
"""(namespace, table, gone, row)."""


class _Entry(msgspec.Struct, array_like=True):
    """What one verb changed, and when."""

    now: Micros
    lines: list[_Line]


_open: dict[Path, Store] = {}
_guard = threading.Lock()


def acquire(path: Path, clock: Callable[[], Micros]) -> Store:
    """The open store of a path. Give it back with `Store.release`."""
    with _guard:
        store = _open.get(path)
        if store is None:
            store = _open[path] = Store(path, clock)
        store.users += 1
        return store


class Store:
    """An open store.

    :ivar users: open handles.
    """

    def __init__(self, path: Path, clock: Callable[[], Micros]) -> None:
        self.users = 0
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._last: Micros = 0
        self._spaces: dict[str, Space] = {}
        self._writes: dict[str, int] = {}
        self._wakers: dict[str, set[Callable[[], None]]] = {}
        self._broken = ""
        self._log = Log(path)
        try:
            self._read()
            self._shorten()
        except BaseException:
            self._log.close()
            raise

    def release(self) -> None:
        with _guard:
            self.users -= 1
            if not self.users:
                del _open[self._path]
                self._log.close()

    @contextlib.contextmanager
    def verb(self, namespace: str) -> Generator[tuple[Space, Micros], None, None]:
        """One transaction: all that it changes is one entry of the log, or nothing was changed."""
        wakers: tuple[Callable[[], None], ...] = ()
        with self._lock:
            if self._broken:
                raise JournalUnavailable(f"{self._path}: {self._broken}; close it and open it again")
            self._last = now = max(self._last, self._clock())
            space = self._space(namespace)
            try:
                yield space, now
                if space.changes:
                    self._write(space, now)
                    self._writes[namespace] = self._writes.get(namespace, 0) + 1
                    wakers = tuple(self._wakers.get(namespace, ()))
            except BaseException:
                for change in reversed(space.changes):
                    _undo(change)
                raise
            finally:
                space.changes.clear()
        for wake in wakers:
            wake()

    def writes(self, namespace: str) -> int:
        with self._lock:
            return self._writes.get(namespace, 0)

    def enter(self, namespace: str, wake: Callable[[], None]) -> None:
        """Have `wake`, which may be called from any thread, called at every change."""
        with self._lock:
            self._wakers.setdefault(namespace, set()).add(wake)

    def leave(self, namespace: str, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wakers[namespace].discard(wake)

    def _space(self, namespace: str) -> Space:
        if namespace not in self._spaces:
            self._spaces[namespace] = Space(namespace)
        return self._spaces[namespace]

    def _write(self, space: Space, now: Micros) -> None:
        lines = [_line(space, change.table.name, change.gone, change.row) for change in space.changes]
        try:
            self._log.append(msgspec.msgpack.encode(_Entry(now, lines)))
        except OSError as error:
            self._broken = f"a write failed ({error})"
            raise JournalUnavailable(f"{self._path}: {self._broken}", ambiguous=True) from error

    def _read(self) -> None:
        decoder = msgspec.msgpack.Decoder(_Entry)
        try:
            for packed in self._log.entries():
                entry = decoder.decode(packed)
                self._last = max(self._last, entry.now)
                for namespace, name, gone, raw in entry.lines:
                    table = self._space(namespace).tables[name]
                    row = msgspec.msgpack.decode(raw, type=table.kind)
                    (table.unset if gone else table.set)(row)
        except (msgspec.DecodeError, KeyError) as error:
            raise IncompatibleJournal(f"{self._path}: its log cannot be read: {error}") from error

    def _shorten(self) -> None:
        """Go on with a log of what is there, where most of it tells of what was."""
        rows = sum(1 for _ in self._lines())
        if len(self._log) <= 2 * rows // _ROWS_AN_ENTRY + _SLACK:
            return
        self._log.rewrite(self._packed())

    def _packed(self) -> Iterator[bytes]:
        lines = self._lines()
        while some := list(islice(lines, _ROWS_AN_ENTRY)):
            yield msgspec.msgpack.encode(_Entry(self._last, some))

    def _lines(self) -> Iterator[_Line]:
        for space in self._spaces.values():
            for table in space.tables.values():
                for row in table.all():
                    yield _line(space, table.name, False, row)


def _line(space: Space, table: str, gone: bool, row: msgspec.Struct) -> _Line:
    return (space.name, table, gone, msgspec.Raw(msgspec.msgpack.encode(row)))


def _undo(change: Change) -> None:
    if change.before is None:
        change.table.unset(change.row)
    else:
        change.table.set(change.before)
