"""What `continuum health` fails on, where it was asked to."""

from __future__ import annotations

import json

import pytest

from continuum_core.journal.records import RunStatus
from tests.cli.conftest import Command
from tests.cli.work import work_until

APP = ("--app", "tests.cli.shop")


@pytest.fixture(autouse=True)
def parked(continuum: Command, url: str) -> None:
    """order/o-1 is parked, order/o-2 suspended, order/o-3 has an event; the worker has gone."""
    for key in ("o-1", "o-2"):
        order = json.dumps({"order_id": key, "total": 5})
        assert continuum("start", "order", "--key", key, "--input", order, *APP).code == 0
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": -1}')
    work_until(url, "o-1", RunStatus.PARKED)
    continuum("suspend", "order/o-2")
    assert continuum("start", "order", "-k", "o-3", "-i", '{"order_id": "o-3", "total": 5}', *APP).code == 0
    continuum("send", "order/o-3", "Paid", "--data", '{"amount": 1}')


def test_nothing_is_compared_unless_it_was_asked_for(continuum: Command) -> None:
    done = continuum("health", "--json")
    assert (done.code, "limits" in done.out) == (0, False)


@pytest.mark.parametrize(
    ("limit", "above"),
    [
        ("parked=0", "1, above 0"),
        ("suspended=0", "1, above 0"),
        ("due=0", "1, above 0"),
        ("oldest=0ms", "s, above 0ms"),
    ],
)
def test_what_is_above_its_limit_is_not_well(continuum: Command, limit: str, above: str) -> None:
    done = continuum("health", "--fail-on", limit, "--json")
    assert done.code == 3
    told = {each["section"]: each for each in done.jsons()}
    assert told["limits"]["ok"] is False
    assert told["limits"][limit.partition("=")[0]].endswith(above)
    assert told["journal"]["ok"] is True


def test_what_is_within_its_limits_is_well(continuum: Command) -> None:
    within = ("--fail-on", "parked=1, suspended=1,due=1", "--fail-on", "oldest=1d,waiting=0")
    assert continuum("health", *within).code == 0
    one = continuum("health", *within, "--fail-on", "unclaimable=1000")
    assert (one.code, "limits: ok" in one.out) == (0, True)


def test_runs_that_no_live_worker_takes_are_counted(continuum: Command) -> None:
    """Of a definition that no worker ever took; those of the shop's are taken until its lease is over."""
    order = '{"order_id": "x", "total": 5}'
    assert continuum("start", "order", "-i", order, "--app", "tests.definition.machines:Order").code == 0
    done = continuum("health", "--fail-on", "unclaimable=0", "--json")
    told = {each["section"]: each for each in done.jsons()}
    assert (done.code, told["limits"]["unclaimable"]) == (3, "1, above 0")


@pytest.mark.parametrize(
    "limit",
    ["parked", "parked=", "parked=-1", "parked=many", "oldest=soon", "workers=1", "due=1,due=2", ""],
)
def test_what_is_no_limit_is_refused(continuum: Command, limit: str) -> None:
    done = continuum("health", "--fail-on", limit)
    assert (done.code, done.out) == (2, "")
