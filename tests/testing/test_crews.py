"""Machines with child runs and members, driven by hand and explored."""

from __future__ import annotations

import pytest

from continuum_core import RunFailed, UsageError
from continuum_core.testing import Drive, Engine, explore
from tests.crews.machines import Ctx, Fleet, Labels, Lost, Mixed, One, Parcel, Patient, label


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


async def test_an_engine_walks_no_path_of_child_runs() -> None:
    path = explore(One, inputs=[("a",)]).states()[0]
    async with Engine([One]) as engine:
        with pytest.raises(UsageError, match=r"walk the path with drive\(\)"):
            await path.run(engine)
