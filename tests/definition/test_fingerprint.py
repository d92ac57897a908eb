"""A fingerprint changes when the machine does, and only then; what may be adopted is classified exactly."""

import copy
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from continuum_core.codec import describe
from continuum_core.definition.activity import activity
from continuum_core.definition.compatibility import ChangeKind, compare
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.fingerprint import fingerprint, graph
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.retry import Retry
from continuum_core.definition.structure import breaks
from tests.definition.machines import Count, Order, Player, Up
from tests.definition.twins import Changed, Tidy, Untidy, limited

ROOT = Path(__file__).parent.parent.parent


def test_layout_comments_annotations_and_docstrings_leave_no_trace() -> None:
    assert graph(Tidy.chart) == graph(Untidy.chart)
    assert fingerprint(Tidy.chart) == fingerprint(Untidy.chart)


def test_a_changed_helper_is_seen() -> None:
    assert fingerprint(Tidy.chart) != fingerprint(Changed.chart)
    assert compare(graph(Tidy.chart), graph(Changed.chart)).kind is ChangeKind.ADOPTABLE


def test_a_captured_constant_is_seen() -> None:
    def made(limit: int) -> str:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            z = s.final()
            init = staticmethod(lambda i: Count(i))
            result = staticmethod(lambda c: c.value)
            a.on(Up, z, when=limited(limit))

        return fingerprint(M.chart)

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_an_activitys_policy_leaves_no_trace() -> None:
    """Limits may be changed, and fairness given or taken, under runs that are under way."""

    def made(**policy: Any) -> dict[str, Any]:
        @activity(**policy)  # type: ignore[untyped-decorator]  # which of its forms it is, only the call knows
        async def work(n: int) -> int:
            return n

        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            z = s.final()
            init = staticmethod(lambda i: Count(i))
            result = staticmethod(lambda c: c.value)
            a.invoke(work, lambda c: c.value, done=z, error=z)

        return graph(M.chart)

    plain = made()
    assert made(queue=Queue("q", limit=3)) == made(queue=Queue("q", limit=4)) == plain
    assert made(queue=Queue("q", rate=Rate(1, timedelta(seconds=1)))) == plain
    assert made(fairness=str) == made(fairness=lambda n: str(n % 2)) == plain
    assert made(priority=1, retry=Retry(attempts=9)) == plain


