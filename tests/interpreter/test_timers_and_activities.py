"""State entries as tokens: what is started at the end of a macrostep, closed on exit, and too late."""

from __future__ import annotations

from datetime import timedelta

from continuum_core.interpreter.commands import Close, Message, Send, StartActivity, StartTimer
from continuum_core.interpreter.events import Failed, Failure, Finished, TimedOut
from continuum_core.interpreter.snapshot import Disposition
from tests.interpreter.charts import Drive, Go, Stop, assign, chart, function, note, root, sends

SECOND = 1_000_000


def failure(error: type[BaseException], message: str = "") -> Failure:
    """As a worker would tell it."""
    bases = tuple(base.__qualname__ for base in error.__mro__[1:-1])
    name = (
        error.__qualname__ if error.__module__ == "builtins" else f"{error.__module__}.{error.__qualname__}"
    )
    return Failure(name, message, bases)


class Declined(Exception):
    """A user's error."""


def test_timers_and_activities_start_in_entry_order_with_tokens_of_the_record() -> None:
    top = root()
    a = top.state("a")
    b = a.state("b")
    a.after(timedelta(seconds=2))
    b.invoke(lambda context: ("input", context), key=lambda context: f"key-{context}")
    b.after(function(lambda context: timedelta(seconds=context)))
    run = Drive.start(chart(top, init=lambda value: value), 7, now=100)
    first, second = 1 << 16 | 1, 1 << 16 | 2
    assert run.last.commands == (
        StartTimer(first, 0, 1, 100 + 2 * SECOND),
        StartTimer(second, 0, 2, 100 + 7 * SECOND),
        StartActivity(second, 0, 2, ("input", 7), "key-7"),
    )
    assert run.snapshot.tokens == {1: first, 2: second}


def test_a_negative_delay_is_due_at_once() -> None:
    top = root()
    top.state("a").after(function(lambda _: timedelta(seconds=-1)))
    run = Drive.start(chart(top), now=50)
    assert run.last.commands == (StartTimer(1 << 16 | 1, 0, 1, 50),)


def test_exits_close_tokens_inside_out_before_anything_starts() -> None:
    top = root()
    a = top.state("a")
    b = a.state("b")
    c = top.state("c")
    for state in (a, b, c):
        state.after(timedelta(seconds=1))
    a.on(Go, c, actions=sends(lambda _: Message(Stop(), run="r")))
    run = Drive.start(chart(top))
    outer, inner = run.token("a"), run.token("a.b")
    run.send(Go())
    token = 2 << 16 | 1
    assert run.last.commands == (
        Close(inner),
        Close(outer),
        Send(Message(Stop(), run="r")),
        StartTimer(token, 0, 3, SECOND),
    )
    assert run.snapshot.tokens == {3: token}


def test_a_state_left_within_the_macrostep_starts_nothing() -> None:
    top = root()
    a, b, c = top.state("a"), top.state("b"), top.state("c")
    b.after(timedelta(seconds=1))
    b.always(c)
    a.on(Go, b)
    run = Drive.start(chart(top))
    assert run.send(Go()).commands == ()
    assert run.snapshot.tokens == {}


def test_reentry_closes_the_old_token_and_mints_a_new_one() -> None:
    top = root()
    a = top.state("a")
    a.after(timedelta(seconds=1))
    a.on(Go, a)
    run = Drive.start(chart(top))
    old = run.token("a")
    run.send(Go())
    assert run.last.commands[0] == Close(old)
    assert run.token("a") == 2 << 16 | 1


def test_a_timer_takes_its_own_edge_only() -> None:
    top = root()
    a = top.state("a")
    a.after(timedelta(seconds=1), actions=note("first"))
    a.after(timedelta(seconds=2), actions=note("second"))
    run = Drive.start(chart(top))
    assert run.take(TimedOut(run.token("a"), 1)).disposition is Disposition.TAKEN
    assert run.context == ("second",)


def test_what_carries_a_dead_token_is_stale_and_still_recorded() -> None:
    top = root()
    a, b = top.state("a"), top.state("b")
    a.after(timedelta(seconds=1), b)
    a.invoke(lambda _: None, b, errors=((Exception, b),))
    a.on(Go, a)
    run = Drive.start(chart(top))
    dead = run.token("a")
    run.send(Go())
    for late in (TimedOut(dead, 0), Finished(dead, 0, 1), Failed(dead, 0, failure(ValueError))):
        before = run.snapshot
        taken = run.take(late, now=before.now + 1)
        assert taken.disposition is Disposition.STALE
        assert taken.edges == ()
        assert (run.snapshot.version, run.snapshot.now) == (before.version + 1, before.now + 1)
        assert run.active == ["a"]


def test_an_output_reaches_the_edges_guard_and_reducer() -> None:
    top = root()
    a, b = top.state("a"), top.state("b")
    a.invoke(lambda _: None, b, guard=lambda _, out: out > 1, actions=assign(lambda _, out: out))
    run = Drive.start(chart(top))
    assert run.take(Finished(run.token("a"), 0, 1)).disposition is Disposition.UNHANDLED
    assert run.take(Finished(run.token("a"), 0, 2)).disposition is Disposition.TAKEN
    assert run.context == 2


def test_a_success_that_no_edge_wants_is_unhandled_and_the_state_stays() -> None:
    top = root()
    top.state("a").invoke(lambda _: None)
    run = Drive.start(chart(top))
    token = run.token("a")
    assert run.take(Finished(token, 0, None)).disposition is Disposition.UNHANDLED
    assert run.token("a") == token


def test_a_failure_takes_the_first_edge_of_a_class_it_belongs_to() -> None:
    top = root()
    a = top.state("a")
    declined, lookup, other = top.state("declined"), top.state("lookup"), top.state("other")
    a.invoke(lambda _: None, errors=((Declined, declined), (LookupError, lookup), (Exception, other)))
    for error, expected in ((Declined, "declined"), (KeyError, "lookup"), (ValueError, "other")):
        run = Drive.start(chart(top))
        run.take(Failed(run.token("a"), 0, failure(error)))
        assert run.active == [expected]


def test_a_failure_of_another_family_is_unhandled() -> None:
    top = root()
    a = top.state("a")
    a.invoke(lambda _: None, errors=((LookupError, top.state("lookup")),))
    run = Drive.start(chart(top))
    assert run.take(Failed(run.token("a"), 0, failure(ValueError))).disposition is Disposition.UNHANDLED


def test_a_name_that_only_ends_alike_is_another_class() -> None:
    top = root()
    a = top.state("a")
    a.invoke(lambda _: None, errors=((KeyError, top.state("lookup")),))
    run = Drive.start(chart(top))
    foreign = Failure("elsewhere.KeyError", "", ("Exception", "BaseException"))
    assert run.take(Failed(run.token("a"), 0, foreign)).disposition is Disposition.UNHANDLED


def test_a_deferral_keeps_users_events_only() -> None:
    top = root()
    top.state("a", deferred=(Failure,)).invoke(lambda _: None)
    run = Drive.start(chart(top))
    assert run.take(Failed(run.token("a"), 0, failure(ValueError))).disposition is Disposition.UNHANDLED
