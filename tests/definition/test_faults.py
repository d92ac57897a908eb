"""Every fault has a machine that shows it, and the sound parts of that machine show nothing else."""

import asyncio
import functools
import logging
import os
import random
import socket
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from continuum_core.definition.activity import activity
from continuum_core.definition.check import CODES, DefinitionWarning, Severity
from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.event import AnyEvent, Question, event
from continuum_core.definition.fingerprint import graph
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import Step, steps
from continuum_core.definition.transaction import Transaction
from continuum_core.deterministic import patched
from continuum_core.errors import DefinitionError
from tests.definition import foreign
from tests.definition.machines import Count, Down, Next, Order, Reset, Up
from tests.definition.told import faults_of

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

LIMITS = [3]
MINUTE = timedelta(minutes=1)
log = logging.getLogger(__name__)
lock = threading.Lock()


@frozen
class Bag:
    items: list[int] = field(factory=list)
    id: str = field(factory=lambda: "x")


@frozen
class Stamped:
    id: Any = field(factory=uuid4)


@frozen
class Numbered:
    id: Any = field(factory=lambda: str(uuid4()))


class Plain:
    pass


class Unfit(Exception):
    pass


class Worse(Unfit):
    pass


@event
class Odd:
    what: Plain


@event(name="Up")
class AlsoUp:
    pass


@activity()
async def work(n: int) -> int:
    return n


@activity()
async def quiet(n: int) -> None:
    return None


@activity(name="work")
async def other_work(n: int) -> int:
    return n


@activity()
async def odd_work(n: Plain) -> int:
    return 0


def counted(i: int) -> Count:
    return Count(i)


def reached(c: Count) -> int:
    return c.value


begin, end = staticmethod(counted), staticmethod(reached)

CASES: list[tuple[str, Callable[[], object]]] = []


