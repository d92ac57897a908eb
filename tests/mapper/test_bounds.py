"""What a machine asks for that no journal could hold: a fault of the machine, which says where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import Machine, MachineFault, Message, activity, event, root
from continuum_core.interpreter.events import Start
from continuum_core.interpreter.macrostep import step
from continuum_core.mapper import ask, unborn
from continuum_core.mapper.asking import Asked
from continuum_core.texts import LONGEST_NAME
from tests.mapper.machines import NOW, RUN, entry_of, ids

CENTURIES = timedelta(days=365 * 300)


@event
class Word:
    pass


@activity()
async def water(name: str) -> str:
    return name


def asked(key: str = "k", delay: timedelta = timedelta(hours=1), send: Message | None = None) -> Asked:
    """What the first step of a machine asks for, which begins with an activity, a timer and a message."""

    class Plant(Machine[str, str, str], name="plant"):
        s = root(str)
        dry = s.state(initial=True)
        wet = s.final()
        init = staticmethod(lambda i: i)
        result = staticmethod(lambda c: c)
        dry.invoke(water, lambda c: c, done=wet, error=wet, key=lambda c: key)
        dry.after(delay, wet)
        dry.entry(send=lambda c: () if send is None else (send,))

    entry = entry_of(Plant)
    made = step(entry.program, unborn().snapshot, Start("fern"), NOW)
    return ask(entry, "default", RUN, made, RUN, ids())


def test_what_every_journal_holds_is_asked_for() -> None:
    told = asked("é" * (LONGEST_NAME // 2), send=Message(Word(), machine="plant", key="x" * 2_000))
    assert told.tasks[0].key == "é" * (LONGEST_NAME // 2)
    assert len(told.deliveries) == 2


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"key": "a\0b"}, r"key of .*dry.*returned 'a.x00b': it contains NUL"),
    ({"key": "\ud800"}, r"key of .*dry.*returned '.ud800': it contains half of a surrogate pair"),
    ({"key": "x" * 801}, r"key of .*dry.*it has 801 bytes in UTF-8; a journal holds 800"),
    (
        {"delay": CENTURIES},
        r"timer of dry: the time at which it is due is beyond what every journal",
    ),
    (
        {"send": Message(Word(), machine="plant", key="k", delay=CENTURIES)},
        r"send: .* cannot be sent: the end of its delay is beyond what every journal can hold",
    ),
    ({"send": Message(Word(), machine="plant", key="\ud800")}, r"send: .* half of a surrogate pair"),
]


@pytest.mark.parametrize(("given", "told"), FAULTS)
def test_what_no_journal_can_hold_is_a_fault_of_the_machine(given: dict[str, Any], told: str) -> None:
    """Not an error of the journal in the middle of a commit: the run parks, and says where to look."""
    with pytest.raises(MachineFault, match=told):
        asked(**given)
