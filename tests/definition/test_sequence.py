"""A list of steps becomes the states and edges that a class would have had."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.event import event
from continuum_core.definition.failure import Failure
from continuum_core.definition.fingerprint import fingerprint, graph
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import steps
from continuum_core.definition.terminal import terminal
from continuum_core.errors import DefinitionError
from tests.definition.machines import Count, Down, Next, Reset, Up
from tests.definition.told import faults_of

DAY = timedelta(days=1)


class Unfit(Exception):
    pass


@event(name="card-PaidIn")
class PaidIn:
    cents: int


@activity(name="print-label")
async def printing(n: int) -> int:
    return n


def counted(i: int) -> Count:
    return Count(i)


def reached(c: Count) -> int:
    return c.value


def lost(c: Count, f: Failure) -> Count:
    return evolve(c, log=(f.message,))


def noted(c: Count) -> Count:
    return evolve(c, log=("late",))


p = steps(Count)

Parcel = sequence(
    "send-parcel",
    p.branch(
        p.when(lambda c: c.value > 9, p.wait(Up, name="asking"), p.pause("resting", DAY)),
        p.when(lambda c: c.value < 0, p.fail("refused")),
        otherwise=p.branch(p.when(lambda c: c.value == 0, p.end())),
    ),
    p.wait(
        PaidIn,
        when=lambda c, e: e.cents > 0,
        assign=lambda c, e: evolve(c, value=e.cents),
        unless=(p.on(Down, p.wait(Next), p.fail("refused")), p.on(Reset)),
        within=DAY,
        late=p.fail(assign=noted),
    ),
    p.do(
        printing,
        lambda c: c.value,
        assign=lambda c, n: evolve(c, value=n),
        error={Unfit: p.to(p.fail("refused"), assign=lost), ValueError: ()},
        key=lambda c: str(c.value),
    ),
    p.do(printing, lambda c: c.value, error=p.pause("giving_up", DAY), name="again"),
    anytime=p.on(Reset, p.fail()),
    init=counted,
    result=reached,
    version=3,
)


class Twin(Machine[Count, int, int], name="send-parcel", version=3):
    """What one would have written instead."""

    s = root(Count)
    choice = s.choice(initial=True)
    asking = s.state()
    resting = s.state()
    choice_2 = s.choice()
    awaiting_card_paid_in = s.state()
    awaiting_next = s.state()
    print_label = s.state()
    again = s.state()
    giving_up = s.state()
    refused = s.final(ok=False)
    completed = s.final()
    failed = s.final(ok=False)

    init = staticmethod(counted)
    result = staticmethod(reached)

    choice.always(asking, when=lambda c: c.value > 9)
    choice.always(refused, when=lambda c: c.value < 0)
    choice.always(choice_2)
    asking.on(Up, resting)
    resting.after(DAY, awaiting_card_paid_in)
    choice_2.always(completed, when=lambda c: c.value == 0)
    choice_2.always(awaiting_card_paid_in)
    awaiting_card_paid_in.on(
        PaidIn,
        print_label,
        when=lambda c, e: e.cents > 0,
        assign=lambda c, e: evolve(c, value=e.cents),
    )
    awaiting_card_paid_in.on(Down, awaiting_next)
    awaiting_card_paid_in.on(Reset, print_label)
    awaiting_card_paid_in.after(DAY, failed, assign=noted)
    awaiting_next.on(Next, refused)
    print_label.invoke(
        printing,
        lambda c: c.value,
        done=again,
        assign=lambda c, n: evolve(c, value=n),
        error={
            Unfit: to(refused, assign=lost),
            ValueError: again,
            Exception: failed,
        },
        key=lambda c: str(c.value),
    )
    again.invoke(printing, lambda c: c.value, done=completed, error=giving_up)
    giving_up.after(DAY, completed)
    s.on(Reset, failed)


def test_it_is_the_machine_that_a_class_would_have_been() -> None:
    assert json.dumps(graph(Parcel.chart), indent=1) == json.dumps(graph(Twin.chart), indent=1)
    assert fingerprint(Parcel.chart) == fingerprint(Twin.chart)
    assert terminal(Parcel.chart) == terminal(Twin.chart)


def test_it_is_a_class_of_the_module_that_made_it() -> None:
    assert issubclass(Parcel, Machine)
    assert (Parcel.__name__, Parcel.__module__, Parcel.chart.module) == ("SendParcel", __name__, __name__)


def test_a_step_listed_once_more_moves_no_name() -> None:
    """Names are stored with runs: only what was inserted is new."""
    before = sequence("m", p.wait(Up), p.wait(Down), init=counted, result=reached)
    after = sequence("m", p.wait(Up), p.wait(Next), p.wait(Down), init=counted, result=reached)
    known = [state.path for state in before.chart.states]
    assert [state.path for state in after.chart.states if state.path != "awaiting_next"] == known


def test_faults_stand_where_the_step_is() -> None:
    with pytest.raises(DefinitionError) as caught:
        sequence(
            "m",
            p.do(printing, lambda c: c.value),
            p.do(printing, lambda c: c.value),
            p.wait(
                Up,
                unless=p.on(Count),
            ),
            p.pause("never", -DAY),
            init=counted,
            result=reached,
        )
    told: list[Any] = faults_of(caught.value)
    first = min(fault.place.line for fault in told) - 3
    assert [(fault.code, fault.where, fault.place.line - first) for fault in told] == [
        ("C123", "print_label", 3),
        ("C214", "awaiting_up.on(Count)", 6),
        ("C212", "never.after(datetime.timedelta(days=-1))", 8),
    ]
    assert "another step is called 'print_label'. Give the step a name of its own" in str(caught.value)
