"""A machine's code that fails: told where, and nothing of the macrostep remains."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from continuum_core.errors import AuthorError, MachineFault
from continuum_core.interpreter.events import Signal, Start
from continuum_core.interpreter.macrostep import step, unborn
from tests.interpreter.charts import (
    Draft,
    Drive,
    Go,
    assign,
    chart,
    function,
    note,
    raises,
    root,
    sends,
)


def boom(*_: Any) -> Any:
    raise ZeroDivisionError("by nought")


def bad(context: Any) -> Any:
    return boom()


def at_edge(a: Draft, b: Draft) -> None:
    a.on(Go, b, actions=note("lost") + assign(bad))


def at_guard(a: Draft, b: Draft) -> None:
    a.on(Go, b, guard=bad)


def at_exit(a: Draft, b: Draft) -> None:
    a.options["exit"] = assign(bad)
    a.on(Go, b)


def at_entry(a: Draft, b: Draft) -> None:
    b.options["entry"] = assign(bad)
    a.on(Go, b)


def at_raise(a: Draft, b: Draft) -> None:
    a.on(Go, b, actions=raises(bad))


def at_send(a: Draft, b: Draft) -> None:
    a.on(Go, b, actions=sends(bad))


def at_input(a: Draft, b: Draft) -> None:
    b.invoke(bad)
    a.on(Go, b)


def at_key(a: Draft, b: Draft) -> None:
    b.invoke(lambda _: None, key=bad)
    a.on(Go, b)


def at_delay(a: Draft, b: Draft) -> None:
    b.after(function(bad))
    a.on(Go, b)


RAISING: dict[Callable[[Draft, Draft], None], str] = {
    at_edge: "assign in the edge 0 of a (machine.py:1)",
    at_guard: "guard of edge 0 of a (machine.py:0)",
    at_exit: "assign in the exit of a (machine.py:1)",
    at_entry: "assign in the entry of b (machine.py:1)",
    at_raise: "raise in the edge 0 of a (machine.py:1)",
    at_send: "send in the edge 0 of a (machine.py:1)",
    at_input: "input of activity work of b (machine.py:1)",
    at_key: "key of activity work of b (machine.py:1)",
    at_delay: "delay of timer 0 of b (machine.py:1)",
}


@pytest.mark.parametrize("build", RAISING, ids=lambda build: build.__name__)
def test_an_exception_rolls_the_macrostep_back(build: Callable[[Draft, Draft], None]) -> None:
    top = root()
    build(top.state("a"), top.state("b"))
    run = Drive.start(chart(top))
    before = msgspec.structs.replace(run.snapshot)
    with pytest.raises(MachineFault) as caught:
        step(run.chart, run.snapshot, Signal(Go()), 1)
    assert caught.value.machine == "sample"
    assert caught.value.where == RAISING[build]
    assert caught.value.what == "ZeroDivisionError: by nought"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert run.snapshot == before


@pytest.mark.parametrize(
    ("actions", "what"),
    [
        (raises(lambda _: "go"), "'go', which is no instance of an @event class"),
        (raises(lambda _: Go), "which is no instance of an @event class"),
        (raises(lambda _: (Go(), 3)), "3, which is no instance of an @event class"),
        (sends(lambda _: Go()), "which is no Message to send"),
    ],
)
def test_what_is_raised_or_sent_must_be_what_it_claims(actions: Any, what: str) -> None:
    top = root()
    top.state("a").on(Go, actions=actions)
    with pytest.raises(MachineFault) as caught:
        Drive.start(chart(top)).send(Go())
    assert what in caught.value.what


def test_a_delay_must_be_a_length_of_time_and_a_key_text() -> None:
    top = root()
    top.state("a").after(function(lambda _: "5"))
    with pytest.raises(MachineFault, match="'5', which is no length of time"):
        Drive.start(chart(top))
    top = root()
    top.state("a").invoke(lambda _: None, key=lambda _: 5)
    with pytest.raises(MachineFault, match="5, which is no text"):
        Drive.start(chart(top))


def test_init_and_result_are_the_machines_code_too() -> None:
    top = root()
    top.final("end")
    with pytest.raises(MachineFault, match=r"init .*by nought"):
        Drive.start(chart(top, init=bad))
    with pytest.raises(MachineFault, match=r"result .*by nought"):
        Drive.start(chart(top, result=bad))


def test_circles_are_found_and_told() -> None:
    top = root()
    a, b = top.state("a"), top.state("b")
    a.always(b)
    b.always(a)
    made = chart(top)
    with pytest.raises(MachineFault, match="more than 25 microsteps"):
        step(made, unborn(made), Start(None), 0, max_microsteps=25)


def test_the_bound_itself_is_allowed() -> None:
    top = root()
    top.state("a").always(actions=assign(lambda n: n + 1), guard=lambda n: n < 25)
    made = chart(top, init=lambda _: 0)
    assert step(made, unborn(made), Start(None), 0, max_microsteps=25).snapshot.context == 25
    with pytest.raises(MachineFault, match="more than 24 microsteps"):
        step(made, unborn(made), Start(None), 0, max_microsteps=24)


def test_a_choice_without_a_way_out_is_a_fault() -> None:
    top = root()
    pick = top.choice("pick")
    pick.always(top.state("a"), guard=lambda _: False)
    with pytest.raises(MachineFault, match="none of its edges is enabled"):
        Drive.start(chart(top))


def test_an_error_that_cannot_be_printed_is_still_placed() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def mute(_: Any) -> Any:
        raise Mute

    top = root()
    top.state("a").on(Go, guard=mute)
    with pytest.raises(MachineFault) as caught:
        Drive.start(chart(top)).send(Go())
    assert (caught.value.where, caught.value.what) == ("guard of edge 0 of a (machine.py:0)", "Mute")


def test_a_fault_keeps_its_facts_when_pickled() -> None:
    fault = MachineFault("order", "guard of edge 1", "ValueError: no")
    again: MachineFault = pickle.loads(pickle.dumps(fault))  # noqa: S301  # its own bytes
    assert isinstance(again, AuthorError)
    assert type(again) is MachineFault
    assert (again.machine, again.where, again.what) == ("order", "guard of edge 1", "ValueError: no")
    assert str(again) == "order: guard of edge 1: ValueError: no"


def test_a_later_macrostep_works_once_the_code_is_mended() -> None:
    mended: list[bool] = []
    top = root()
    a = top.state("a")
    a.after(timedelta(seconds=1))
    a.on(Go, actions=assign(lambda context: context if mended else boom()))
    run = Drive.start(chart(top))
    with pytest.raises(MachineFault):
        run.send(Go())
    mended.append(True)
    assert run.send(Go()).snapshot.version == 2
