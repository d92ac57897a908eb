"""The fairness key of a task: what the activity's function says of the input, if a journal can keep it."""

from __future__ import annotations

from typing import Any

import pytest

from continuum_core import Machine, MachineFault, activity, root
from continuum_core.interpreter.events import Start
from continuum_core.interpreter.macrostep import step
from continuum_core.mapper import ask, unborn
from continuum_core.mapper.asking import LONGEST_KEY
from tests.mapper.machines import NOW, RUN, entry_of, ids


def key_of(fairness: Any, value: str = "ann") -> str:
    """The fairness key of the task of a machine that begins with an activity."""

    @activity(fairness=fairness)
    async def water(name: str) -> str:
        return name

    class Watering(Machine[str, str, str], name="watering"):
        s = root(str)
        dry = s.state(initial=True)
        wet = s.final()
        init = staticmethod(lambda i: i)
        result = staticmethod(lambda c: c)
        dry.invoke(water, lambda c: c, done=wet, error=wet)

    entry = entry_of(Watering)
    made = step(entry.program, unborn().snapshot, Start(value), NOW)
    [task] = ask(entry, "default", RUN, made, RUN, ids()).tasks
    return task.fairness


def test_the_function_is_given_the_input() -> None:
    assert key_of(lambda name: name.upper()) == "ANN"
    assert key_of(None) == ""
    assert key_of(lambda name: name, "é" * LONGEST_KEY) == "é" * LONGEST_KEY


@pytest.mark.parametrize(
    ("fairness", "told"),
    [
        (lambda name: name[99], "IndexError: string index out of range"),
        (lambda name: 7, "it gave 7; a fairness key is text"),
        (lambda name: None, "it gave None; a fairness key is text"),
        (lambda name: name * 100, "at most 200 characters"),
        (lambda name: name + "\0", "no NUL"),
        (lambda name: name + "\ud800", "characters of Unicode"),
    ],
)
def test_what_no_journal_can_keep_is_a_fault_of_the_machine(fairness: Any, told: str) -> None:
    """Not an error of the journal in the middle of a commit: the run parks, and says where to look."""
    with pytest.raises(MachineFault, match="fairness of activity water") as caught:
        key_of(fairness)
    assert told in str(caught.value)
