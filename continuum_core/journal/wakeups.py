"""A way for hints that is not the journal's own: a store that keeps journals can carry those of others.

Rule: a hint is never needed. Who loses one polls, as it would without any; so nothing here is awaited by a
verb, and nothing that fails here fails one. A backend asks `connect.wakeups` for what its URL names and
knows no more of it than this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Topic", "Wakeups", "WakingBackend"]

Topic = str
"""What hints are about: a namespace of a journal. Handles that use one topic wake one another."""


class Wakeups(Protocol):
    """The hints of one handle about one topic, out and in; used on the event loop it was made on.

    :ivar lost: how often hints may have been lost: the connection failed, to hear or to tell.
    """

    lost: int

    def wrote(self) -> None:
        """Tell all others before long; calls close to one another are told as one. Never raises."""
        ...

    def listen(self, heard: Callable[[], None]) -> None:
        """From now on call `heard` whenever another handle wrote, or may have while this one was deaf.

        Returns at once and connects by itself, again after every loss. A second call does nothing.
        """
        ...

    async def close(self) -> None:
        """Give everything back. A second call does nothing."""
        ...


class WakingBackend(Protocol):
    """A backend whose store carries hints for journals of any other. What has `wakeups` is one."""

    def wakeups(self, url: str) -> Callable[[Topic], Wakeups]:
        """What makes a handle's hints. Connects nowhere. Raises IncompatibleJournal for a wrong URL."""
        ...
