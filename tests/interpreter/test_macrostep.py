"""Selection, preemption, the internal queue, completion, and what becomes of unwanted events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from continuum_core.definition.event import event
from continuum_core.errors import UsageError
from continuum_core.interpreter.commands import Message, Send
from continuum_core.interpreter.events import Signal, Start, TimedOut, Undeclared
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.program import compile_chart
from continuum_core.interpreter.snapshot import Disposition, OutcomeKind
from tests.interpreter.charts import Draft, Drive, Go, Other, Stop, assign, chart, note, raises, root, sends


def flip() -> Draft:
    """Two states and an edge each way."""
    top = root()
    a, b = top.state("a"), top.state("b")
    a.on(Go, b)
    b.on(Go, a)
    return top


def test_a_class_with_a_chart_is_a_machine() -> None:
    class Machine:
        chart = chart(flip())

    started = step(Machine, unborn(Machine), Start(None), 5)
    assert step(Machine, started.snapshot, Signal(Go()), 6) == step(
        compile_chart(Machine.chart), started.snapshot, Signal(Go()), 6
    )


def test_one_chart_is_compiled_once() -> None:
    made = chart(flip())
    assert compile_chart(made) is compile_chart(made)


def test_anything_else_is_refused() -> None:
    with pytest.raises(UsageError, match="is no machine"):
        unborn(42)


def test_event_classes_the_chart_never_names_are_not_kept() -> None:
    made = chart(flip())
    run = Drive.start(made)
    for number in range(20):
        foreign: Any = event(type(f"Foreign{number}", (), {}))
        run.send(foreign())
    layout = compile_chart(made).layouts[run.snapshot.configuration]
    assert set(layout.groups) <= {Go}


def test_compiled_charts_are_kept_up_to_a_bound() -> None:
    kept = [chart(flip()) for _ in range(300)]
    first = compile_chart(kept[0])
    for made in kept:
        compile_chart(made)
    assert compile_chart(kept[-1]) is compile_chart(kept[-1])
    assert compile_chart(kept[0]) is not first
    assert compile_chart(kept[0]).chart is kept[0]


def test_now_never_goes_back() -> None:
    run = Drive.start(chart(flip()), now=100)
    assert run.take(Signal(Go()), now=40).snapshot.now == 100
    assert run.take(Signal(Go()), now=140).snapshot.now == 140


def test_a_snapshot_is_a_frozen_value() -> None:
    run = Drive.start(chart(flip()))
    with pytest.raises(AttributeError):
        run.snapshot.version = 9  # type: ignore[misc]  # exactly what must not work
    assert msgspec.structs.replace(run.snapshot, now=7) != run.snapshot
    assert "version=1" in repr(run.snapshot)


def test_the_inner_edge_wins_then_document_order() -> None:
    top = root()
    a = top.state("a")
    b = a.state("b")
    a.on(Go, actions=note("outer"))
    b.on(Go, actions=note("refused"), guard=lambda _: False)
    b.on(Go, actions=note("inner"))
    b.on(Go, actions=note("late"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("inner",)


def test_a_guard_sees_context_and_event() -> None:
    top = root()
    a = top.state("a")
    a.on(Go, actions=assign(lambda _, go: go.number), guard=lambda context, go: go.number > context)
    run = Drive.start(chart(top, init=lambda value: value), 3)
    assert run.send(Go(3)).disposition is Disposition.UNHANDLED
    assert run.send(Go(4)).disposition is Disposition.TAKEN
    assert run.context == 4


def test_any_takes_every_users_event_in_document_order() -> None:
    top = root()
    a = top.state("a")
    a.on(Go, actions=note("go"))
    a.any(actions=note("any"))
    a.on(Stop, actions=note("never"))
    run = Drive.start(chart(top))
    run.send(Go(), Stop(), Other())
    assert run.context == ("go", "any", "any")


def regions() -> tuple[Draft, Draft, Draft, Draft]:
    """A parallel state with two regions of one child each, and a state beside it."""
    top = root()
    p = top.parallel("p")
    a = p.state("a").state("a1")
    b = p.state("b").state("b1")
    top.state("out")
    return top, p, a, b


def test_every_region_takes_its_own_edge_in_one_microstep() -> None:
    top, _, a, b = regions()
    a.on(Go, actions=note("a"))
    b.on(Go, actions=note("b"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("a", "b")
    assert run.last.edges == ((0, 1),)


def test_a_shared_ancestors_edge_is_taken_once() -> None:
    top, p, _, _ = regions()
    p.on(Go, actions=note("p"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("p",)


def test_of_two_edges_that_leave_the_parallel_the_first_in_document_order_stays() -> None:
    top, _, a, b = regions()
    out = top.children[-1]
    a.on(Go, out, actions=note("a"))
    b.on(Go, out, actions=note("b"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("a",)
    assert run.last.edges == ((0,),)


def test_an_inner_edge_preempts_the_ancestors() -> None:
    top, p, _, b = regions()
    out = top.children[-1]
    p.on(Go, out, actions=note("p"))
    b.on(Go, b, actions=note("b"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("b",)
    assert "out" not in run.active


def test_raised_events_come_before_anything_else_and_in_order() -> None:
    top = root()
    a, b, c = top.state("a"), top.state("b"), top.state("c")
    a.on(Go, b, actions=raises(lambda _: (Stop(), Other())))
    b.on(Stop, c, actions=note("stop"))
    b.on(Other, a, actions=note("wrong"))
    c.on(Other, actions=note("other"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["c"]
    assert run.context == ("stop", "other")
    assert run.last.edges == ((0,), (1,), (3,))


def test_eventless_edges_come_before_the_internal_queue() -> None:
    top = root()
    a, b, c = top.state("a"), top.state("b"), top.state("c")
    a.on(Go, b, actions=raises(lambda _: Stop()))
    b.on(Stop, a, actions=note("wrong"))
    b.always(c, actions=note("always"))
    c.on(Stop, actions=note("stop"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("always", "stop")


def test_a_raised_event_is_what_later_functions_see() -> None:
    top = root()
    a = top.state("a")
    a.on(Go, actions=raises(lambda _: Stop()))
    a.on(Stop, actions=assign(lambda _, seen: seen))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == Stop()


def test_a_choice_is_passed_through() -> None:
    top = root()
    a = top.state("a")
    pick = top.choice("pick")
    low, high = top.state("low"), top.state("high")
    a.on(Go, pick, actions=assign(lambda _, go: go.number))
    pick.always(high, guard=lambda number: number > 10)
    pick.always(low)
    for number, expected in ((3, "low"), (30, "high")):
        run = Drive.start(chart(top))
        run.send(Go(number))
        assert run.active == [expected]


def test_a_final_child_completes_its_parent() -> None:
    top = root()
    a = top.state("a")
    busy = a.state("busy")
    finished = a.final("finished")
    after = top.state("after")
    busy.on(Go, finished)
    a.done(after, actions=note("done"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["after"]
    assert run.context == ("done",)


def test_a_parallel_state_is_complete_when_all_regions_are() -> None:
    top = root()
    p = top.parallel("p")
    for name, cls in (("a", Go), ("b", Stop)):
        region = p.state(name)
        busy = region.state("busy")
        busy.on(cls, region.final("finished"))
    after = top.state("after")
    p.done(after)
    run = Drive.start(chart(top))
    run.send(Go())
    assert "after" not in run.active
    run.send(Stop())
    assert run.active == ["after"]


def test_a_parallel_region_of_a_parallel_state_completes_it_too() -> None:
    top = root()
    outer = top.parallel("outer")
    inner = outer.parallel("inner")
    region = inner.state("region")
    region.state("busy").on(Go, region.final("finished"))
    after = top.state("after")
    outer.done(after)
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["after"]


def test_an_unwanted_event_is_recorded_and_changes_nothing() -> None:
    run = Drive.start(chart(flip()))
    before = run.snapshot
    taken = run.take(Signal(Other()), now=9)
    assert taken.disposition is Disposition.UNHANDLED
    assert taken.edges == ()
    assert taken.commands == ()
    assert taken.snapshot == msgspec.structs.replace(before, version=2, now=9)


def test_a_deferred_event_is_kept_unless_an_edge_takes_it() -> None:
    top = root()
    a = top.state("a", deferred=(Go, Stop))
    b = a.state("b")
    b.on(Go, actions=note("go"), guard=lambda notes: len(notes) == 0)
    run = Drive.start(chart(top))
    assert run.send(Stop()).disposition is Disposition.DEFERRED
    assert run.send(Other()).disposition is Disposition.UNHANDLED
    assert run.send(Go()).disposition is Disposition.TAKEN
    assert run.send(Go()).disposition is Disposition.DEFERRED


def test_an_inner_deferral_counts_before_an_outer_edge() -> None:
    top = root()
    a = top.state("a", deferred=(Go,))
    top.on(Go, actions=note("root"))
    top.on(Stop, actions=note("root"))
    run = Drive.start(chart(top))
    assert a.name == "a"
    assert run.send(Go()).disposition is Disposition.DEFERRED
    assert run.send(Stop()).disposition is Disposition.TAKEN


def test_another_region_still_takes_what_one_region_defers() -> None:
    top = root()
    both = top.parallel("both")
    left = both.state("left")
    left.state("waits", deferred=(Go,))
    right = both.state("right")
    right.state("takes").on(Go, actions=note("right"))
    run = Drive.start(chart(top))
    assert run.send(Go()).disposition is Disposition.TAKEN


def test_an_undeclared_event_is_recorded_as_unhandled_even_past_a_wildcard() -> None:
    top = root()
    top.state("a").any(actions=note("any"))
    run = Drive.start(chart(top))
    taken = run.take(Undeclared("Odd"), now=3)
    assert taken.disposition is Disposition.UNHANDLED
    assert taken.snapshot.version == 2


def test_sends_are_commands_in_the_order_made() -> None:
    top = root()
    a = top.state("a", exit=sends(lambda _: Message(Go(1), run="r1")))
    b = top.state("b", entry=sends(lambda _: (Message(Go(2), run="r2"), Message(Go(3), run="r3"))))
    a.on(Go, b, actions=sends(lambda _: None))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.last.commands == tuple(Send(Message(Go(n), run=f"r{n}")) for n in (1, 2, 3))


def test_the_first_event_is_a_start_and_only_that() -> None:
    made = chart(flip())
    with pytest.raises(UsageError, match="first event must be a Start"):
        step(made, unborn(made), TimedOut(1, 0), 0)
    early = step(made, unborn(made), Signal(Go()), 0)
    assert early.disposition is Disposition.DEFERRED, "events may come before the run has begun"
    assert early.snapshot == replace(unborn(made), version=1)
    run = Drive.start(made)
    with pytest.raises(UsageError, match="begun already"):
        run.take(Start(None))


def test_a_run_that_ended_takes_nothing() -> None:
    top = root()
    top.state("a").on(Go, top.final("end"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.snapshot.outcome is not None
    assert run.snapshot.outcome.kind is OutcomeKind.COMPLETED
    with pytest.raises(UsageError, match="over"):
        run.send(Go())
