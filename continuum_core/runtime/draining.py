"""How long a drain waits for what is under way: until its grace is over, or it is told to hurry.

Rule: a journal that does not answer holds no worker back. What did not reach it is found by others when
leases end, as if the worker had died.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

from continuum_core.host import Flag, Host
from continuum_core.lane import Loop

__all__ = ["Draining"]

logger = logging.getLogger(__name__)

_ARRIVE = 5.0
"""Seconds that what is under way may take in any case, also in a hurry: a journal that answers takes less,
and what is handed over there is taken up at once."""


class Draining:
    """The waiting of one worker's drain."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._claiming: list[Flag] = []
        self._turn: Flag = host.flag()  # what is waited for is over, or there is a hurry
        self._hurried = False

    def claims(self, loop: Loop) -> Loop:
        """A loop that claims: `claimed` waits for its end."""
        ended = self._host.flag()
        self._claiming.append(ended)

        async def claims() -> None:
            try:
                await loop()
            finally:
                ended.set()

        return claims

    async def claimed(self) -> None:
        """Wait until nothing more can come of a claim."""
        for ended in self._claiming:
            await ended.wait()

    async def wait_for(self, work: Coroutine[Any, Any, None], until: float) -> bool:
        """Do something until then, by the host's clock, or until a hurry; for some seconds in any case.

        True when it was done. Raises what it raises.
        """
        over, failure = False, None
        turn = self._turn = self._host.flag()

        async def doing() -> None:
            nonlocal over, failure
            try:
                await work
            except Exception as error:
                failure = error
            finally:
                over = True
                turn.set()

        job = self._host.spawn(doing(), "continuum-draining")
        if not self._hurried:
            await turn.wait(max(until - self._host.monotonic(), _ARRIVE))
        if self._hurried and not over:
            turn.clear()
            await turn.wait(_ARRIVE)
        if failure is not None:
            raise failure
        if not over:
            logger.warning("draining: the journal does not answer; what is on its way is left to leases")
            job.cancel()
        return over

    def hurry(self) -> None:
        """Wait no longer than a moment."""
        self._hurried = True
        self._turn.set()
