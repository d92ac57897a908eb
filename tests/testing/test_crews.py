"""Machines with child runs and members, driven by hand and explored."""

from __future__ import annotations

import pytest

from continuum_core import Machine, RunFailed, UsageError, root
from continuum_core.testing import Drive, Engine, Path, explore
from continuum_core.testing.moves import Complete, gathered, moves
from tests.crews.machines import (
    Armada,
    Ctx,
    Fleet,
    Labels,
    Lost,
    Mixed,
    One,
    Parcel,
    Patient,
    Waits,
    label,
)


class Keyed(Machine[None, None, None], name="testing-keyed"):
    """Two of one activity at once, told apart by their keys."""

    s = root(type(None))
    both = s.parallel(initial=True)
    first = both.state()
    printing = first.state(initial=True)
    printed = first.final()
    second = both.state()
    again = second.state(initial=True)
    twice = second.final()
    end = s.final()

    @staticmethod
    def init(i: None) -> None:
        return i

    @staticmethod
    def result(c: None) -> None:
        return c

    printing.invoke(label, lambda _: "a", done=printed, error=end, key=lambda _: "a")
    again.invoke(label, lambda _: "b", done=twice, error=end, key=lambda _: "b")
    both.done(end)


def test_a_child_run_is_completed_by_hand() -> None:
    run = Drive(One, ("a",))
    assert run.input(Parcel) == "a"
    run.complete(Parcel, "trk")
    assert run.result() == Ctx(("a",), ("trk",))


def test_a_child_run_fails_by_hand() -> None:
    run = Drive(One, ("a",))
    run.fail(Parcel, RunFailed("r-1", "lost", "why", None))
    assert run.states == {"failed"}
    with pytest.raises(UsageError, match="crew-parcel is not open"):
        run.complete(Parcel, "late")


def test_members_end_in_their_order_and_others_begin() -> None:
    run = Drive(Mixed, ("a", "b", "c", "d"))
    assert [each.input for each in run.open] == ["a", "b", "c"]
    other = run.fork()
    for parcel in "abcd":
        run.complete(Patient, f"trk-{parcel}")
    assert run.result().got == ("trk-a", "trk-b", "trk-c", "trk-d")
    assert len(other.open) == 3
    other.fail(Patient, RunFailed("r-1", "lost", None, None))
    assert other.open == []


def test_members_end_in_any_order_by_their_numbers() -> None:
    run = Drive(Mixed, ("a", "b", "c", "d"))
    assert run.members(Patient) == {0: "a", 1: "b", 2: "c"}
    run.complete(Patient, "trk-b", number=1)
    assert run.members(Patient) == {0: "a", 2: "c", 3: "d"}
    assert run.input(Patient, number=3) == "d"
    with pytest.raises(UsageError, match=r"crew-patient number 1 is not open \(numbers 0, 2, 3 are\)"):
        run.complete(Patient, "again", number=1)
    for number in (3, 2, 0):
        run.complete(Patient, f"trk-{number}", number=number)
    assert run.result().got == ("trk-0", "trk-b", "trk-2", "trk-3")


def test_a_member_fails_by_its_number() -> None:
    run = Drive(Labels, ("a", "b", "c"))
    assert run.members(label) == {0: "a", 1: "b"}
    run.fail(label, Lost("b"), number=1)
    run.complete(label, "x", number=2)
    run.complete(label, "y", number=0)
    assert run.result().got == ("y", "Lost", "x")


def test_one_child_run_is_no_member() -> None:
    run = Drive(One, ("a",))
    assert run.members(Parcel) == {}
    with pytest.raises(UsageError, match="crew-parcel number 0 is not open"):
        run.input(Parcel, number=0)


def test_an_activity_is_found_by_its_key() -> None:
    run = Drive(Keyed, None)
    run.complete(label, "late", key="b")
    assert [each.key for each in run.open] == ["a"]
    with pytest.raises(UsageError, match="label with key 'b' is not open"):
        run.fail(label, Lost("b"), key="b")


def test_activities_are_members_too() -> None:
    run = Drive(Labels, ("a", "b", "c"))
    run.complete(label, "x")
    run.fail(label, Lost("b"))
    run.complete(label, "z")
    assert run.result().got == ("x", "Lost", "z")


def test_the_ends_of_child_runs_are_choices() -> None:
    found = explore(One, inputs=[("a",)])
    assert {path.goal for path in found.states()} == {
        "working",
        "shipped",
        "failed",
        "stopped",
        "over",
        "left",
    }
    members = explore(Fleet, inputs=[("a", "b")])
    assert {path.goal for path in members.states()} == {"shipping", "shipped", "lost"}


def test_members_may_end_in_any_order_on_the_ways() -> None:
    run = Drive(Fleet, ("a", "b"))
    examples = gathered(Fleet.chart, (), {}, {})
    ends = {str(move) for move in moves(run, Fleet.chart, examples) if isinstance(move, Complete)}
    assert ends == {"crew-parcel 0 done", "crew-parcel 1 done"}
    many = Drive(Armada, tuple("abcdefgh"))
    ends = {str(move) for move in moves(many, Armada.chart, examples) if isinstance(move, Complete)}
    assert ends == {"crew-parcel 0 done", "crew-parcel 7 done"}


async def test_an_engine_walks_the_ways_of_members() -> None:
    found = explore(Labels, inputs=[("a", "b", "c")])
    assert [str(path) for path in found.edges()] == ["start > label 0 done > label 1 done > label 2 done"]
    by_last = Path(Labels, ("a", "b", "c"), tuple(reversed_ends()), "the last first", found.edges()[0].taken)
    async with Engine([Labels]) as engine:
        run = await by_last.run(engine)
        assert (await run.result()).got == ("x0", "x1", "x2")


def reversed_ends() -> list[Complete]:
    return [Complete(label, "printing", f"x{number}", number) for number in (1, 2, 0)]


def test_the_ways_of_a_machine_with_a_child_run_and_a_deadline() -> None:
    found = explore(Waits, inputs=[("a",)])
    assert sorted(map(str, found.edges())) == [
        "start > 1 h",
        "start > Leave",
        "start > crew-slow Exception",
        "start > crew-slow done",
    ]
    assert not found.gaps
    assert next(map(str, found.states())) == "start"
    for path in found.pairs():
        path.drive()


async def test_an_engine_walks_no_path_of_child_runs() -> None:
    path = explore(One, inputs=[("a",)]).states()[0]
    async with Engine([One]) as engine:
        with pytest.raises(UsageError, match=r"walk the path with drive\(\)"):
            await path.run(engine)
