"""What a crew has under way: child runs, or activities, that a state started together. Pure values.

A crew bears a token of its own, minted when its state was entered, and its members are numbered from 0; so
(token, number) names what a member is, and what came of it. Members begin in order, `limit` at a time. What
they are given follows from the context as it was when the crew began, which is kept for as long as members
wait; what came of them is kept beside the run (`Commit.members`), and here only in passing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["Chain", "OpenCrew", "ended", "results"]

Chain = tuple["Chain", int, Any] | None
"""What came of members, the latest first, each with its number: made in one step however many there are."""


class OpenCrew(Struct, frozen=True, gc=False):
    """A crew that is not over.

    :ivar state: number of the state that started it, and `slot` which of that state's crews it is.
    :ivar runs: its members are child runs; closing it is a message to them.
    :ivar closing: how, as `Closing` has it.
    :ivar total: how many members it has; those from `next` on wait, and `open` are under way.
    :ivar context: what the members that wait are made of.
    :ivar members: their inputs, as far as this process has made them; None: not yet, or no more.
    :ivar results: what came of members while this process looked on.
    :ivar known: how many are in `results`; fewer than have ended: the others are beside the run.
    """

    state: int
    slot: int
    runs: bool
    closing: str
    total: int
    next: int
    open: tuple[int, ...]
    context: Any
    members: Sequence[Any] | None = None
    results: Chain = None
    known: int = 0

    @property
    def count(self) -> int:
        """How many members have ended."""
        return self.next - len(self.open)

    @property
    def done(self) -> bool:
        return not self.open and self.next == self.total

    @property
    def knows_all(self) -> bool:
        """Whether `results` has all that ended."""
        return self.known == self.count

    def bare(self) -> OpenCrew:
        """Without what is kept elsewhere or can be made again."""
        return replace(self, members=None, results=None, known=0)


def ended(crew: OpenCrew, number: int, result: Any) -> OpenCrew:
    """The crew after a member that was under way has ended."""
    return replace(
        crew,
        open=tuple(each for each in crew.open if each != number),
        results=(crew.results, number, result),
        known=crew.known + 1,
    )


def results(crew: OpenCrew) -> tuple[Any, ...]:
    """What came of all members, in their order; of a crew that is done and knows all."""
    found: list[Any] = [None] * crew.total
    chain = crew.results
    while chain is not None:
        chain, number, result = chain
        found[number] = result
    return tuple(found)
