"""Keeps leases alive from where a blocked event loop cannot starve it, and lets go of a hung one.

The renewal runs apart (in production on a thread with its own event loop and its own handle on the
journal). The worker's own loop shows a pulse; when the pulse has stood still beyond a bound, the
renewal stops, and the leases run out: a worker that hangs loses its runs to others, and its fences
make sure that it cannot hurt them when it wakes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from continuum_core.errors import JournalUnavailable
from continuum_core.host import Host
from continuum_core.journal.commit import Reservation
from continuum_core.journal.protocol import Journal
from continuum_core.lane import Backoff
from continuum_core.outage import Outage
from continuum_core.runtime.holding import Holding
from continuum_core.runtime.runs import Runs
from continuum_core.runtime.tasks import Tasks

__all__ = ["Pulse", "renew"]

logger = logging.getLogger(__name__)

_RENEWING = "renewing leases"


class Pulse:
    """Proof that the worker's own event loop still turns."""

    def __init__(self, host: Host, bound: float) -> None:
        self._host = host
        self._bound = bound
        self._last = host.monotonic()

    async def beat(self) -> None:
        """The job on the worker's loop."""
        while True:
            self._last = self._host.monotonic()
            await self._host.sleep(self._bound / 8)

    def still(self) -> bool:
        """Whether the loop has stood still beyond the bound."""
        return self._host.monotonic() - self._last > self._bound


async def renew(
    host_of: Callable[[], Host],
    journal: Journal,
    runs: Runs,
    tasks: Tasks,
    pulse: Pulse,
    lease: int,
    outage: Outage,
) -> None:
    """Renew what is held, three times a lease, until cancelled.

    :param host_of: makes the host of the loop this runs on.
    :param journal: an unopened handle for this loop alone.
    :param lease: microseconds.
    """
    host = host_of()
    backoff = Backoff(host)
    try:
        await _open(host, journal, backoff, outage)
        while True:
            await host.sleep(lease / 3e6)
            if pulse.still():
                logger.error("this worker's event loop has stood still; its leases are left to run out")
                continue
            try:
                await _renew_once(journal, runs, tasks, lease)
                backoff.reset()
                outage.worked(_RENEWING)
            except JournalUnavailable as error:
                outage.failed(_RENEWING, error)
                await host.sleep(backoff.delay())
            except Exception:  # the next time may go better; ending here would lose every lease
                logger.exception("renewing leases failed")
    finally:
        await journal.close()


async def _open(host: Host, journal: Journal, backoff: Backoff, outage: Outage) -> None:
    """Open the handle, however long the journal is away: without renewal this worker would lose its work."""
    while True:
        try:
            await journal.open()
        except JournalUnavailable as error:
            outage.failed(_RENEWING, error)
            await host.sleep(backoff.delay())
        else:
            backoff.reset()
            outage.worked(_RENEWING)
            return


async def _renew_once(journal: Journal, runs: Runs, tasks: Tasks, lease: int) -> None:
    holds = runs.holds()
    if holds:
        # A run that was lost needs no action: its commit is refused by the fence.
        await journal.renew(holds, lease)
    holdings = tasks.leased()
    if not holdings:
        return
    sent = [holding.hold() for holding in holdings]
    answers = await journal.heartbeat(sent, lease)
    for holding, hold, answer in zip(holdings, sent, answers, strict=True):
        if answer is not None and hold.details is not None:
            holding.stored = hold.details
        _tell(holding, answer)
    keyed = [_reservation(h, lease) for h in holdings if h.claim.task.key is not None]
    if keyed:
        await journal.reserve(keyed)


def _tell(holding: Holding, answer: bool | None) -> None:
    if answer is None:
        holding.lost = True
        holding.attempt.request_cancel()
    elif answer is False:
        holding.stop()


def _reservation(holding: Holding, lease: int) -> Reservation:
    task = holding.claim.task
    return Reservation(task.activity, task.key or "", task.run_id, task.token, task.slot, lease)
