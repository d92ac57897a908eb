"""Two journals side by side: the same operations on both, and answers made comparable.

Where the journal under test lets its clock be set, both are told the same time, which moves between two
operations only, and every time and every fence is compared. Where it does not, what may differ is taken
out: times that come from a journal's own clock, and the values of fences, which come from that clock too.
Times that the caller chose, order, counts and everything else stay.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from attrs import frozen

from continuum_core.errors import ContinuumError
from continuum_core.journal.commit import DueEntry, TaskClaims
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeadLetter
from continuum_core.testing.conformance.differing import check_alike
from continuum_core.testing.conformance.given import FAR
from continuum_core.testing.conformance.kit import SteppedClock, passed

__all__ = ["Pair", "Sides", "comparable"]

_T = TypeVar("_T")

_CLOCK = frozenset({"now", "created", "updated", "at", "lease_until", "until", "scheduled", "oldest"})
_CHOSEN = frozenset({"due", "next_due", "oldest_due"})
_EARLY = 1_000
_TICK = 50


@frozen
class Pair(Generic[_T]):
    """The same thing as each of the two journals told it."""

    mine: _T
    theirs: _T


class Sides:
    """The reference journal and the one under test.

    Between two operations both clocks move on by some microseconds, so that the order of times is the
    same on both.

    :param clock: what both were opened with; None where each has its own.
    :param tell: is told what differs as soon as it is seen: of a failure the world hears only when the
        shortest sequence that shows it was searched for.
    """

    def __init__(
        self,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        journals: Pair[Journal],
        clock: SteppedClock | None,
        tell: Callable[[str], None],
    ) -> None:
        self._run = run
        self._journals = journals
        self._clock = clock
        self._tell = tell

    def check(self, mine: Any, theirs: Any, what: str) -> None:
        """Fails where both do not tell alike; what is equal as it is need not be made comparable first."""
        if mine != theirs:
            exact = self._clock is not None
            with self._told():
                check_alike(comparable(mine, exact=exact), comparable(theirs, exact=exact), what)

    def ask(self, work: Callable[[Journal, int], Awaitable[_T]]) -> Pair[Any]:
        """Carry out `work` on both (it is told the side, 0 or 1), compare, and return both answers."""
        with self._told():
            pair: Pair[Any] = self._run(self._ask(work))
        self.check(pair.mine, pair.theirs, "answers")
        return pair

    @contextlib.contextmanager
    def _told(self) -> Generator[None, None, None]:
        try:
            yield
        except Exception as error:
            self._tell(f"{type(error).__name__}: {error}")
            raise

    async def _ask(self, work: Callable[[Journal, int], Awaitable[_T]]) -> Pair[Any]:
        answers: list[Any] = []
        for side, journal in enumerate((self._journals.mine, self._journals.theirs)):
            try:
                answers.append(await work(journal, side))
            except ContinuumError as error:
                answers.append(type(error).__name__)
            if self._clock is None:
                await passed(journal, await journal.now() + _TICK)
        if self._clock is not None:
            self._clock.at += _TICK
        return Pair(*answers)


def comparable(value: Any, name: str = "", *, exact: bool = False) -> Any:
    """The value without what two journals may tell differently; with `exact`, times and fences stay."""
    if name in _CLOCK or name in _CHOSEN:
        return value if exact else _time(value, name)
    if name == "fence":
        return value if exact or value is None else value > 0
    if name == "cursor":
        return value is not None
    if name == "namespace":
        return None
    if isinstance(value, DueEntry):
        return value if exact else (_time(value.due, "due"), comparable(value.id))
    kind = cast(type[object], type(value))
    if issubclass(kind, msgspec.Struct):
        return _fields(value, kind, exact)
    if kind in (list, tuple):
        return _members(value, exact)
    if kind is dict:
        return {name: comparable(each, exact=exact) for name, each in value.items()}
    if isinstance(value, enum.Enum):
        return value.name
    return value.hex[-12:] if isinstance(value, UUID) else value


def _time(value: int | None, name: str) -> object:
    """A time that the caller chose as it is; of the clock's times only whether there is one."""
    if value is None:
        return None
    chosen = name in _CHOSEN and (value <= _EARLY or value >= FAR)
    return value if chosen else "a time"


def _fields(value: Any, kind: type[msgspec.Struct], exact: bool) -> dict[str, Any]:
    names = kind.__struct_fields__
    skipped = "next_due" if kind is TaskClaims else ""  # a hint, of the clock's making
    told = {name: comparable(getattr(value, name), name, exact=exact) for name in names if name != skipped}
    return {"": kind.__name__, **told}


def _members(values: Iterable[Any], exact: bool) -> list[Any]:
    members = list(values)
    if not exact and members and isinstance(members[0], DeadLetter):  # their order is that of the clock
        members.sort(key=lambda letter: letter.delivery.id.int)
    return [comparable(member, exact=exact) for member in members]
