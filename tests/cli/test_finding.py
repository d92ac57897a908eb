"""Queries on the command line: list, count, broadcast, set, replay over what is found; and mistakes."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command

APP = ("--app", "tests.query.machines")


@pytest.fixture(autouse=True)
def purchases(continuum: Command) -> None:
    for number in range(4):
        wanted = json.dumps({"total": str(number * 50), "size": "small"})
        done = continuum("start", "purchase", "--key", f"p{number}", "--input", wanted, *APP)
        assert done.code == 0, done.err


def keys(continuum: Command, *arguments: str) -> list[str]:
    return [run["key"] for run in continuum("list", *arguments, "--json").jsons()]


def test_a_query_lists_and_counts(continuum: Command) -> None:
    assert keys(continuum, "total >= 50 and state = choosing sort by total desc") == ["p3", "p2", "p1"]
    first = continuum("list", "sort by total", "--limit", "3", "--json")
    assert [run["key"] for run in first.jsons()] == ["p0", "p1", "p2"]
    cursor = json.loads(first.err)["cursor"]
    assert keys(continuum, "sort by total", "--cursor", cursor) == ["p3"]
    assert continuum("count", "total < 100").out == "2\n"
    assert continuum("count", "--exact", "--json").json() == {"count": 4, "capped": False}


def test_attributes_are_set_and_shown(continuum: Command) -> None:
    done = continuum("set", "purchase/p1", 'region="eu"', 'checked="2024-05-31"', "--why", "audit", "--json")
    assert done.json()["attributes"]["region"] == "eu"
    assert done.json()["attributes"]["checked"] == "2024-05-31T00:00:00Z"
    assert keys(continuum, "region = eu and checked = 2024-05-31") == ["p1"]
    shown = continuum("show", "purchase/p1")
    assert "Found by" in shown.out
    assert "total = 50" in shown.out
    last = continuum("history", "purchase/p1", "--json").jsons()[-1]
    assert (last["event"], last["who"], last["why"]) == ("set", "ada", "audit")
    assert last["data"] == {"checked": ["2024-05-31 00:00:00+00:00"], "region": ["eu"]}
    assert continuum("set", "purchase/p1", "region=null").code == 0
    assert continuum("count", "exists(region)").out == "0\n"
    for wrong in ("total=1", "regoin=1", "region=1", 'checked="soon"', "region"):
        assert continuum("set", "purchase/p1", wrong).code in (1, 2)


def test_a_broadcast_reaches_what_is_found(continuum: Command) -> None:
    told = continuum("broadcast", "total >= 100", "Pay", "--key", "b", "--json")
    assert told.json() == {"runs": 2, "sent": 2, "repeated": 0, "over": 0, "full": 0, "unfit": 0}
    continuum("terminate", "purchase/p3", "--yes")
    again = continuum("broadcast", "total >= 100", "Pay", "--key", "b")
    assert again.out == "Pay sent to 0 of 2 runs\n  1 had it already\n  1 have ended\n"


def test_runs_are_replayed_by_a_query(continuum: Command) -> None:
    done = continuum("replay", "--query", "total >= 100", *APP, "--json")
    assert done.code == 0, done.err
    assert len([each for each in done.jsons() if "run" in each]) == 2
    assert continuum("replay", "--query", "total >= 1", "--machine", "purchase", *APP).code == 2


def test_a_mistake_is_pointed_at(continuum: Command) -> None:
    done = continuum("list", "totl >= 1")
    assert done.code == 1
    assert done.err.splitlines() == [
        "error: the query cannot be carried out: runs have no field 'totl' (did you mean 'total'?)",
        "    totl >= 1",
        "    ^",
    ]
    assert continuum("list", "total >= 1", "--machine", "purchase").code == 2
