"""Orders to all runs that a query finds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuum_core import Client
from continuum_core.cli import bulk
from continuum_core.errors import JournalUnavailable, RunOver, UnknownVersion
from continuum_core.journal.records import RunStatus
from tests.cli.conftest import Command
from tests.cli.shop import Order, PlaceOrder

PAGE, COUNT = 3, 8
ALL = ("--query", "machine = order")


@pytest.fixture(autouse=True)
def orders(url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs than a page has: o-1 to o-8, the last of them terminated."""
    monkeypatch.setattr(bulk, "_PAGE", PAGE)

    async def start() -> None:
        async with Client(url, [Order]) as client:
            handles = [
                await client.start(Order, PlaceOrder(f"o-{n}", 5), key=f"o-{n}") for n in range(1, COUNT + 1)
            ]
            await client.terminate(handles[-1])

    asyncio.run(start())


def statuses(continuum: Command) -> list[str]:
    return [row["status"] for row in continuum("list", "--json").jsons()]


def test_they_are_only_counted_until_it_is_said_twice(continuum: Command) -> None:
    told = "would be suspended: 7 of 8 runs; give --yes to do it\n  1 have ended\n"
    assert continuum("suspend", *ALL).out == told
    assert continuum("suspend", *ALL, "--yes", "--dry-run").out == told
    assert continuum("suspend", "-q", "key = o-2").out.startswith("would be suspended: 1 of 1 runs;")
    assert "suspended" not in statuses(continuum)


def test_every_page_is_ordered_and_a_repeat_finds_nothing_left(continuum: Command) -> None:
    assert continuum("suspend", "order/o-1").code == 0
    done = continuum("suspend", *ALL, "--yes", "--why", "too much at once")
    assert done.out == (
        "suspended: 6 of 8 runs\n  1 have ended\n  1 are such that it does not concern them\n"
    )
    assert statuses(continuum) == ["terminated", *["suspended"] * 7]
    assert continuum("history", "order/o-5", "--json").jsons()[-1]["why"] == "too much at once"
    again = continuum("suspend", *ALL, "--yes", "--json")
    assert (again.code, again.json()) == (
        0,
        {"dry_run": False, "runs": 8, "concerned": 0, "ordered": 0, "refused": []},
    )
    assert continuum("resume", *ALL, "-y").out.startswith("resumed: 7 of 8 runs\n")
    assert continuum("cancel", *ALL, "-y").out.startswith("asked to stop: 7 of 8 runs\n")
    assert continuum("terminate", *ALL, "-y").out.startswith("terminated: 7 of 8 runs\n")
    assert statuses(continuum) == ["terminated"] * 8
    assert continuum("unpark", *ALL, "-y").out.startswith("unparked: 0 of 8 runs\n")


def _but(monkeypatch: pytest.MonkeyPatch, trouble: dict[str, Exception]) -> None:
    """Let suspending the runs with these keys raise."""
    real = Client.suspend

    async def suspend(self: Client, run: Any, *given: Any, **named: Any) -> bool:
        key = (await self.view(run)).key
        if key in trouble:
            raise trouble[key]
        return await real(self, run, *given, **named)

    monkeypatch.setattr(Client, "suspend", suspend)


def test_one_that_is_refused_keeps_no_other_from_it(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _but(monkeypatch, {"o-3": UnknownVersion("written by nobody"), "o-4": RunOver("o-4")})
    done = continuum("suspend", *ALL, "--yes")
    assert done.code == 1
    assert done.out == "suspended: 5 of 8 runs\n  2 have ended\n"
    assert done.err == "refused: order/o-3: written by nobody\n"
    assert statuses(continuum).count(RunStatus.SUSPENDED.name.lower()) == 5
    told = continuum("suspend", *ALL, "--yes", "--json")
    assert (told.code, [each["why"] for each in told.json()["refused"]]) == (1, ["written by nobody"])


def test_a_journal_that_went_away_is_told_with_what_was_done(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _but(monkeypatch, {"o-3": JournalUnavailable("the disk is gone")})
    done = continuum("suspend", *ALL, "--yes")
    assert done.code == 3
    assert done.err.endswith("hint: suspended so far: 4; repeat the command for the others\n")


@pytest.mark.parametrize(
    "typed", [(), ("order/o-1", *ALL), ("order/o-1", "--dry-run"), ("order/o-1", *ALL, "--yes")], ids=str
)
def test_which_runs_are_meant_is_said_once(continuum: Command, typed: tuple[str, ...]) -> None:
    assert continuum("suspend", *typed).code == 2
    assert "suspended" not in statuses(continuum)
