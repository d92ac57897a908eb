"""Tells the journal what the worker takes and wants, as long as it takes something.

Rule: nothing depends on it but what people are told of runs that nobody takes. A journal that is away is told
when it answers.
"""

from __future__ import annotations

from continuum_core.errors import JournalUnavailable
from continuum_core.host import Host
from continuum_core.journal.protocol import Journal
from continuum_core.outage import Outage
from continuum_core.registry import Registry
from continuum_core.runtime.tasks import Tasks
from continuum_core.taking import announce, withdraw

__all__ = ["Announcing"]

_MISSED = 3
"""Announcements that may be missed before others believe the worker gone, where these are renewed."""

_STANDS = 5.0
"""Seconds that one stands at least: a process that is short of CPU is not gone."""


class Announcing:
    """What one worker says of itself.

    :param period: seconds between two looks at what it takes.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        registry: Registry,
        tasks: Tasks,
        outage: Outage,
        period: float,
    ) -> None:
        self._host = host
        self._journal = journal
        self._registry = registry
        self._tasks = tasks
        self._outage = outage
        self._period = period
        self._worker = host.new_id()
        self._over, self._ended = host.flag(), host.flag()

    async def run(self) -> None:
        """Say it again and again, until it is withdrawn."""
        lease = int(max(_MISSED * self._period, _STANDS) * 1_000_000)
        try:
            while not self._over.is_set():
                try:
                    takes, lanes = self._registry.takes(), self._tasks.lanes()
                    await announce(self._journal, self._worker, takes, lanes, lease)
                except JournalUnavailable as error:
                    self._outage.mention("telling what this worker takes", error)
                await self._over.wait(self._period)
        finally:
            self._ended.set()

    async def withdraw(self) -> None:
        """The worker takes nothing more. After `run` was begun."""
        self._over.set()
        await self._ended.wait()
        try:
            await withdraw(self._journal, self._worker)
        except JournalUnavailable as error:
            self._outage.mention("telling that this worker takes nothing more", error)
