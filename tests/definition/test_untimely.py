"""Events that come early are told of where they would be lost, and nowhere else; timers too late, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import AnyEvent
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import steps
from tests.definition.machines import Count, Down, Up
from tests.definition.test_reach import begin, counted, end, faults, reached, work

MINUTE = timedelta(minutes=1)


@activity()
async def other(n: int) -> int:
    return n


def kept(c: Count, n: int) -> Count:
    return Count(n)


class Draft:
    """What a case adds to: `busy` works, and is done in `waiting`, which `Up` leads on from."""

    def __init__(self) -> None:
        self.s = root(Count)
        self.busy = self.s.state(initial=True)
        self.waiting = self.s.state()
        self.z = self.s.final()
        self.more: dict[str, Any] = {}
        self.done: Any = self.waiting
        self.error: Any = self.z

    def add(self, name: str, state: Any) -> Any:
        self.more[name] = state
        return state


def told(change: Callable[[Draft], object]) -> list[tuple[str, str]]:
    """What is told of the machine of a case."""

    def declare() -> None:
        draft = Draft()
        change(draft)

        class M(Machine[Count, int, int], name="m"):
            s, busy, waiting, z = draft.s, draft.busy, draft.waiting, draft.z
            init, result = begin, end
            busy.invoke(work, lambda c: c.value, done=draft.done, assign=kept, error=draft.error)
            waiting.on(Up, z)
            locals().update(draft.more)

    return faults(declare)


LOST = [("C234", "waiting.on(Up)")]


def _chain(d: Draft) -> None:
    """The event is kept in the state next to it, and lost in the one before that."""
    d.done = next_ = d.add("next_", d.s.state())
    next_.after(MINUTE, d.waiting)
    next_.defer(Up)


def _choice(d: Draft) -> None:
    d.done = choice = d.add("choice", d.s.choice())
    choice.always(d.z, when=lambda c: c.value > 3)
    choice.always(d.waiting)


def _inside(d: Draft) -> None:
    """`waiting` leads into a compound whose child waits."""
    d.done = outer = d.add("outer", d.s.state())
    inner = d.add("inner", outer.state(initial=True))
    inner.on(Down, d.waiting)


@pytest.mark.parametrize("change", [lambda d: None, _chain, _choice], ids=["plain", "chain", "choice"])
def test_an_event_that_comes_early_is_told_of(change: Callable[[Draft], object]) -> None:
    assert told(change) == LOST


def test_the_event_of_a_state_inside_is_lost_as_well() -> None:
    assert told(_inside) == [("C234", "inner.on(Down)")]


def _sibling(d: Draft) -> None:
    """Another region hears it while the work is done."""
    both = d.add("both", d.s.parallel())
    d.waiting.on(Down, both)
    d.busy.defer(Up, Down)
    left, right = d.add("left", both.state()), d.add("right", both.state())
    working = d.add("working", left.state(initial=True))
    resting = d.add("resting", left.state())
    hearing = d.add("hearing", right.state(initial=True))
    working.after(MINUTE, resting)
    resting.on(Down, d.z)
    hearing.on(Down)


def _again(d: Draft) -> None:
    """The run is busy only where it has taken one already."""
    d.done = d.z
    first = d.add("first", d.s.state())
    d.busy.always(first, when=lambda c: c.value > 9)
    d.busy.on(Up)
    d.waiting.on(Down, first)
    late = d.add("late", d.s.state())
    first.on(Up, late)
    late.after(MINUTE, d.waiting)
    late.on(Down)


def _answers_a_failure(d: Draft) -> None:
    d.done, d.error = d.z, d.waiting


def _raises(d: Draft) -> None:
    def up(c: Count) -> Up:
        return Up()

    d.waiting.entry(raise_=up)


SOUND: dict[str, Callable[[Draft], object]] = {
    "kept": lambda d: d.busy.defer(Up),
    "let go": lambda d: d.busy.on(Up),
    "taken": lambda d: d.busy.on(Up, d.z),
    "taken by any": lambda d: d.busy.on(AnyEvent, d.z),
    "taken above": lambda d: d.s.on(Up, d.z),
    "raised by the machine": _raises,
    "heard beside": _sibling,
    "taken before": _again,
    "answers a failure": _answers_a_failure,
}


@pytest.mark.parametrize("name", SOUND)
def test_what_an_author_has_thought_of_is_not(name: str) -> None:
    assert told(SOUND[name]) == []


def test_what_moves_no_run_is_not() -> None:
    def change(d: Draft) -> None:
        d.busy.defer(Up)
        d.waiting.on(Down)

    assert told(change) == []


def test_a_list_of_steps_has_no_word_for_it() -> None:
    def declare() -> None:
        p = steps(Count)
        listed = (p.do(work, lambda c: c.value, assign=lambda c, n: Count(n)), p.wait(Up))
        sequence("m", *listed, init=counted, result=reached)

    assert faults(declare) == []


# --- deadlines ---------------------------------------------------------------------------------------


def _deadlines() -> Iterator[tuple[str, Callable[[Any, Any, Any, Any], object], list[tuple[str, str]]]]:
    def long(s: Any, a: Any, b: Any, z: Any) -> None:
        a.after(2 * MINUTE, z)

    def stopping(s: Any, a: Any, b: Any, z: Any) -> None:
        s.on_deadline(b)
        b.after(2 * MINUTE, z)

    yield "never passes", long, [("C235", "a.after(0:02:00)")]
    yield "just passes", lambda s, a, b, z: a.after(MINUTE, z), []
    yield "asks the context", lambda s, a, b, z: a.after(lambda c: 2 * MINUTE, z), []
    yield "after the deadline", stopping, []


@pytest.mark.parametrize(("name", "change", "expected"), list(_deadlines()), ids=lambda each: str(each)[:20])
def test_a_timer_beyond_the_deadline_is_told_of(
    name: str, change: Callable[[Any, Any, Any, Any], object], expected: list[tuple[str, str]]
) -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            z = s.final()
            init, result = begin, end
            s.deadline(MINUTE)
            a.on(Up, b)
            b.on(Down, z)
            change(s, a, b, z)

    assert faults(declare) == expected