def shows(code: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    def keep(case: Callable[[], object]) -> Callable[[], object]:
        CASES.append((code, case))
        return case

    return keep


def codes(case: Callable[[], object]) -> list[str]:
    """The codes of all faults of a declaration, warnings included."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            case()
        except DefinitionError as error:
            return [fault.code for fault in faults_of(error)]
    return [
        warning.message.fault.code for warning in caught if isinstance(warning.message, DefinitionWarning)
    ]


# --- the class statement and its states ------------------------------------------------------------


@shows("C101")
def _() -> None:
    class M(Machine[Count, int, int]):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C101")
def _() -> None:
    class M(Machine[Count, int, int], name="with space"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C102")
def _() -> None:
    class M(Machine[Count, int, int], name="m", version=0):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C103")
def _() -> None:
    class M(Machine, name="m"):  # type: ignore[type-arg]  # the fault
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C103")
def _() -> None:
    class M(Machine[C, I, O], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end  # type: ignore[assignment]  # the fault: they fit no type variable
        a.on(Up, z)


@shows("C104")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        init, result = begin, end


@shows("C104")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        t = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C105")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Bag)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C106")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        result = end
        a.on(Up, z)


@shows("C107")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init = begin
        a.on(Up, z)


@shows("C108")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        result = end
        a.on(Up, z)

        def init(self, i: int) -> Count:  # type: ignore[override]  # the fault
            return Count(i)


@shows("C108")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final(ok=False)
        init, result = begin, end
        verdict = staticmethod(lambda c: "why")
        a.on(Up, z)


@shows("C109")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Down, s.state())


@shows("C110")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = b = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C111")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        result = s.final()  # type: ignore[assignment]  # the fault
        init = begin
        a.on(Up, result)


@shows("C112")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state()
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C113")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C114")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        p = s.parallel(initial=True)
        r = type(s).state(p, initial=True)  # type: ignore[arg-type]  # the fault
        q = p.state()
        z = s.final()
        init, result = begin, end
        p.on(Up, z)


@shows("C115")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        p = s.parallel(initial=True)
        r = p.state()
        z = s.final()
        init, result = begin, end
        p.on(Up, z)


@shows("C116")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        p = s.parallel(initial=True)
        q = p.state()
        r = p.final()  # type: ignore[attr-defined]  # the fault
        z = s.final()
        init, result = begin, end
        p.on(Up, z)


@shows("C117")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        z.on(Down, a)  # type: ignore[attr-defined]  # the fault


@shows("C118")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        c = s.choice()
        z = s.final()
        init, result = begin, end
        a.on(Up, c)
        c.always(z)
        c.after(MINUTE, z)  # type: ignore[attr-defined]  # the fault


@shows("C119")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        h = s.history(default=a)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Down, h)
        h.on(Up, z)  # type: ignore[attr-defined]  # the fault


@shows("C120")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        inner = b.state(initial=True)
        h = b.history(default=a)
        z = s.final()
        init, result = begin, end
        a.on(Up, h)
        b.on(Up, z)


@shows("C120")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state()
        h = s.history(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)


@shows("C121")
def _() -> None:
    class M(Order, name="m"):
        s = root(Count)  # type: ignore[arg-type]  # the other machine's context is another
        a = s.state(initial=True)
        z = s.final()
        a.on(Up, z)


@shows("C122")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result, verdict = begin, end, end
        a.on(Up, z)


# --- sequences -------------------------------------------------------------------------------------

p = steps(Count)


def listed(*given: Any, **more: Any) -> object:
    return sequence("m", *given, init=counted, result=reached, **more)


def working(name: str = "", error: Any = None) -> Step[Count]:
    return p.do(work, lambda c: c.value, error=error, name=name)


OUT_OF_PLACE: dict[str, Callable[[], object]] = {
    "error": lambda: listed(working(error=p.when(lambda c: c.value > 1))),
    "unless": lambda: listed(p.wait(Up, unless=(p.to(),))),  # type: ignore[arg-type]  # told, too
    "late": lambda: listed(p.wait(Up, within=MINUTE, late=p.on(Down))),  # type: ignore[arg-type]  # told, too
    "branch": lambda: listed(p.branch(p.on(Down)), p.wait(Up)),  # type: ignore[arg-type]  # told, too
    "anytime": lambda: listed(p.wait(Up), anytime=p.when(lambda c: c.value > 1)),
    "nothing": lambda: listed(),
    "only an end": lambda: listed(p.end()),
    "a class": lambda: listed(p.wait(Up), Down),
}
for _case in OUT_OF_PLACE.values():
    shows("C124")(_case)

UNNAMED: list[Callable[[], object]] = [
    lambda: listed(working(), working()),
    lambda: listed(working("result")),
    lambda: listed(working("_root")),
    lambda: listed(p.pause("a while", MINUTE)),
    lambda: listed(p.wait(Up, unless=(p.on(Down, p.end("over")), p.on(Reset, p.fail("over"))))),
    lambda: listed(p.wait(Up, name="completed")),
]
for _case in UNNAMED:
    shows("C123")(_case)


@shows("C103")
def _() -> None:
    sequence("m", p.wait(Up), init=lambda i: Count(i), result=reached)


@shows("C105")
def _() -> None:
    listed(steps(Bag).wait(Up))


@shows("C212")
def _() -> None:
    listed(p.wait(Up, late=p.end()))


@shows("C229")
def _() -> None:
    def another(c: Count) -> Count:
        return c

    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.continue_as_new(another)
        init, result = begin, end
        a.on(Up, z)


@shows("C230")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.remember("everything")  # type: ignore[arg-type]  # what is wrong here


@shows("C238")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z, checkpoint=True)


class Small(Machine[int, int, int], name="small"):
    s = root(int)
    a = s.final()
    b = s.state(initial=True)
    b.always(a)

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c


@shows("C240")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.spawn(work, lambda c: c.value)  # type: ignore[arg-type]  # the fault
        a.on(Up, z)


@shows("C241")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.each(Small, lambda c: (c.value,), limit=0, done=z, error=z)


@shows("C242")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(Small, lambda c: c.value, done=z, error=z, closing="forget")  # type: ignore[arg-type]  # the fault


@shows("C243")
def _() -> None:
    class Other(Machine[int, int, int], name="small"):
        s = root(int)
        a = s.state(initial=True)
        z = s.final()
        a.on(Up, z)

        @staticmethod
        def init(i: int) -> int:
            return i

        @staticmethod
        def result(c: int) -> int:
            return c

    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(Small, lambda c: c.value, done=z, error=z)
        a.spawn(Other, lambda c: c.value)


@shows("C244")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(Small, lambda c: c.value, done=z, error=z, key=lambda c: "k")


@shows("C301")
def _() -> None:
    listed(working("first"), p.end(), working("second"))


# --- edges -----------------------------------------------------------------------------------------


@shows("C201")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, "z")  # type: ignore[arg-type]  # the fault


@shows("C202")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, Order.paying)  # type: ignore[arg-type]  # the fault, and another context


@shows("C203")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Down, s)


@shows("C204")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.on(Up, (b, z))


@shows("C205")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.final()
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Up, b)
        a.on(Down, b)


@shows("C206")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Up, z, when=lambda c, e: c.value > 1)


@shows("C206")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(AnyEvent, z)
        a.on(Up, z)


@shows("C207")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(work, lambda c: c.value, done=z, error={Unfit: z, Worse: z, Exception: z})


@shows("C208")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(work, lambda c: c.value, done=z, error={Unfit: z})


@shows("C209")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z, when=lambda c, e: c.value > 1)
        a.on(Up, z, when=lambda c, e: c.value > 1)


@shows("C210")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        c = s.choice()
        z = s.final()
        init, result = begin, end
        a.on(Up, c)
        c.always(z, when=lambda c: c.value > 1)


@shows("C211")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.defer(Up)


@shows("C212")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.after(timedelta(0), z)


@shows("C212")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.after("30", z)  # type: ignore[arg-type]  # the fault


@shows("C213")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up(), z)  # type: ignore[arg-type]  # the fault


@shows("C214")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Plain, z)


@shows("C215")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z, when=True)  # type: ignore[arg-type]  # the fault


@shows("C215")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.after(MINUTE, z, assign=lambda c, e: c)  # type: ignore[misc, arg-type]  # the fault


@shows("C216")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.done(z)


@shows("C217")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z, internal=True)


@shows("C219")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(codes, lambda c: c.value, done=z, error=z)  # type: ignore[arg-type]  # the fault


@shows("C220")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(work, lambda c: c.value, done=z, error={"Unfit": z, Exception: z})  # type: ignore[dict-item]  # the fault


@shows("C221")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(quiet, lambda c: c.value, done=z, assign=lambda c, out: evolve(c, value=out), error=z)


@shows("C222")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        b.after(MINUTE, z)
        s.on(Down, b)


@shows("C223")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        p = s.parallel(initial=True)
        q = p.state()
        r = p.state()
        y = s.final()
        z = s.final()
        init, result = begin, end
        q.on(Up, y)
        r.on(Up, z)


@shows("C234")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.after(MINUTE, b)
        b.on(Up, z)


@shows("C235")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        s.deadline(MINUTE)
        a.after(2 * MINUTE, z)
        a.on(Up, z)


# --- the whole graph -------------------------------------------------------------------------------


@activity(undo=quiet)
async def undoable(number: int) -> int:
    return number


@activity(undo=quiet, timeout=MINUTE)
async def bounded(number: int) -> int:
    return number


@shows("C224")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        u = s.state()
        z = s.final()
        init, result = begin, end
        a.invoke(bounded, lambda c: c.value, done=z, error=u)
        u.compensate(None)
        u.on(Up, z)


@shows("C225")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        both = s.parallel()
        one = both.state()
        left = one.state(initial=True)
        left_done = one.final()
        two = both.state()
        right = two.state(initial=True)
        right_done = two.final()
        z = s.final()
        init, result = begin, end
        a.invoke(bounded, lambda c: c.value, done=z, error=both)
        left.compensate(left_done)
        right.compensate(right_done)
        both.done(z)


@shows("C225")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        u = s.state()
        inner = u.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(bounded, lambda c: c.value, done=z, error=u)
        u.compensate(z)
        inner.compensate(z)


@shows("C226")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.compensate(z)


@shows("C227")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(undoable, lambda c: c.value, done=z, error=z)


@shows("C228")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        u = s.state()
        z = s.final()
        init, result = begin, end
        a.invoke(undoable, lambda c: c.value, done=z, error=u)
        u.compensate(z)


@event
class HowMuch(Question[int]):
    pass


@shows("C231")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.answer(Up, lambda c, _: c.value, z)  # type: ignore[arg-type]  # the fault


@shows("C233")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        s.deadline(timedelta(hours=1))
        s.deadline(timedelta(hours=2))
        a.on(Up, z)


@shows("C212")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        s.deadline(timedelta(0))
        a.on(Up, z)


@shows("C212")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on_cancel(z, within="30")  # type: ignore[arg-type]  # the fault


@shows("C117")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        z.on_deadline(a)  # type: ignore[attr-defined]  # the fault


@shows("C501")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        s.deadline(lambda c: timedelta(seconds=time.time()))


@shows("C232")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(HowMuch, z)


@shows("C301")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        inner = b.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        inner.on(Up, z)


@shows("C302")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(Down, b)
        b.on(Up, assign=lambda c, e: c)


@shows("C303")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        init, result = begin, end
        a.on(Up, b)
        b.on(Up, a)


@shows("C304")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.always(b, when=lambda c: c.value > 1)
        b.always(a)


@shows("C304")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.always(when=lambda c: c.value > 1)


# --- types and activities ----------------------------------------------------------------------------


@shows("C401")
def _() -> None:
    class M(Machine[Plain, int, int], name="m"):
        s = root(Plain)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Plain())
        result = staticmethod(lambda c: 1)
        a.on(Up, z)


@shows("C402")
def _() -> None:
    class M(Machine[Count, Plain, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Count())
        result = end
        a.on(Up, z)


@shows("C403")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Odd, z)


@shows("C404")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(odd_work, lambda c: Plain(), done=z, error=z)


@shows("C405")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z)
        a.on(AlsoUp, z)


@shows("C406")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        b = s.state()
        z = s.final()
        init, result = begin, end
        a.invoke(work, lambda c: c.value, done=b, error=z)
        b.invoke(other_work, lambda c: c.value, done=z, error=z)


@shows("C407")
def _() -> None:
    @activity()
    async def body(n): ...  # type: ignore[no-untyped-def]  # the fault


@shows("C407")
def _() -> None:
    @activity()
    async def body(n: "Nowhere") -> None: ...  # type: ignore[name-defined]  # the fault  # noqa: F821


@shows("C408")
def _() -> None:
    @activity()
    async def body(n: int, m: int) -> None: ...


@shows("C408")
def _() -> None:
    @activity()
    async def body(*n: int) -> None: ...


@shows("C408")
def _() -> None:
    @activity()
    async def body(n: int) -> int:  # type: ignore[misc]  # the fault
        yield 1


@shows("C409")
def _() -> None:
    @activity(executor="process")
    async def body(n: int) -> None: ...


@shows("C409")
def _() -> None:
    @activity(executor="process")
    def body(n: int, *, connection: Transaction[str]) -> None: ...


@shows("C408")
def _() -> None:
    @activity()
    async def body(n: int, *, one: Transaction[str], another: Transaction[str]) -> None: ...


@shows("C408")
def _() -> None:
    @activity()
    async def body(connection: Transaction[str]) -> None: ...


@shows("C409")
def _() -> None:
    @activity(timeout=timedelta(0))
    async def body(n: int) -> None: ...


def queued(queue: Any) -> None:
    @activity(queue=queue)
    async def body(n: int) -> None: ...


for wrong in (
    "",
    3,
    Queue(""),
    Queue("mail", limit=0),
    Queue("mail", limit=True),
    Queue("mail", limit=2.5),  # type: ignore[arg-type]  # the fault
    Queue("mail", rate=5),  # type: ignore[arg-type]  # the fault
    Queue("mail", rate=Rate(0, MINUTE)),
    Queue("mail", rate=Rate(1, timedelta(0))),
    Queue("mail", rate=Rate(1, "60")),  # type: ignore[arg-type]  # the fault
    Queue("mail", rate=Rate(1, MINUTE, burst=0)),
    Queue("mail", rate=Rate(10**12, timedelta(days=365))),
):
    shows("C409")(functools.partial(queued, wrong))


@shows("C409")
def _() -> None:
    @activity(fairness="tenant")  # type: ignore[call-overload, untyped-decorator]  # the fault
    async def body(n: int) -> None: ...


def fair(fairness: Any) -> None:
    """A machine that is sound but for the fairness of its activity."""

    @activity(fairness=fairness)
    async def body(n: int) -> int:
        return n

    class Fair(Machine[Count, int, int], name="fair"):
        s = root(Count)
        init, result = begin, end
        working = s.state(initial=True)
        over = s.final()
        working.invoke(body, lambda c: c.value, done=over, error=over)


shows("C215")(functools.partial(fair, lambda: "x"))
shows("C215")(functools.partial(fair, lambda n, m: "x"))
shows("C502")(functools.partial(fair, lambda n: str(random.random())))


@shows("C410")
def _() -> None:
    @activity(queue=Queue("mail", limit=1))
    async def one(n: int) -> int:
        return n

    @activity(queue=Queue("mail", limit=2))
    async def two(n: int) -> int:
        return n

    class Twice(Machine[Count, int, int], name="twice"):
        s = root(Count)
        init, result = begin, end
        first = s.state(initial=True)
        second = s.state()
        over = s.final()
        first.invoke(one, lambda c: c.value, done=second, error=over)
        second.invoke(two, lambda c: c.value, done=over, error=over)


# --- purity ------------------------------------------------------------------------------------------


def machine(reduce: Any) -> None:
    """A sound machine but for this reducer of context and event."""

    class M(Machine[Bag, int, int], name="m"):
        s = root(Bag)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Bag())
        result = staticmethod(lambda c: 1)
        a.on(Up, z, assign=reduce)


class Shelf:
    def __init__(self) -> None:
        self.count = 0

    def take(self) -> int:
        self.count += 1
        return self.count


@frozen
class Rich:
    parts: tuple[Bag, ...] = ()
    counts: dict[str, int] = field(factory=dict)
    bag: Bag = Bag()

    @property
    def age(self) -> float:
        return time.time()

    def stamped(self) -> "Rich":
        return evolve(self, counts={"now": int(self.age)})

    def grown(self) -> "Rich":
        self.counts["x"] = 1
        return self

    @classmethod
    def made(cls) -> "Rich":
        return cls(counts={"now": int(time.time())})


SHELF = Shelf()


@functools.lru_cache
def cached(n: int) -> float:
    return time.time() + n


def loops(c: Rich, e: Up) -> Rich:
    for part in c.parts:
        part.items.append(1)
    return c


def nests(c: Rich, e: Up) -> Rich:
    def inner() -> float:
        return time.time()

    return evolve(c, counts={"now": int(inner())})


def deletes(c: Rich, e: Up) -> Rich:
    del c.counts["x"]
    return c


RICH: list[tuple[str, Any]] = [
    ("C501", lambda c, e: evolve(c, counts={"now": int(c.age)})),
    ("C501", lambda c, e: c.stamped()),
    ("C501", lambda c, e: Rich.made()),
    ("C501", lambda c, e: evolve(c, counts={"now": int(cached(1))})),
    ("C501", lambda c, e: evolve(c, counts={"now": sorted([1], key=lambda _: time.time())})),
    ("C501", nests),
    ("C503", lambda c, e: evolve(c, counts={sys.argv[0]: 1})),
    ("C504", lambda c, e: evolve(c, counts={Path("x").read_text(): 1})),
    ("C512", lambda c, e: c.grown()),
    ("C512", lambda c, e: evolve(c, counts={"n": SHELF.take()})),
    ("C512", lambda c, e: [part.items.append(1) for part in c.parts] and c),
    ("C512", lambda c, e: c.__dict__.update(counts={}) or c),
    ("C512", loops),
    ("C512", deletes),
]


@pytest.mark.parametrize(("code", "reduce"), RICH, ids=[f"{code}-{i}" for i, (code, _) in enumerate(RICH)])
def test_impurity_is_found_behind_methods_helpers_and_other_names(code: str, reduce: Any) -> None:
    def case() -> None:
        class M(Machine[Rich, int, int], name="m"):
            s = root(Rich)
            a = s.state(initial=True)
            z = s.final()
            init = staticmethod(lambda i: Rich())
            result = staticmethod(lambda c: 1)
            a.on(Up, z, assign=reduce)

    assert set(codes(case)) == {code}


def helper() -> float:
    return deeper()


def deeper() -> float:
    return time.time()


def fill(items: list[int]) -> list[int]:
    items.append(1)
    return items


def imports(c: Bag, e: Up) -> Bag:
    import random as chance  # noqa: PLC0415

    return evolve(c, id=str(chance.random()))


def assigns(c: Bag, e: Up) -> Bag:
    c.items[0] = 1
    return c


def aliases(c: Bag, e: Up) -> Bag:
    mine = c.items
    mine.sort()
    return c


def remembers(c: Bag, e: Up) -> Bag:
    LIMITS.append(1)
    return c


counter: int


def rebinds(c: Bag, e: Up) -> Bag:
    global counter
    counter = 1
    return c


async def waits(c: Bag, e: Up) -> Bag:
    return c


def yields(c: Bag, e: Up) -> Any:
    yield c


def captures() -> None:
    seen: list[int] = []
    machine(lambda c, e: evolve(c, items=seen))


IMPURE: list[tuple[str, Any]] = [
    ("C501", lambda c, e: evolve(c, id=str(time.time()))),
    ("C501", lambda c, e: evolve(c, id=str(helper()))),
    ("C502", lambda c, e: evolve(c, id=str(random.random()))),
    ("C502", lambda c, e: evolve(c, id=str(uuid4()))),
    ("C502", lambda c, e: Bag(id=str(Stamped()))),
    ("C502", lambda c, e: Bag(id=str(Numbered()))),
    ("C502", imports),
    ("C503", lambda c, e: evolve(c, id=os.environ["HOME"])),
    ("C503", lambda c, e: evolve(c, id=os.getenv("HOME"))),
    ("C504", lambda c, e: evolve(c, id=open("x").read())),  # noqa: SIM115
    ("C504", lambda c, e: evolve(c, id=str(sqlite3.connect("x")))),
    ("C505", lambda c, e: evolve(c, id=socket.gethostname())),
    ("C506", lambda c, e: lock.acquire() and c),
    ("C506", lambda c, e: evolve(c, id=str(work(1)))),
    ("C506", lambda c, e: asyncio.run(c)),
    ("C507", lambda c, e: time.sleep(1) or c),  # type: ignore[func-returns-value, redundant-expr]  # gives None
    ("C508", lambda c, e: print(c) or c),  # type: ignore[redundant-expr]  # gives None
    ("C508", lambda c, e: log.info("x") or c),  # type: ignore[func-returns-value, redundant-expr]  # gives None
    ("C509", waits),
    ("C509", yields),
    ("C510", rebinds),
    ("C511", remembers),
    ("C512", lambda c, e: c.items.append(1) or c),
    ("C512", lambda c, e: evolve(c, items=fill(c.items))),
    ("C512", lambda c, e: setattr(c, "id", "y") or c),  # type: ignore[func-returns-value, redundant-expr]  # gives None
    ("C512", assigns),
    ("C512", aliases),
    ("C513", lambda c, e, seen=[]: c),
    ("C514", lambda c, e: evolve(c, id=foreign.shout(c.id))),
    ("C516", lambda c, e: evolve(c, id=nowhere)),  # type: ignore[name-defined]  # the fault  # noqa: F821
    ("C517", lambda c, e: evolve(c, id=str(hash(c.id)))),
    ("C518", lambda c, e: evolve(c, id=str(patched(c.id)))),
    ("C517", lambda c, e: evolve(c, id=eval("1"))),  # noqa: S307
]


@shows("C513")
def _() -> None:
    captures()


@shows("C515")
def _() -> None:
    names: dict[str, Any] = {"evolve": evolve}
    exec("reduce = lambda c, e: c", names)  # noqa: S102
    machine(names["reduce"])


@shows("C516")
def _() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        step = 2
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.on(Up, z, assign=lambda c, e: evolve(c, value=c.value + step))  # type: ignore[name-defined]  # the fault  # noqa: F821


# --- upgrades: beside this file lie the locks of `locked` version 1 and a spoilt one -----------------------


def upgraded(
    version: Any = 1,
    states: Callable[[Any, Any, Any], Any] = lambda a, b, z: {},
    *,
    name: str = "locked",
    context: Any = Count,
    **more: Any,
) -> None:
    """Version 2 of a machine, with states `a`, `b` and an end, and this upgrade."""

    class M(Machine[context, int, int], name=name, version=2):
        s = root(context)
        a = s.state(initial=True)
        b = s.state()
        h = s.history()
        z = s.final()
        init = staticmethod(lambda i: None)
        result = staticmethod(lambda c: 1)
        a.on(Up, b)
        b.on(Up, h)
        b.on(Down, z)
        s.upgrade(version, states(a, b, h), **more)


def everything(a: Any, b: Any, _h: Any) -> Any:
    """A place for all that version 1 has."""
    return {"both.left.left_one": b, "both.left.left_end": b, "both.right": b}


@shows("C601")
def _() -> None:
    upgraded(2)


@shows("C601")
def _() -> None:
    upgraded("1")


@shows("C601")
def _() -> None:
    upgraded(1, lambda a, b, h: {"both": "b"}, to=2, name="to-nowhere")


@shows("C602")
def _() -> None:
    upgraded(1, lambda a, b, h: {"both.left.left_one": b, "both.left.left_end": b})


@shows("C603")
def _() -> None:
    upgraded(1, lambda a, b, h: {**everything(a, b, h), "both.lefty": b})


@shows("C603")
def _() -> None:
    upgraded(1, lambda a, b, h: {**everything(a, b, h), a: b})


@shows("C604")
def _() -> None:
    upgraded(1, lambda a, b, h: {**everything(a, b, h), "both.right": h})


@shows("C604")
def _() -> None:
    """Two states that are active together lead to two that never are."""
    upgraded(1, lambda a, b, h: {**everything(a, b, h), "both.right": a})


@shows("C604")
def _() -> None:
    upgraded(1, lambda a, b, h: {**everything(a, b, h), "a": "b"})


@shows("C605")
def _() -> None:
    upgraded(1, everything, context=Bag)


@shows("C606")
def _() -> None:
    upgraded(1, name="spoilt")


@shows("C607")
def _() -> None:
    upgraded(1, name="never-locked")


def searchable(*attributes: tuple[Any, ...]) -> None:
    class M(Machine[Bag, int, int], name="m"):
        s = root(Bag)
        for each in attributes:
            s.attribute(*each)
        s.index_states()
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Bag())
        result = staticmethod(lambda c: 1)
        a.on(Up, z)


@pytest.mark.parametrize("name", ["no name", "1st", "", "x" * 101, None, "machine", "state", "and", "SORT"])
def test_an_attribute_has_a_name_that_queries_can_use(name: Any) -> None:
    assert codes(lambda: searchable((name, str))) == ["C701"]


@shows("C701")
def _() -> None:
    searchable(("version", int))


@shows("C702")
def _() -> None:
    searchable(("id", str, lambda c: c.id), ("id", str))


@shows("C703")
def _() -> None:
    searchable(("items", list, lambda c: c.items))


@shows("C703")
def _() -> None:
    searchable(("either", int | None))


@shows("C501")
def _() -> None:
    """What runs are found by is made by pure functions, too."""
    searchable(("age", float, lambda c: time.time() - len(c.items)))


def test_attributes_are_part_of_what_a_machine_is() -> None:
    class M(Machine[Bag, int, int], name="m"):
        s = root(Bag)
        s.attribute("size", int, lambda c: len(c.items))
        s.attribute("colour", Colour)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Bag())
        result = staticmethod(lambda c: 1)
        a.on(Up, z)

    assert [(each.name, each.kind, each.of is None) for each in M.chart.attributes] == [
        ("size", "number", False),
        ("colour", "text", True),
    ]
    assert not M.chart.finds_states
    told = graph(M.chart)["attributes"]
    assert (told["colour"], told["size"]["kind"]) == ({"kind": "text", "of": None}, "number")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def test_an_upgrade_that_leads_everywhere_is_sound() -> None:
    assert codes(lambda: upgraded(1, everything)) == []
    assert codes(lambda: upgraded(1, everything, context=Bag, ctx=lambda old: {"items": [], "id": "x"})) == []


def test_an_unmapped_state_is_told_with_what_to_write() -> None:
    with pytest.raises(DefinitionError) as caught:
        upgraded(1, lambda a, b, h: {"both.left.left_one": b, "both.left.left_end": b})
    [fault] = faults_of(caught.value)
    assert fault.what == "runs of version 1 may be in 'both.right', and version 2 has no such state"
    assert fault.remedy == "Say where they go: upgrade(1, {'both.right': ...})"


@pytest.mark.parametrize(
    ("code", "case"), CASES, ids=[f"{code}-{index}" for index, (code, _) in enumerate(CASES)]
)
def test_the_fault_is_told_and_no_other(code: str, case: Callable[[], object]) -> None:
    # A version that nobody locked has its own warning beside.
    assert set(codes(case)) - ({"C607"} if code == "C601" else set()) == {code}


@pytest.mark.parametrize(
    ("code", "reduce"), IMPURE, ids=[f"{code}-{i}" for i, (code, _) in enumerate(IMPURE)]
)
def test_an_impure_function_is_refused(code: str, reduce: Any) -> None:
    assert set(codes(lambda: machine(reduce))) == {code}


def test_every_code_is_shown() -> None:
    assert {code for code, _ in [*CASES, *IMPURE]} == set(CODES)


# --- how they are told ---------------------------------------------------------------------------------


def test_all_faults_are_told_at_once_with_place_and_remedy() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Bad(Machine[Count, int, int], name="bad"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            z = s.final()
            init = begin
            a.on(Up, "z")  # type: ignore[arg-type]  # the fault
            a.on(Plain, z)
            b.after("30", z)  # type: ignore[arg-type]  # the fault
            b.invoke(work, lambda c: c.value + random.randint(1, 6), done=z, error={Unfit: z})

    place = faults_of(caught.value)[0].place
    assert place is not None
    line = place.line
    here = __file__
    assert str(caught.value) == "\n".join(
        [
            "bad: 6 faults in the definition",
            f"  {here}:{line}: C107 class Bad: nothing makes the result. "
            "Write @staticmethod def result(c: Context) -> Result.",
            f"  {here}:{line + 6}: C201 a.on(Up): 'z' is not a state. "
            "Write the state itself, without quotes: z.",
            f"  {here}:{line + 7}: C214 a.on(Plain): class Plain is not marked as an event. "
            "Put @event on class Plain.",
            f"  {here}:{line + 8}: C212 b.after('30'): '30' is not a length of time. "
            "Give a timedelta, such as timedelta(minutes=30), seconds, or a function of the context.",
            f"  {here}:{line + 9}: C208 b.invoke(work): not every error of the activity leads somewhere. "
            "Add Exception: state to error=, or the run would wait for ever after another error.",
            f"  {here}:{line + 9}: C502 b.invoke(work) input: c.value + random.randint(1, 6) "
            "uses random.randint, which uses chance. "
            "Use random() or uuid4() of continuum_core: the same on every replay.",
        ]
    )


def test_a_warning_stands_at_its_place_and_lets_the_machine_pass() -> None:
    with pytest.warns(
        DefinitionWarning, match=r"C222 s\.on\(Down\): Down while in b leaves and enters b"
    ) as caught:

        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            z = s.final()
            init, result = begin, end
            a.on(Up, z)
            b.after(MINUTE, z)
            s.on(Down, b)

    assert M.chart.state("b").name == "b"
    place = M.chart.states[0].edges[0].place
    assert place is not None
    assert (caught[0].filename, caught[0].lineno) == (__file__, place.line)


def test_foreign_code_fails_where_the_machine_is_strict() -> None:
    with pytest.raises(DefinitionError) as caught:

        class M(Machine[Bag, int, int], name="m", strict=True):
            s = root(Bag)
            a = s.state(initial=True)
            z = s.final()
            init = staticmethod(lambda i: Bag())
            result = staticmethod(lambda c: 1)
            a.on(Up, z, assign=lambda c, e: evolve(c, id=foreign.shout(c.id)))

    assert [(fault.code, fault.severity) for fault in faults_of(caught.value)] == [("C514", Severity.ERROR)]


def test_code_that_somebody_vouches_for_passes() -> None:
    class M(Machine[Bag, int, int], name="m", strict=True, trusted_modules=("elsewhere",)):
        s = root(Bag)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Bag())
        result = staticmethod(lambda c: 1)
        a.on(Up, z, assign=lambda c, e: evolve(c, id=foreign.whisper(c.id)))
        a.on(Down, z, assign=lambda c, e: evolve(c, id=foreign.shout(c.id)))

    assert M.chart.name == "m"


SOUND: list[Any] = [
    lambda c, e: evolve(c, items=[*c.items, 1]),
    lambda c, e: evolve(c, items=fill(list(c.items))),
    lambda c, e: evolve(c, id="-".join(str(max(n, 1)) for n in sorted(c.items, key=lambda n: -n))),
    lambda c, e: evolve(c, items=c.items[: LIMITS[0]]),
    lambda c, e: c if isinstance(e, Up) and MINUTE.total_seconds() else evolve(c, id=f"{c.id:>10}".strip()),
]


@pytest.mark.parametrize("reduce", SOUND)
def test_a_pure_function_passes(reduce: Any) -> None:
    assert codes(lambda: machine(reduce)) == []


@given(st.lists(st.sampled_from([Up, Down, Next, Reset]), min_size=1, max_size=8))
def test_no_order_of_events_makes_the_checks_stumble(events: list[type]) -> None:
    def case() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            z = s.final()
            init, result = begin, end
            for each in events:
                a.on(each, z)

    doubled = {each for each in events if events.count(each) > 1}
    assert codes(case) == ["C209"] * len(doubled)


def test_to_keeps_what_it_was_given() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init, result = begin, end
        a.invoke(
            work,
            lambda c: c.value,
            done=z,
            error={
                Unfit: to(a, when=lambda c, f: c.value < 3, assign=lambda c, f: evolve(c, value=1)),
                Exception: z,
            },
        )

    first, second = M.chart.state("a").edges[1:]
    assert first.guard is not None
    assert (first.guard.label, first.guard.arity, first.targets) == ("c.value < 3", 2, (1,))
    assert (second.guard, second.targets) == (None, (2,))
