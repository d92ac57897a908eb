"""Which stored runs a process may take, and what it is asked for by name."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from continuum_core import Machine, Queue, UnknownMachine, UsageError, activity, event, root
from continuum_core.definition.compatibility import ChangeKind
from continuum_core.errors import UnknownVersion
from continuum_core.registry import Registry
from tests.mapper.machines import Home, Larger, Smaller, entry_of
from tests.runtime.machines import Job, Steps

HOME, LARGER, SMALLER = entry_of(Home), entry_of(Larger), entry_of(Smaller)


@event
class Ring:
    pass


class Impostor(Machine[int, int, int], name="home", version=1):
    """Another machine under the same name and version."""

    s = root(int)
    here = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    here.on(Ring, done)


def doing(name: str, body: Any) -> Any:
    """A machine with this one activity."""

    class Doing(Machine[int, int, int], name=name):
        s = root(int)
        here = s.state(initial=True)
        done = s.final()
        init = staticmethod(lambda i: i)
        result = staticmethod(lambda c: c)
        here.invoke(body, lambda c: c, done=done, error=done)

    return Doing


@activity(queue=Queue("mail", limit=2))
async def letter(n: int) -> int:
    return n


@activity(queue=Queue("mail", limit=2))
async def card(n: int) -> int:
    return n


@activity(queue=Queue("mail", limit=3))
async def parcel(n: int) -> int:
    return n


@activity(queue="mail")
async def telegram(n: int) -> int:
    return n


def test_a_queue_is_declared_in_one_way_by_all_machines() -> None:
    """Two that say the same are one; a name alone joins it; another limit names both who state one."""
    registry = Registry([doing("telegrams", telegram), doing("letters", letter), doing("cards", card)])
    assert registry.queues() == {"mail": Queue("mail", limit=2)}
    with pytest.raises(
        UsageError,
        match=r"'mail' is declared in two ways: .*limit=2.* by activity card of "
        r"cards, .*limit=3.* by parcel of parcels",
    ):
        registry.add(doing("parcels", parcel))
    assert [entry.chart.name for entry in registry.entries()] == ["telegrams", "letters", "cards"]


def test_runs_of_an_older_definition_that_only_gained_something_are_adopted() -> None:
    registry = Registry([Larger])
    assert registry.takes() == {LARGER.fingerprint}
    with pytest.raises(UnknownVersion, match=HOME.fingerprint):
        registry.entry(HOME.fingerprint)
    registry.learn([HOME.definition, LARGER.definition])
    assert registry.takes() == {HOME.fingerprint, LARGER.fingerprint}
    assert registry.entry(HOME.fingerprint) is registry.named("home")
    assert registry.refused() == {}


def test_runs_of_a_definition_that_lost_something_are_refused_with_the_reasons() -> None:
    registry = Registry([Smaller])
    registry.learn([HOME.definition])
    assert registry.takes() == {SMALLER.fingerprint}
    assert registry.find(HOME.fingerprint) is None
    change = registry.refused()[HOME.fingerprint]
    assert change.kind is ChangeKind.NEEDS_UPGRADE
    assert "state home.garden: it is gone" in [str(each) for each in change.blocking]
    assert "state home.back: it is gone" in [str(each) for each in change.blocking]


def test_runs_never_go_back_to_an_older_version() -> None:
    registry = Registry([Home])
    registry.learn([LARGER.definition])
    assert registry.takes() == {HOME.fingerprint}
    assert LARGER.fingerprint in registry.refused()


def test_two_versions_side_by_side_each_take_their_own_and_new_runs_get_the_newest() -> None:
    registry = Registry([Smaller, Home])
    registry.learn([HOME.definition, SMALLER.definition])
    assert registry.takes() == {HOME.fingerprint, SMALLER.fingerprint}
    assert registry.entry(HOME.fingerprint).chart is Home.chart
    assert registry.named("home").chart is Smaller.chart
    assert registry.refused() == {}


def test_definitions_of_machines_that_are_not_here_are_left_alone() -> None:
    registry = Registry([Job])
    registry.learn([HOME.definition])
    assert HOME.fingerprint not in registry.takes() | registry.refused().keys()


def test_a_definition_of_another_format_is_refused_and_not_guessed_at() -> None:
    registry = Registry([Home])
    body = HOME.definition.body.replace(b'"format":1', b'"format":2')
    registry.learn([replace(HOME.definition, fingerprint="of the future", body=body)])
    assert "of the future" in registry.refused()


def test_the_same_machine_twice_is_one_entry() -> None:
    registry = Registry([Home])
    assert registry.add(Home) is registry.add(Home.chart) is registry.named("home")
    assert len(registry.entries()) == 1


def test_two_machines_of_one_name_and_version_are_a_mistake_that_names_both_modules() -> None:
    with pytest.raises(
        UsageError, match=r"'home' version 1 \(in .*machines and .*test_registry\); raise one's"
    ):
        Registry([Home, Impostor])


@pytest.mark.parametrize("thing", [int, "home", None])
def test_what_is_no_machine_is_said_so(thing: Any) -> None:
    with pytest.raises(UsageError, match="is not a machine"):
        Registry([thing])


def test_a_name_that_is_not_here_is_told_with_those_that_are() -> None:
    registry = Registry([Home, Job])
    with pytest.raises(UnknownMachine) as caught:
        registry.named("hoem")
    assert caught.value.known == ("home", "job")
    assert registry.look("hoem") is None


def test_activities_of_all_machines_and_the_newest_version_wins() -> None:
    assert set(Registry([Home, Steps]).activities()) == {"water", "plain", "work", "slow"}
    assert "water" in Registry([Smaller, Home]).activities(), "an older version beside it still needs its own"


def test_states_by_path_and_back() -> None:
    mask = HOME.configuration(["home.garden"])
    assert HOME.paths(mask) == ("", "home", "home.garden")
    assert HOME.leaves(mask) == ("home.garden",)
    with pytest.raises(UnknownVersion, match=r"no state 'home\.shed' any more"):
        HOME.configuration(["home.shed"])
