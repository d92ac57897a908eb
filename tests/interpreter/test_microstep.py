"""Which states an edge exits and enters, in which order, and what histories remember."""

from __future__ import annotations

from typing import Any

from continuum_core.definition.chart import ActionKind
from tests.interpreter.charts import Draft, Drive, Go, Other, Stop, chart, note, root


def noted(parent: Draft, name: str, **options: Any) -> Draft:
    """A state that notes its entry and exit."""
    return parent.state(name, entry=note(f"+{name}"), exit=note(f"-{name}"), **options)


def test_start_enters_the_initial_states_from_the_outside_in() -> None:
    top = root(entry=note("+root"))
    a = noted(top, "a")
    noted(a, "b")
    run = Drive.start(chart(top))
    assert run.active == ["a", "a.b"]
    assert run.context == ("+root", "+a", "+b")
    assert run.last.edges == ()
    assert run.snapshot.version == 1


def test_an_edge_exits_inside_out_acts_and_enters_outside_in() -> None:
    top = root()
    a = noted(top, "a")
    b = noted(a, "b")
    c = noted(top, "c")
    d = noted(c, "d")
    b.on(Go, d, actions=note("act"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["c", "c.d"]
    assert run.context == ("+a", "+b", "-b", "-a", "act", "+c", "+d")
    assert run.last.edges == ((0,),)


def test_an_external_edge_of_a_compound_to_its_child_leaves_and_reenters_it() -> None:
    top = root()
    a = noted(top, "a")
    noted(a, "b")
    c = noted(a, "c")
    a.on(Go, c)
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("+a", "+b", "-b", "-a", "+a", "+c")


def test_an_internal_edge_of_a_compound_to_its_child_stays_inside() -> None:
    top = root()
    a = noted(top, "a")
    noted(a, "b")
    c = noted(a, "c")
    a.on(Go, c, internal=True)
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("+a", "+b", "-b", "+c")


def test_internal_has_no_meaning_for_a_parallel_source() -> None:
    top = root()
    p = top.parallel("p", exit=note("-p"))
    r1 = noted(p, "r1")
    noted(p, "r2")
    p.on(Go, r1, internal=True)
    run = Drive.start(chart(top))
    run.send(Go())
    assert "-p" in run.context
    assert run.active == ["p", "p.r1", "p.r2"]


def test_a_targetless_edge_exits_nothing() -> None:
    top = root()
    a = noted(top, "a")
    a.on(Go, actions=note("act"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("+a", "act")


def test_the_domain_is_never_a_parallel_state() -> None:
    top = root()
    p = top.parallel("p", exit=note("-p"))
    a = noted(p, "a")
    noted(p, "b")
    a.on(Go, a)
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("+a", "+b", "-b", "-a", "-p", "+a", "+b")


def test_targets_in_several_regions_are_all_entered() -> None:
    top = root()
    start = top.state("start")
    p = top.parallel("p")
    a, b = p.state("a"), p.state("b")
    a.state("a1")
    a2 = a.state("a2")
    b.state("b1")
    b2 = b.state("b2")
    start.on(Go, a2, b2)
    start.on(Stop, a2)
    both = Drive.start(chart(top))
    both.send(Go())
    assert both.active == ["p", "p.a", "p.a.a2", "p.b", "p.b.b2"]
    one = Drive.start(chart(top))
    one.send(Stop())
    assert one.active == ["p", "p.a", "p.a.a2", "p.b", "p.b.b1"]


def test_initial_may_be_a_descendant() -> None:
    top = root()
    a = top.state("a")
    b = a.state("b")
    b.state("c")
    d = b.state("d")
    a.initial = (d,)
    assert Drive.start(chart(top)).active == ["a", "a.b", "a.b.d"]


def remembering(deep: bool) -> Drive:
    """A compound of two levels, left and entered again by its history."""
    top = root()
    work = top.state("work")
    first = work.state("first")
    second = work.state("second")
    second.state("second1")
    deeper = second.state("deeper")
    back = work.history("back", first, deep=deep, opening=note("default"))
    pause = top.state("pause")
    first.on(Go, second)
    second.on(Go, deeper)
    work.on(Stop, pause)
    pause.on(Go, back)
    pause.on(Other, work)
    return Drive.start(chart(top))


def test_shallow_history_restores_the_child() -> None:
    run = remembering(deep=False)
    run.send(Go(), Go(), Stop(), Go())
    assert run.active == ["work", "work.second", "work.second.second1"]
    assert run.context == ()


def test_deep_history_restores_the_leaves() -> None:
    run = remembering(deep=True)
    run.send(Go(), Go(), Stop(), Go())
    assert run.active == ["work", "work.second", "work.second.deeper"]


def test_history_is_what_was_left_last() -> None:
    run = remembering(deep=True)
    run.send(Go(), Go(), Stop(), Go(), Stop(), Other(), Stop(), Go())
    assert run.active == ["work", "work.first"]


def test_a_history_never_left_takes_its_default_and_its_content() -> None:
    top = root()
    pause = top.state("pause")
    work = noted(top, "work")
    noted(work, "first")
    second = noted(work, "second")
    back = work.history("back", second, opening=note("default"))
    pause.on(Go, back)
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["work", "work.second"]
    assert run.context == ("+work", "default", "+second")


def test_a_history_target_restores_what_this_very_microstep_left() -> None:
    top = root()
    work = top.state("work")
    first = work.state("first")
    second = work.state("second")
    back = work.history("back", first)
    first.on(Go, second)
    work.on(Stop, back)
    run = Drive.start(chart(top))
    run.send(Go(), Stop())
    assert run.active == ["work", "work.second"]


def test_a_history_inside_what_stays_active_enters_nothing_of_that_again() -> None:
    """What was recorded lies deeper than the history: in `second`, which the edge does not leave."""
    top = root()
    pause = top.state("pause")
    work = noted(top, "work")
    second = noted(work, "second")
    deeper = noted(second, "deeper")
    back = work.history("back", second, deep=True)
    pause.on(Go, work)
    work.on(Stop, pause)
    deeper.on(Other, back)
    run = Drive.start(chart(top))
    run.send(Go(), Stop(), Go())
    before = run.context
    run.send(Other())
    assert run.context[len(before) :] == ("-deeper", "+deeper")
    assert run.active == ["work", "work.second", "work.second.deeper"]


def test_a_history_inside_a_region_leaves_the_other_regions_alone() -> None:
    top = root()
    both = top.state("around").parallel("both")
    one, two = both.state("one"), both.state("two")
    first, second = one.state("first"), one.state("second")
    here, there = two.state("here"), two.state("there")
    assert both.parent is not None
    back = both.parent.history("back", second)
    here.on(Go, there)
    first.on(Stop, back)
    run = Drive.start(chart(top))
    run.send(Go(), Stop())
    assert run.active[-2:] == ["around.both.two", "around.both.two.there"]
    assert "around.both.one.second" in run.active
    assert "around.both.one.first" not in run.active


def test_default_entry_content_runs_between_parent_and_child_and_only_then() -> None:
    top = root()
    start = top.state("start")
    a = noted(top, "a", opening=note("opening"))
    noted(a, "b")
    c = noted(a, "c")
    start.on(Go, a)
    start.on(Stop, c)
    by_default = Drive.start(chart(top))
    by_default.send(Go())
    assert by_default.context == ("+a", "opening", "+b")
    direct = Drive.start(chart(top))
    direct.send(Stop())
    assert direct.context == ("+a", "+c")


def test_actions_of_one_block_run_in_order() -> None:
    top = root()
    a = top.state("a")
    a.on(Go, actions=note("one") + note("two"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.context == ("one", "two")
    assert {action.kind for action in chart(top).states[1].edges[0].actions} == {ActionKind.ASSIGN}
