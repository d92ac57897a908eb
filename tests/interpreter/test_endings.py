"""How a run ends: completed, failed, cancelled."""

from __future__ import annotations

from datetime import timedelta

from continuum_core.interpreter.commands import Close
from continuum_core.interpreter.events import Cancel, Failed, Failure
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.snapshot import Disposition, Outcome, OutcomeKind
from tests.interpreter.charts import Draft, Drive, Go, Stop, assign, chart, note, raises, root


def two_regions() -> tuple[Draft, Draft]:
    """A parallel state with exits to note, and a region that can leave it."""
    top = root(exit=note("-root"))
    p = top.parallel("p", exit=note("-p"))
    a = p.state("a", exit=note("-a"))
    p.state("b", exit=note("-b"))
    a.after(timedelta(seconds=1))
    return top, a


def test_a_final_child_of_the_root_completes_the_run() -> None:
    top, a = two_regions()
    end = top.final("end", entry=note("+end"), exit=note("-end"))
    a.on(Go, end)
    run = Drive.start(chart(top, result=lambda notes: "|".join(notes)))
    token = run.token("p.a")
    run.send(Go())
    assert run.snapshot.outcome == Outcome(OutcomeKind.COMPLETED, "-b|-a|-p|+end|-end|-root", 4)
    assert run.snapshot.configuration == 1 | 1 << 4  # the root and the final state
    assert run.last.commands == (Close(token),)
    assert run.snapshot.tokens == {}


def test_nothing_internal_is_taken_after_the_end() -> None:
    top = root()
    a = top.state("a")
    end = top.final("end")
    a.on(Go, end, actions=raises(lambda _: Stop()))
    top.on(Stop, a, actions=note("after the end"))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.active == ["end"]
    assert run.context == ()
    assert run.last.edges == ((1,),)


def test_a_run_may_end_as_it_starts() -> None:
    top = root()
    top.final("end")
    run = Drive.start(chart(top, init=lambda value: value), "input")
    assert run.snapshot.outcome == Outcome(OutcomeKind.COMPLETED, "input", 1)


def test_a_bad_final_state_fails_the_run_with_verdict_and_failure() -> None:
    top = root()
    a = top.state("a")
    bad = top.final("bad", ok=False)
    a.invoke(lambda _: None, errors=((Exception, bad),))
    a.on(Go, bad, actions=assign(lambda _: "asked"))
    made = chart(top, verdict=lambda context: ("verdict", context))
    broken = Failure("ValueError", "no", ("Exception",))
    run = Drive.start(made)
    run.take(Failed(run.token("a"), 0, broken))
    assert run.snapshot.outcome == Outcome(OutcomeKind.FAILED, ("verdict", ()), 2, broken)
    run = Drive.start(made)
    run.send(Go())
    assert run.snapshot.outcome == Outcome(OutcomeKind.FAILED, ("verdict", "asked"), 2, None)


def test_without_a_verdict_its_value_is_none() -> None:
    top = root()
    top.state("a").on(Go, top.final("bad", ok=False))
    run = Drive.start(chart(top))
    run.send(Go())
    assert run.snapshot.outcome == Outcome(OutcomeKind.FAILED, None, 2)


def test_a_cancelled_run_exits_everything() -> None:
    top, _ = two_regions()
    run = Drive.start(chart(top))
    token = run.token("p.a")
    taken = run.take(Cancel("enough"), now=8)
    assert taken.disposition is Disposition.TAKEN
    assert taken.commands == (Close(token),)
    assert run.context == ("-b", "-a", "-p", "-root")
    assert run.snapshot.configuration == 0
    assert run.snapshot.outcome == Outcome(OutcomeKind.CANCELLED, "enough")


def test_a_run_can_be_cancelled_before_it_starts() -> None:
    made = chart(two_regions()[0])
    taken = step(made, unborn(made), Cancel("never mind"), 3)
    assert taken.snapshot.outcome == Outcome(OutcomeKind.CANCELLED, "never mind")
    assert taken.snapshot.version == 1
