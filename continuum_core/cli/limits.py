"""What `health` is to fail on: how much may wait, and how long, before somebody should look.

Rule: what is well depends on the application, so nothing is compared unless it was asked for. A limit is the
most that is still well; what is above it is told beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from attrs import frozen

from continuum_core.cli.times import duration
from continuum_core.client import Client
from continuum_core.errors import UsageError
from continuum_core.hooks.facts import HealthSection
from continuum_core.journal.gauges import Gauges
from continuum_core.taking import taken

__all__ = ["UNCLAIMABLE", "FailOn", "Limit", "limits_of", "measured", "unclaimable"]

FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="NAME=MOST,…",
        help="Exit with 3 where there is more: parked=0,suspended=10,due=1000,waiting=100,oldest=60s,"
        "unclaimable=0. May be given several times.",
    ),
]

OLDEST = "oldest"
UNCLAIMABLE = "unclaimable"

_COUNTS = ("parked", "suspended", "due", "waiting", UNCLAIMABLE)


@frozen
class Limit:
    """The most of something that is still well.

    :ivar most: a number, of `oldest` in seconds.
    :ivar text: as it was given.
    """

    name: str
    most: float
    text: str


def limits_of(given: Iterable[str] | None) -> tuple[Limit, ...]:
    """Raises typer.BadParameter for what is no limit, or is one twice."""
    parts = [part.strip() for text in given or () for part in text.split(",")]
    found = [_limit(part) for part in parts]
    names = [limit.name for limit in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise typer.BadParameter(f"{twice[0]} has one limit, not two", param_hint="--fail-on")
    return tuple(found)


def _limit(text: str) -> Limit:
    name, equals, most = (part.strip() for part in text.partition("="))
    if equals and name == OLDEST:
        return Limit(name, duration(most).total_seconds(), most)
    if name in _COUNTS and most.isascii() and most.isdigit():
        return Limit(name, int(most), most)
    names = ", ".join(_COUNTS)
    raise typer.BadParameter(
        f"{text!r} is no limit: write NAME=MOST with a number for {names}, or a length of time for {OLDEST}, "
        "such as parked=0,oldest=60s",
        param_hint="--fail-on",
    )


def measured(limits: Sequence[Limit], gauges: Gauges | None, unclaimed: int) -> HealthSection:
    """What is above its limit. Raises UsageError where the journal does not count."""
    values: Mapping[str, float] = {UNCLAIMABLE: unclaimed}
    if gauges is not None:
        values = {**values, **_values(gauges)}
    elif lacking := [limit.name for limit in limits if limit.name not in values]:
        raise UsageError(f"--fail-on {lacking[0]}: this journal does not count what waits in it")
    facts = {
        limit.name: f"{_shown(limit.name, values[limit.name])}, above {limit.text}"
        for limit in limits
        if values[limit.name] > limit.most
    }
    return HealthSection("limits", not facts, facts)


def _values(gauges: Gauges) -> Mapping[str, float]:
    since = [gauges.oldest_due, *(queue.oldest for queue in gauges.queues)]
    ages = [(gauges.now - at) / 1e6 for at in since if at is not None]
    return {
        "parked": gauges.parked,
        "suspended": gauges.suspended,
        "due": gauges.due,
        "waiting": sum(queue.waiting for queue in gauges.queues),
        OLDEST: max(0.0, *ages, 0.0),
    }


def _shown(name: str, value: float) -> str:
    return f"{value:.1f} s" if name == OLDEST else f"{value:,.0f}"


async def unclaimable(client: Client) -> int:
    """Running runs that no live worker takes; 10,000 stands for as many or more. All running ones are read.

    Raises UsageError where the journal cannot search.
    """
    known = [each.fingerprint for each in await client.journal.definitions()]
    live = await taken(client.journal, known)
    left = sorted(set(known) - live)
    if not left:
        return 0
    return (await client.count(f"status = running and fingerprint in ({', '.join(map(repr, left))})")).number
