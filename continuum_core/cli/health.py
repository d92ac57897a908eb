"""The verb `health`: how much waits in a journal, whether anybody wants it, and how plugins are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from continuum_core.cli.failures import OPERATOR
from continuum_core.cli.journals import there
from continuum_core.cli.limits import UNCLAIMABLE, FailOn, Limit, limits_of, measured, unclaimable
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, journal_of
from continuum_core.cli.output import Rows, print_json, say
from continuum_core.client import Client
from continuum_core.errors import JournalUnavailable
from continuum_core.hooks.facts import HealthSection
from continuum_core.journal.gauges import COUNTED, Gauges, gauged
from continuum_core.journal.protocol import Journal
from continuum_core.taking import wanted

__all__ = ["health", "sections"]


def health(
    fail_on: FailOn = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell whether the journal answers, what waits in it, whether live workers want it, and how plugins are.

    Exits with 3 if one is not well.
    """
    url, limits = journal_of(journal), limits_of(fail_on)
    told = asyncio.run(sections(url, namespace, limits))
    if as_json:
        for each in told:
            print_json({"section": each.name, "ok": each.ok, **each.facts})
    else:
        for each in told:
            say(f"{each.name}: {'ok' if each.ok else 'NOT WELL'}", style="" if each.ok else "bold red")
            rows = Rows([("", 24), ("", 0)])
            rows.add((f"  {name}", str(value)) for name, value in each.facts.items())
    if not all(each.ok for each in told):
        raise typer.Exit(OPERATOR)


async def sections(
    url: str, namespace: str | None = None, limits: Sequence[Limit] = ()
) -> list[HealthSection]:
    """What is told, part by part."""
    async with Client(there(url, namespace)) as client:
        counting = gauged(client.journal)
        facts: dict[str, Any] = {"namespace": client.namespace}
        gauges = None if counting is None else await counting.gauges()
        told = [HealthSection("journal", True, facts)]
        if gauges is not None:
            facts |= _facts(gauges)
            told.append(await _forsaken(client.journal, gauges))
        if limits:
            asked = any(limit.name == UNCLAIMABLE for limit in limits)
            told.append(measured(limits, gauges, await unclaimable(client) if asked else 0))
        return [*told, *client.plugins.health()]


async def _forsaken(journal: Journal, gauges: Gauges) -> HealthSection:
    """The queues in which tasks wait that no live worker wants: they would wait for ever."""
    waiting = [(queue.queue, activity) for queue in gauges.queues for activity in queue.activities]
    try:
        live = await wanted(journal, waiting)
    except JournalUnavailable as error:  # to ask may be to write, and a store that is full can still be read
        return HealthSection("queues", True, {"wanted": f"not known: {error}"})
    facts: dict[str, Any] = {}
    for name in dict.fromkeys(queue for queue, activity in waiting if (queue, activity) not in live):
        lost = ", ".join(each for queue, each in waiting if queue == name and (queue, each) not in live)
        facts[f"queue {name}"] = (
            f"tasks of {lost} wait, and no live worker wants them: run one that serves queue {name}; "
            f"where an activity has left it, declare formerly={name!r}"
        )
    return HealthSection("queues", not facts, facts)


def _facts(gauges: Gauges) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "due": _count(gauges.due),
        "oldest due": _ago(gauges.oldest_due, gauges.now),
        "parked": _count(gauges.parked),
        "suspended": _count(gauges.suspended),
    }
    for queue in gauges.queues:
        oldest = _ago(queue.oldest, gauges.now)
        facts[f"queue {queue.queue}"] = (
            f"{_count(queue.waiting)} waiting{'' if oldest is None else f' for up to {oldest}'}, "
            f"{_count(queue.later)} later, {_count(queue.claimed)} claimed"
        )
    return facts


def _count(number: int) -> int | str:
    return number if number != COUNTED else f"{COUNTED:,} or more"


def _ago(at: int | None, now: int) -> str | None:
    return None if at is None else f"{max(0, now - at) / 1e6:.1f} s"
