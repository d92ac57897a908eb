"""Paths generated from machines, and what they cannot reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise

import pytest
from attrs import evolve, field, frozen

from continuum_core import Machine, MachineFault, UsageError, activity, event, now, root
from continuum_core.testing import Advance, Complete, Drive, Engine, Fail, Path, Send, explore
from continuum_core.testing.examples import example_of
from tests.definition.machines import (
    Authorised,
    Order,
    PlaceOrder,
    Quit,
    charge,
    is_big,
    release,
    reserve,
)


@event
class Go:
    pass


@event
class Late:
    pass


def even(_: object, __: object, value: int) -> None:
    if value % 2:
        raise ValueError("an odd number")


@event
class Odd:
    what: int = field(validator=even)


@activity()
async def work(n: int) -> int:
    return n


class Waits(Machine[int, int, int], name="waits"):
    """A timer beside an activity, a guard on its output, an event that no example can be made of."""

    s = root(int)
    both = s.parallel(initial=True)
    working = both.state()
    busy = working.state(initial=True)
    idle = working.final()
    waiting = both.state()
    patient = waiting.state(initial=True)
    impatient = waiting.final()
    odd = s.state()
    over = s.final()
    init = result = staticmethod(lambda n: n)

    busy.invoke(work, lambda c: c, done=idle, assign=lambda c, n: n, error=over)
    patient.after(timedelta(hours=1), impatient, when=lambda c: c > 5)
    patient.after(timedelta(hours=2), impatient)
    both.done(over)
    both.on(Odd, odd)
    odd.on(Go, over)


class Twice(Machine[int, int, int], name="twice"):
    """The same activity, open in two regions at once."""

    s = root(int)
    both = s.parallel(initial=True)
    left = both.state()
    one = left.state(initial=True)
    first = left.final()
    right = both.state()
    two = right.state(initial=True)
    second = right.final()
    over = s.final()
    lost = s.final(ok=False)
    init = result = staticmethod(lambda n: n)

    one.invoke(work, lambda c: 1, done=first, error=lost)
    two.invoke(work, lambda c: 2, done=second, error=lost)
    both.done(over)


class Clock(Machine[int, int, int], name="clock"):
    """Depends on the time: a path that was found at another time may not be there."""

    s = root(int)
    a = s.state(initial=True)
    z = s.final()
    init = result = staticmethod(lambda n: n)

    a.on(Go, z, when=lambda c, e: now().year < 2031)
    a.after(timedelta(days=1), a)


ORDERS = explore(Order, inputs=[PlaceOrder("o-1", 1), PlaceOrder("o-2", 2000_00)])
EVERY = {edge.number for state in Order.chart.states for edge in state.edges}


def on(paths: list[Path]) -> set[int]:
    return {number for path in paths for number in path.taken}


def test_every_state_is_reached_by_a_shortest_path() -> None:
    known = {path.goal: path for path in ORDERS.states()}
    resting = {state.path for state in Order.chart.states if not state.children} - {"screening"}
    assert set(known) == resting
    assert all(goal in path.drive().states for goal, path in known.items())
    assert [str(move) for move in known["charging"].moves] == ["reserve done", "Authorised"]
    assert str(known["undoing"]) == "start > reserve Exception"


def test_every_edge_that_no_guard_forbids_is_taken() -> None:
    """The generated `Authorised` covers the order of one cent, and not the big one."""
    assert ORDERS.gaps == []
    assert on(ORDERS.edges()) == EVERY
    assert len(ORDERS.edges()) < len(EVERY)


def test_every_pair_of_edges_is_taken_or_told() -> None:
    """Of the pairs that the graph has, by the words of both lists."""
    pairs = {pair for path in ORDERS.pairs() for pair in pairwise(path.taken)}
    assert all((first, second) in pairs for path in ORDERS.edges() for first, second in pairwise(path.taken))
    told = [gap.what for gap in ORDERS.pair_gaps]
    assert "root ─Cancel→ undoing, then root ─Cancel→ undoing" in told, "the second is swallowed"
    assert "review ─Approved→ paying, then paying ─after→ undoing" not in told
    assert len(told) == len(set(told))


@pytest.mark.parametrize("path", ORDERS.pairs(), ids=str)
def test_a_path_goes_the_same_way_again(path: Path) -> None:
    seen: list[set[str]] = []
    run = path.drive(lambda run: seen.append(run.states))
    assert tuple(run.taken) == path.taken
    assert len(seen) == len(path.moves) + 1
    assert seen[-1] == run.states


@pytest.mark.parametrize("path", ORDERS.edges(), ids=str)
async def test_a_path_is_gone_in_an_engine_too(path: Path) -> None:
    async with Engine([Order]) as engine:
        run = await path.run(engine)
        twin = path.drive()
        assert await engine.path(run) == twin.path
        assert await engine.context(run) == twin.context
        await engine.check(run)


async def test_an_activity_open_twice_ends_in_the_state_that_is_meant() -> None:
    found = explore(Twice)
    paths = [path for path in found.pairs() if len(path.moves) == 2]
    assert {path.drive().path[1][1] for path in paths} >= {
        ("both.left.first", "both.right.two"),
        ("both.left.one", "both.right.second"),
    }
    async with Engine([Twice]) as engine:
        for path in paths:
            assert await engine.path(await path.run(engine)) == path.drive().path


async def test_a_run_that_goes_elsewhere_in_the_engine_is_an_error() -> None:
    [path] = [path for path in explore(Clock, limit=3).edges() if Send(Go()) in path.moves]
    async with Engine([Clock], start=datetime(2040, 1, 1, tzinfo=UTC)) as engine:
        with pytest.raises(AssertionError, match=r"the run left the path start > Go"):
            await path.run(engine)


def test_the_same_machine_and_examples_give_the_same_paths() -> None:
    again = explore(Order, inputs=[PlaceOrder("o-1", 1), PlaceOrder("o-2", 2000_00)])
    assert [list(map(str, each.pairs())) for each in (again, ORDERS)] == [list(map(str, ORDERS.pairs()))] * 2
    assert again.pairs() == ORDERS.pairs()


def test_time_passes_from_timer_to_timer_beside_an_open_activity() -> None:
    found = explore(Waits, inputs=[1, 9])
    hour = Advance(timedelta(hours=1))
    [state] = [path for path in found.states() if path.goal == "both.waiting.impatient"]
    assert (state.input, state.moves) == (9, (hour,)), "the guard of the first timer"
    assert [path.moves for path in found.edges() if path.input == 1 and hour in path.moves] == [(hour, hour)]
    assert state.drive().states == {"both.working.busy", "both.waiting.impatient"}


def test_what_is_not_reached_is_told_with_the_reason() -> None:
    assert list(map(str, explore(Waits, inputs=[1], outputs={work: [2]}).gaps)) == [
        "odd: no path of the examples enters it",
        f"both ─Odd→ odd: there is no example of Odd: {Odd!r} refuses the example {{'what': 1}}: "
        "an odd number; give one",
        "both.waiting.patient ─after [c > 5]→ both.waiting.impatient: its guard never held: c > 5",
        "odd ─Go→ over: odd is never entered",
    ]


def test_examples_of_the_test_go_before_generated_ones() -> None:
    found = explore(
        Order,
        inputs=[PlaceOrder("o-1", 500)],
        events=[Authorised("t", 499), Authorised("u", 500)],
        outputs={reserve: ["hold-7"]},
        errors={charge: [KeyError("x")], release: []},
    )
    moves = {move for path in found.pairs() for move in path.moves}
    assert {move.event for move in moves if isinstance(move, Send) and type(move.event) is Authorised} == {
        Authorised("u", 500)
    }, "a guard was asked, and the one that it refuses leads nowhere"
    assert {move.output for move in moves if isinstance(move, Complete) and move.activity is reserve} == {
        "hold-7"
    }
    failed = {(move.activity.name, move.error.type) for move in moves if isinstance(move, Fail)}
    assert ("charge", "KeyError") in failed
    assert "release" not in {name for name, _ in failed}
    assert [gap.reason for gap in found.gaps if "[is_big]" in gap.what] == [
        f"its guard never held: {is_big.__name__}"
    ]


class Counts(Machine[int, int, int], name="counts"):
    """Its context is never the same twice."""

    s = root(int)
    a = s.state(initial=True)
    b = s.state()
    z = s.final()
    init = result = staticmethod(lambda n: n)

    a.on(Go, a, assign=lambda c, e: c + 1)
    a.on(Late, b)
    b.on(Go, b, assign=lambda c, e: c + 1)
    b.on(Quit, z, when=lambda c, e: c > 1000)


def test_a_search_that_meets_its_limit_says_so_and_has_been_everywhere() -> None:
    found = explore(Counts, limit=20)
    assert found.cut
    assert [path.goal for path in found.states()] == ["a", "b"]
    assert [gap.reason for gap in found.gaps] == [
        "no path of the examples enters it, as far as the limit let it search",
        "its guard never held: c > 1000, as far as the limit let it search",
    ]


def test_a_run_that_leaves_its_path_is_an_error() -> None:
    [path] = [path for path in explore(Clock, limit=3).edges() if Send(Go()) in path.moves]
    late = evolve(path, moves=(Advance(timedelta(days=400)), *path.moves))
    with pytest.raises(AssertionError, match=r"left the path start > 400 d > .*Go: it took edges"):
        late.drive()


class Breaks(Machine[int, int, int], name="breaks"):
    s = root(int)
    a = s.state(initial=True)
    z = s.final()
    init = result = staticmethod(lambda n: n)

    a.on(Go, z, assign=lambda c, e: c // 0)


def test_a_function_that_raises_on_an_example_is_told_with_the_way_there() -> None:
    with pytest.raises(MachineFault) as caught:
        explore(Breaks)
    assert "explore came here by [('start', ('a',))], and tried Send(event=Go())" in caught.value.__notes__


# --- examples ---------------------------------------------------------------------------------------


class Colour(Enum):
    RED = 1


@frozen
class Deep:
    colour: Colour
    place: PlaceOrder | None
    pair: tuple[int, str]
    names: tuple[str, ...]
    rest: dict[str, int] = field(factory=lambda: {"a": 1})


def test_an_example_is_plain_and_keeps_defaults() -> None:
    assert example_of(Deep) == Deep(Colour.RED, PlaceOrder("x", 1), (1, "x"), (), {"a": 1})


def test_what_nothing_is_known_of_has_no_example() -> None:
    with pytest.raises(UsageError, match=r"no example can be made of <class 'object'>; give one"):
        example_of(object)


# --- forks ------------------------------------------------------------------------------------------


def test_a_fork_goes_its_own_way() -> None:
    run = Drive(Order, PlaceOrder("o-1", 500))
    run.complete(reserve, "hold")
    other = run.fork()
    assert other.situation == run.situation
    other.send(Authorised("t", 500))
    assert (run.states, other.states) == ({"paying"}, {"charging"})
    assert (len(run.steps), len(other.steps)) == (2, 3)
    assert run.open == []
    assert [timer.state for timer in run.timers] == ["paying"]
    run.send(Authorised("t", 500))
    assert run.situation == other.situation
    assert run.taken == other.taken
    run.advance(timedelta(minutes=1))
    assert run.situation == other.situation, "no timer runs: the time makes no difference"
