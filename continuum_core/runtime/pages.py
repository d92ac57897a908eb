"""From where a worker reads the index of due deliveries next.

What a worker cannot take (of unknown definitions, leased by others) stays at the head of the index, in
whatever number. So it is read from two places in turns. The *front* steps over what yields nothing, page by
page, to the end of the index: there is what has just become due. Behind it a *sweep* goes from the head up to
the floor that the front has left: what a lease's end or an order made claimable again, under a due time of
long ago. A sweep that has begun is finished before another one begins, however long it takes: one that began
anew each second would never come to the end of a long head, and runs behind it would wait for ever.
"""

from __future__ import annotations

from uuid import UUID

from attrs import define

from continuum_core.journal.commit import FIRST_DUE, Claims, DueEntry

__all__ = ["Pages"]

_SECOND = 1_000_000
"""Nothing younger is behind the front: a delivery may become visible later than its due time says."""

_APART = 1.0
"""Seconds from the beginning of one sweep to that of the next, at least."""

_REST = 4
"""After a sweep that found nothing the next one waits for so many times as long as its pages took, at most
one poll: a worker must not live on reading what it cannot take."""


@define
class Pages:
    """The two places. Where one page holds all that is due, there is no floor, and nothing to sweep.

    :param poll: seconds after which a sweep begins though nothing hints at work, and a rest ends.
    """

    poll: float
    _floor: DueEntry = FIRST_DUE
    _front: DueEntry = FIRST_DUE
    _under_way: bool = True  # the front has not come to the end of the index
    _news: bool = False  # something hinted at work since the front was last at the floor
    _sweep: DueEntry | None = None
    _sweeping: bool = False  # the page at hand is one of the sweep
    _stirred: bool = False  # something hinted at work since the last sweep began
    _began: float = 0.0
    _spent: float = 0.0  # seconds that the pages of this sweep took
    _fruitful: bool = False
    _sweep_at: float = 0.0  # when a sweep may begin if something hints at work
    _sweep_by: float = 0.0  # when it begins in any case

    def stir(self) -> None:
        """Something hints at work: neither place is known to be empty any more."""
        self._stirred = self._news = True

    def after(self, now: float) -> DueEntry:
        """The entry from which to read a page. :param now: seconds, of a clock that never goes back."""
        if self._sweep is None and self._floor > FIRST_DUE and now >= self._sweep_due():
            self._sweep, self._began, self._spent = FIRST_DUE, now, 0.0
            self._stirred = self._fruitful = False
        self._sweeping = self._sweep is not None and not self._sweeping
        return self._sweep if self._sweeping and self._sweep is not None else self._front

    def read(self, claims: Claims, now: float, seconds: float) -> bool:
        """Take note of that page, which took so long; False when all has been read that is to be read now."""
        if self._sweeping:
            self._swept(claims, now, seconds)
        else:
            self._passed(claims, now)
        return bool(claims.runs) or self._under_way or self._news or self._sweep is not None

    def rest(self, now: float) -> float:
        """Seconds that may pass before the next page, if nothing hints at work."""
        return max(self._sweep_due() - now, 0.0) if self._floor > FIRST_DUE else self.poll

    def _sweep_due(self) -> float:
        return self._sweep_at if self._stirred else self._sweep_by

    def _passed(self, claims: Claims, now: float) -> None:
        if self._front == self._floor:
            self._news = False
        reached = claims.reached
        self._under_way = bool(claims.runs) or (reached is not None and reached > self._front)
        if claims.runs:  # it is read again: there may be more
            return
        if reached is None or not self._under_way:
            self._front = self._floor  # what became due at the last moment may be seen only now
            return
        self._front = reached
        floor = min(reached, DueEntry(claims.now - _SECOND, UUID(int=0)))
        if floor > self._floor:
            if self._floor == FIRST_DUE:  # from here on there is something behind the front
                self._sweep_at, self._sweep_by = now + min(_APART, self.poll), now + self.poll
            self._floor = floor

    def _swept(self, claims: Claims, now: float, seconds: float) -> None:
        self._spent += seconds
        if claims.runs:
            self._fruitful = True
            return
        reached = claims.reached
        if reached is not None and self._sweep is not None and self._sweep < reached < self._floor:
            self._sweep = reached
            return
        if reached is None and self._sweep == FIRST_DUE:  # all that is due is one page
            self._floor = self._front = FIRST_DUE
        self._sweep = None
        rest = 0.0 if self._fruitful else min(_REST * self._spent, self.poll)
        self._sweep_at = min(max(self._began + _APART, now + rest), now + self.poll)
        self._sweep_by = now + self.poll
