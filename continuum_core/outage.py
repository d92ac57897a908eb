"""What a worker says of a journal that does not answer: that it is away, now and then that it still is, that
it is back.

Rule: every loop tries again by itself, and tells here that it failed and that it succeeded. A journal that is
away fails all of them, several times a second, for one reason; whoever reads the log wants that reason, and
how long it held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from continuum_core.errors import JournalUnavailable

__all__ = ["Outage"]

logger = logging.getLogger(__name__)

_AGAIN = 60.0
"""Seconds until the same reason is told once more."""


class Outage:
    """Shared by the loops of one worker, on whatever thread: a race costs a line of the log.

    :param now: seconds, of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failing: set[str] = set()
        self._began = 0.0
        self._told: dict[str, float] = {}  # reason → when it was told last

    def failed(self, doing: str, error: JournalUnavailable) -> None:
        """A verb failed that is tried again until the journal answers: then `worked` is called."""
        if not self._failing:
            self._began = self._now()
        self._failing.add(doing)
        self.mention(doing, error)

    def mention(self, doing: str, error: JournalUnavailable) -> None:
        """A verb failed, and nothing waits for it."""
        now = self._now()
        told = self._told.get(error.reason)
        if told is not None and now - told < _AGAIN:
            logger.debug("%s: %s", doing, error)
            return
        self._told[error.reason] = now
        if told is None or not self._failing:
            logger.warning("%s: %s; tried again until it answers", doing, error)
        else:
            logger.warning("%s: %s; the journal has not answered for %d s", doing, error, now - self._began)

    def worked(self, doing: str) -> None:
        """The verb succeeded; nothing is told of one that had not failed."""
        if doing in self._failing:
            self._failing.discard(doing)
            if not self._failing:
                self._told.clear()
                logger.info("the journal answers again, after %.0f s", self._now() - self._began)
