"""Clock and chance of reducers: derived from the record, the same on every replay."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest

from continuum_core import deterministic
from continuum_core.clock import from_datetime, to_datetime
from continuum_core.errors import MachineFault, UsageError
from continuum_core.interpreter.events import Signal
from continuum_core.interpreter.macrostep import step
from tests.interpreter.charts import Draft, Drive, Go, assign, chart, root

NOW = from_datetime(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))


def drawing(draw: Any) -> Drive:
    """A run whose every event replaces the context by what is drawn."""
    top = root()
    a: Draft = top.state("a")
    a.on(Go, actions=assign(lambda _: draw()))
    return Drive.start(chart(top), now=NOW)


def four() -> tuple[Any, ...]:
    return deterministic.random(), deterministic.random(), deterministic.uuid4(), deterministic.uuid4()


def test_now_and_today_are_the_records() -> None:
    run = drawing(lambda: (deterministic.now(), deterministic.today()))
    run.take(Signal(Go()), now=NOW)
    assert run.context == (datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), date(2026, 3, 4))


def test_the_same_step_draws_the_same() -> None:
    run = drawing(four)
    taken = [step(run.chart, run.snapshot, Signal(Go()), NOW, b"run-1").snapshot.context for _ in range(2)]
    assert taken[0] == taken[1]


def test_each_draw_each_record_and_each_seed_differs() -> None:
    run = drawing(four)
    seen: list[Any] = []
    for seed in (b"run-1", b"run-2"):
        snapshot = run.snapshot
        for _ in range(3):
            snapshot = step(run.chart, snapshot, Signal(Go()), NOW, seed).snapshot
            seen += snapshot.context
    assert len(set(seen)) == len(seen)


def test_the_values_are_what_they_are_called() -> None:
    run = drawing(four)
    run.send(Go())
    first, second, one, other = run.context
    assert 0 <= first < 1
    assert 0 <= second < 1
    assert one.version == other.version == 4


def test_the_values_never_change_between_releases() -> None:
    run = drawing(four)
    run.take(Signal(Go()), now=NOW)
    assert [str(value) for value in run.context] == [
        "0.5522054163713505",
        "0.6357715410179491",
        "c9634ee8-6cc1-40b5-95f1-ba8e0d07f8c1",
        "87061607-7f05-4669-a207-b1bf547457f5",
    ]


def test_guards_draw_as_well() -> None:
    top = root()
    top.state("a").on(Go, guard=lambda _: deterministic.random() < 2)
    assert Drive.start(chart(top)).send(Go()).edges == ((0,),)


@pytest.mark.parametrize(
    "draw",
    [deterministic.now, deterministic.today, deterministic.random, deterministic.uuid4],
    ids=lambda draw: draw.__name__,
)
def test_outside_of_a_step_there_is_nothing_to_derive_from(draw: Any) -> None:
    with pytest.raises(UsageError, match="outside of a machine's guards, reducers"):
        draw()
    run = drawing(draw)
    run.send(Go())
    with pytest.raises(UsageError):
        draw()


def test_a_fault_leaves_no_record_open() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(MachineFault):
        drawing(fail).send(Go())
    with pytest.raises(UsageError):
        deterministic.now()


def test_a_step_within_a_reducer_has_its_own_record() -> None:
    inner = drawing(deterministic.random)

    def nested() -> tuple[datetime, Any, datetime]:
        before = deterministic.now()
        within = step(inner.chart, inner.snapshot, Signal(Go()), NOW + 1, b"inner")
        return before, within.snapshot.now, deterministic.now()

    run = drawing(nested)
    run.take(Signal(Go()), now=NOW)
    before, within, after = run.context
    assert before == after
    assert within == NOW + 1


def test_threads_that_step_at_once_do_not_see_each_other() -> None:
    meeting = threading.Barrier(2, timeout=10)
    found: dict[int, tuple[datetime, datetime]] = {}

    def look() -> tuple[datetime, datetime]:
        before = deterministic.now()
        meeting.wait()  # both threads are in the middle of their reducers now
        return before, deterministic.now()

    run = drawing(look)

    def turn(moment: int) -> None:
        found[moment] = step(run.chart, run.snapshot, Signal(Go()), moment).snapshot.context

    threads = [threading.Thread(target=turn, args=(NOW + number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {NOW + n: (to_datetime(NOW + n), to_datetime(NOW + n)) for n in (1, 2)}
