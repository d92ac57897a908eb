"""Transactions of callers which are open still: what they wrote is hinted at once they have ended.

Rule: nothing is asked of the server, and nothing is done to the caller's connection; the driver knows the
state of its session. A connection that is used again at once looks as if its transaction went on: so hints
go out now and then besides. All of it is a courtesy, as hints are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from weakref import WeakKeyDictionary

import psycopg
from attrs import define, field
from psycopg.pq import TransactionStatus

from continuum_postgres.joined import Psycopg

__all__ = ["Callers"]

_SHORTEST, _LONGEST = 0.002, 0.1  # seconds between two looks
_BESIDES = 0.25  # seconds until a hint goes out though nothing has ended, and then twice as many
_GIVEN_UP = 60.0  # seconds after which whoever waits has looked by himself


@define(eq=False)
class _Open:
    since: float
    besides: float


@define(eq=False)
class Callers:
    """The callers' transactions of one handle.

    :param ended: called when some may have ended.
    """

    ended: Callable[[], None]
    _open: WeakKeyDictionary[Psycopg, _Open] = field(factory=WeakKeyDictionary[Psycopg, _Open])
    _pause: float = _SHORTEST
    _watcher: asyncio.Task[None] | None = None

    def wrote(self, connection: Psycopg) -> None:
        """Something was written in the transaction that the connection is in."""
        now = asyncio.get_running_loop().time()
        self._open[connection] = _Open(now, now + _BESIDES)
        self._pause = _SHORTEST
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="continuum-postgres-callers")

    async def _watch(self) -> None:
        count = len(self._open)
        try:
            while count:
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, _LONGEST)
                looked = self._look(asyncio.get_running_loop().time())
                if looked or len(self._open) < count:  # also one whose connection is gone altogether
                    self.ended()
                count = len(self._open)
        finally:
            self._watcher = None

    def _look(self, now: float) -> bool:
        """Whether one ended, or had better be taken for ended."""
        hint = False
        for connection, seen in list(self._open.items()):
            if _over(connection) or now - seen.since > _GIVEN_UP:
                del self._open[connection]
                hint = True
            elif now >= seen.besides:
                seen.besides = now + 2 * (seen.besides - seen.since)
                hint = True
        return hint

    async def close(self) -> None:
        """Look no more."""
        watcher = self._watcher
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([watcher])


def _over(connection: Psycopg) -> bool:
    try:
        return connection.closed or connection.pgconn.transaction_status == TransactionStatus.IDLE
    except psycopg.Error:  # closed between the two
        return True
