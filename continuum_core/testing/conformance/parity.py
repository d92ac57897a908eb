"""Two journals side by side: the same operations on both, and answers made comparable.

What may differ is taken out: times that come from a journal's own clock, and the values of fences,
which come from that clock too. Times that the caller chose, order, counts and everything else stay.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import attrs

from continuum_core.errors import ContinuumError
from continuum_core.journal.commit import TaskClaims
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeadLetter
from continuum_core.testing.conformance.given import FAR
from continuum_core.testing.conformance.kit import passed

__all__ = ["Pair", "Sides", "comparable"]

_T = TypeVar("_T")

_CLOCK = frozenset({"now", "created", "updated", "at", "lease_until", "until", "scheduled"})
_CHOSEN = frozenset({"due", "reached", "next_due"})
_EARLY = 1_000
_TICK = 50


@attrs.frozen
class Pair(Generic[_T]):
    """The same thing as each of the two journals told it."""

    mine: _T
    theirs: _T


class Sides:
    """The reference journal and the one under test.

    Between two operations both clocks move on by some microseconds, so that the order of times is the
    same on both.
    """

    def __init__(
        self, run: Callable[[Coroutine[Any, Any, Any]], Any], mine: Journal, theirs: Journal
    ) -> None:
        self._run = run
        self._journals = Pair(mine, theirs)

    def ask(self, work: Callable[[Journal, int], Awaitable[_T]]) -> Pair[Any]:
        """Carry out `work` on both (it is told the side, 0 or 1), compare, and return both answers."""
        pair: Pair[Any] = self._run(self._ask(work))
        mine, theirs = comparable(pair.mine), comparable(pair.theirs)
        assert mine == theirs, f"the reference answers\n  {mine}\nbut this journal\n  {theirs}"
        return pair

    async def _ask(self, work: Callable[[Journal, int], Awaitable[_T]]) -> Pair[Any]:
        answers: list[Any] = []
        for side, journal in enumerate((self._journals.mine, self._journals.theirs)):
            try:
                answers.append(await work(journal, side))
            except ContinuumError as error:
                answers.append(type(error).__name__)
            await passed(journal, await journal.now() + _TICK)
        return Pair(*answers)


def comparable(value: Any, name: str = "") -> Any:
    """The value without what two journals may tell differently."""
    if name in _CLOCK or name in _CHOSEN:
        return _time(value, name)
    if name == "fence":
        return value if value is None else value > 0
    if name == "cursor":
        return value is not None
    if name == "namespace":
        return None
    kind = cast(type[object], type(value))
    if attrs.has(kind):
        return _fields(value, kind)
    if kind in (list, tuple):
        return _members(value)
    if isinstance(value, enum.Enum):
        return value.name
    return value.hex[-12:] if isinstance(value, UUID) else value


def _time(value: int | None, name: str) -> object:
    """A time that the caller chose as it is; of the clock's times only whether there is one."""
    if value is None:
        return None
    chosen = name in _CHOSEN and (value <= _EARLY or value >= FAR)
    return value if chosen else "a time"


def _fields(value: Any, kind: type[attrs.AttrsInstance]) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(kind)]
    skipped = "next_due" if kind is TaskClaims else ""  # a hint, of the clock's making
    told = {name: comparable(getattr(value, name), name) for name in names if name != skipped}
    return {"": kind.__name__, **told}


def _members(values: Iterable[Any]) -> list[Any]:
    members = list(values)
    if members and isinstance(members[0], DeadLetter):  # their order is that of the clock
        members.sort(key=lambda letter: letter.delivery.id.int)
    return [comparable(member) for member in members]
