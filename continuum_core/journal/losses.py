"""How often a way for hints was lost, and for how long: counted alike by every backend that listens.

Rule: a loss is one, however many tries it takes to be over it; whoever reads the log wants to know how often
hints were lost, not how often somebody tried.
"""

from __future__ import annotations

__all__ = ["Losses"]


class Losses:
    """The losses of one connection, which one task makes again and again.

    :ivar count: how many there were, the one that goes on included.
    """

    def __init__(self) -> None:
        self.count = 0
        self._since: float | None = None

    def failed(self, now: float) -> bool:
        """A try failed: whether that begins a loss, which is then to be told.

        :param now: seconds, of a clock that never goes back.
        """
        if self._since is not None:
            return False
        self.count += 1
        self._since = now
        return True

    def over(self, now: float) -> str:
        """The connection works: how long it was lost and how often so far, or "" where it was not."""
        if self._since is None:
            return ""
        gone, self._since = now - self._since, None
        often = "once" if self.count == 1 else f"{self.count:,} times"
        return f"gone for {gone:.1f} s, lost {often} so far"
