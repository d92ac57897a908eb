"""The verb `health`: how much waits in a journal, and what plugins say of their health."""

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
from continuum_core.hooks.facts import HealthSection
from continuum_core.journal.gauges import COUNTED, Gauges, gauged

__all__ = ["health"]


def health(
    fail_on: FailOn = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell whether the journal answers, how much waits in it, and how plugins are; 3 if one is not well."""
    url, limits = journal_of(journal), limits_of(fail_on)
    sections = asyncio.run(_sections(url, namespace, limits))
    if as_json:
        for each in sections:
            print_json({"section": each.name, "ok": each.ok, **each.facts})
    else:
        for each in sections:
            say(f"{each.name}: {'ok' if each.ok else 'NOT WELL'}", style="" if each.ok else "bold red")
            rows = Rows([("", 24), ("", 0)])
            rows.add((f"  {name}", str(value)) for name, value in each.facts.items())
    if not all(each.ok for each in sections):
        raise typer.Exit(OPERATOR)


async def _sections(url: str, namespace: str | None, limits: Sequence[Limit]) -> list[HealthSection]:
    async with Client(there(url, namespace)) as client:
        counting = gauged(client.journal)
        facts: dict[str, Any] = {"namespace": client.namespace}
        gauges = None if counting is None else await counting.gauges()
        if gauges is not None:
            facts |= _facts(gauges)
        told = [HealthSection("journal", True, facts)]
        if limits:
            asked = any(limit.name == UNCLAIMABLE for limit in limits)
            told.append(measured(limits, gauges, await unclaimable(client) if asked else 0))
        return [*told, *client.plugins.health()]


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