def test_the_graph_is_json_and_the_same_in_another_process() -> None:
    text = json.dumps(graph(Order.chart), sort_keys=True)
    assert json.loads(text) == graph(Order.chart)
    code = (
        "from tests.definition.machines import Order;"
        "from continuum_core.definition.fingerprint import fingerprint;"
        "print(fingerprint(Order.chart))"
    )
    command = [sys.executable, "-X", "utf8", "-c", code]
    environment = {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == fingerprint(Order.chart)


def test_the_form_is_pinned() -> None:
    """Stored runs are found by these: a change here leaves every stored run without a worker."""
    assert [fingerprint(each.chart) for each in (Tidy, Player)] == [
        "d21f82e3b53f7c28989a3f5f1ee70a8f",
        "b658512b574a7ef4d311f44927b15e4a",
    ]


def test_the_cache_does_not_keep_charts() -> None:
    def made() -> str:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            z = s.final()
            init = staticmethod(lambda i: Count(i))
            result = staticmethod(lambda c: c.value)
            a.on(Up, z)

        return fingerprint(M.chart)

    first = made()
    gc.collect()
    assert made() == first


# --- compatibility ----------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def state(shape: dict[str, Any], path: str) -> dict[str, Any]:
    return next(each for each in shape["states"] if each["path"] == path)


def drop(path: str) -> Change:
    def change(shape: dict[str, Any]) -> None:
        shape["states"] = [each for each in shape["states"] if each["path"] != path]

    return change


def put(path: str, key: str, value: Any) -> Change:
    return lambda shape: state(shape, path).update({key: value})


def add(path: str, kind: str, parent: str) -> Change:
    return lambda shape: shape["states"].append({"path": path, "kind": kind, "parent": parent})


def more_timers(shape: dict[str, Any]) -> None:
    state(shape, "paying")["timers"].append(5)
    state(shape, "paying")["edges"].append({"on": "after", "slot": 1, "to": ["review"]})


def earlier_timer(shape: dict[str, Any]) -> None:
    state(shape, "paying")["timers"].insert(0, 5)
    state(shape, "paying")["edges"].insert(0, {"on": "after", "to": ["review"]})


def move(shape: dict[str, Any]) -> None:
    state(shape, "review").update(path="paying.review", parent="paying")


ADOPTABLE: dict[str, Change] = {
    "a body": lambda shape: shape["functions"].update(init="other"),
    "a guard": lambda shape: state(shape, "screening")["edges"][0].update(when="other"),
    "an edge added": lambda shape: state(shape, "review")["edges"].append({"on": "any"}),
    "an edge led elsewhere": lambda shape: state(shape, "review")["edges"][0].update(to=["completed"]),
    "a state added": add("extra", "atomic", ""),
    "a choice gone": drop("screening"),
    "a choice made a state": put("screening", "kind", "atomic"),
    "an end of the run gone": drop("cancelled"),
    "a delay": put("paying", "timers", [1]),
    "a timer added": more_timers,
    "another input function": lambda shape: state(shape, "charging")["invokes"][0].update(input="other"),
    "an event added": lambda shape: shape["events"].update(New={"version": 1, "type": describe(int)}),
    "a newer version": lambda shape: shape.update(version=3),
    "an entry action": put("review", "entry", [["assign", "x"]]),
}

UPGRADES: dict[str, Change] = {
    "another name": lambda shape: shape.update(name="other"),
    "an older version": lambda shape: shape.update(version=1),
    "another format": lambda shape: shape.update(format=2),
    "a state gone": drop("review"),
    "a nested end gone": drop("fulfilling.goods.gone"),
    "a state moved": move,
    "a state made compound": put("review", "kind", "compound"),
    "a state made final": put("review", "kind", "final"),
    "a region added": add("fulfilling.more", "atomic", "fulfilling"),
    "a timer gone": put("paying", "timers", []),
    "a timer put before": earlier_timer,
    "an invoke added": put("review", "invokes", [{"activity": "charge", "input": "x"}]),
    "an invoke gone": put("charging", "invokes", []),
    "another activity": put("charging", "invokes", [{"activity": "reserve", "input": "x"}]),
    "an event gone": lambda shape: shape["events"].pop("Picked"),
    "an activity gone": lambda shape: shape["activities"].pop("charge"),
    "another context": lambda shape: shape["types"].update(context=describe(Count)),
    "another output": lambda shape: shape["activities"]["charge"].update(output=describe(int)),
    "an older event": lambda shape: shape["events"]["Picked"].update(version=0),
}


@pytest.mark.parametrize("name", ADOPTABLE)
def test_additions_and_bodies_are_adopted(name: str) -> None:
    old = graph(Order.chart)
    new = copy.deepcopy(old)
    ADOPTABLE[name](new)
    change = compare(old, new)
    assert (change.kind, change.blocking) == (ChangeKind.ADOPTABLE, ())
    assert change.differences


@pytest.mark.parametrize("name", UPGRADES)
def test_what_a_run_may_hold_needs_an_upgrade(name: str) -> None:
    old = graph(Order.chart)
    new = copy.deepcopy(old)
    UPGRADES[name](new)
    change = compare(old, new)
    assert change.kind is ChangeKind.NEEDS_UPGRADE
    assert change.blocking


def test_nothing_changed() -> None:
    assert compare(graph(Order.chart), graph(Order.chart)).kind is ChangeKind.SAME


def test_a_difference_says_where_and_what() -> None:
    old = graph(Order.chart)
    new = copy.deepcopy(old)
    UPGRADES["another activity"](new)
    assert [str(each) for each in compare(old, new).differences] == [
        "state charging: it invoked charge and now invokes reserve"
    ]


# --- types: what was written as one, read as another ---------------------------------------------------


class Size(Enum):
    SMALL = "s"


class Sizes(Enum):
    SMALL = "s"
    BIG = "b"


@frozen
class One:
    a: int


@frozen
class OneMore:
    a: int
    b: str = ""


@frozen
class OneNeeded:
    a: int
    b: str


@frozen
class Loop:
    inner: "tuple[Loop, ...]" = ()


@frozen
class LoopMore:
    inner: "tuple[LoopMore, ...]" = ()
    note: str = ""


READABLE = [
    (int, int | None),
    (One, OneMore),
    (One, One | None),
    (tuple[One, ...], tuple[OneMore, ...]),
    (dict[str, One], dict[str, OneMore]),
    (Size, Sizes),
    (int | str, int | str | None),
    (Loop, LoopMore),
    (One | OneMore, One | OneMore | Loop),
]

BROKEN = [
    (int, str, "it was int and is str"),
    (int | None, int, "it was None | int and is int"),
    (OneMore, One, "OneMore.b is gone, or has another name"),
    (One, OneNeeded, "OneNeeded.b was added without a default"),
    (Sizes, Size, "it lost its member BIG"),
    (tuple[int, ...], list[int], "it was tuple and is list"),
    (tuple[int, int], tuple[int, int, int], "it had 2 items and has 3"),
    (tuple[int, ...], tuple[str, ...], "it[] was int and is str"),
    (LoopMore, Loop, "LoopMore.note is gone, or has another name"),
    (One, One | Loop, "it is stored with the name of its class now"),
    (One | OneMore, One | Loop, "it may hold OneMore, which it no longer knows"),
    (int | str, int, "it was int | str and is int"),
]


@pytest.mark.parametrize(("old", "new"), READABLE)
def test_a_wider_type_reads_what_was_stored(old: Any, new: Any) -> None:
    assert list(breaks(describe(old), describe(new))) == []


@pytest.mark.parametrize(("old", "new", "why"), BROKEN)
def test_another_type_does_not(old: Any, new: Any, why: str) -> None:
    assert why in list(breaks(describe(old), describe(new)))
