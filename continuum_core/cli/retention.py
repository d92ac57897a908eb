"""The verbs about what a journal keeps: stats tells what is there, prune deletes what is old."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from msgspec.structs import asdict, replace

from continuum_core.cli.carrying import (
    Machine,
    OlderThan,
    Statuses,
    counted,
    progress,
    statuses_of,
    warn_of,
)
from continuum_core.cli.journals import opened
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, journal_of
from continuum_core.cli.output import Rows, print_json, safe, say
from continuum_core.clock import Micros
from continuum_core.journal.carrying import DAY, Tally, carrier_of
from continuum_core.journal.commit import Pruned, PrunePlan
from continuum_core.journal.protocol import Journal

__all__ = ["prune", "stats"]

_BATCH = 500
"""Runs that one call deletes: a backend divides it further, and others are served in between."""

_EVERYTHING = 2**31


# --- prune


def prune(
    older_than: OlderThan,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete, and not only say what would go.")] = False,
    machine: Machine = None,
    status: Statuses = None,
    generations: Annotated[
        bool,
        typer.Option(
            "--generations", help="Also the records of past generations, of runs that have not ended."
        ),
    ] = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Delete runs that ended long ago, and all that is past its window; without --yes, only count them.

    Of runs that have not ended nothing goes but, with --generations, the records of generations that were
    over so long ago. Eternal runs are never touched. `archive --prune` keeps what it deletes.
    """
    url, statuses = journal_of(journal), statuses_of(status)

    async def pruned() -> Pruned:
        async with opened(url, namespace) as handle:
            before = await handle.now() - round(older_than.total_seconds() * 1_000_000)
            plan = PrunePlan(before, _EVERYTHING, machine, statuses, True, generations)
            found = await handle.prune(plan)
            await warn_of(handle, machine)
            if not yes:
                return found
            with progress("runs", found.runs, quiet=as_json) as tell:
                gone = await _prune(handle, replace(plan, dry_run=False, limit=_BATCH), tell)
            return replace(gone, eternal=found.eternal)  # a batch counts no more of them than its own limit

    done = asyncio.run(pruned())
    if as_json:
        print_json({"deleted": yes, **asdict(done)})
        return
    past = f" and {counted(done.generations, 'past generation')}" if generations else ""
    runs = f"{counted(done.runs, 'run')}{past} with {counted(done.records, 'record')}"
    apart = f"; blobs: {done.blobs}" if done.blobs else ""
    what = f"{runs}; past their window: {done.expired}{apart}"
    if done.eternal:
        say(f"never pruned: {counted(done.eternal, 'eternal run')}")
    say(f"deleted: {what}" if yes else f"would be deleted: {what}; give --yes to delete")


async def _prune(handle: Journal, plan: PrunePlan, tell: Callable[[int], None]) -> Pruned:
    """Batch by batch until there is nothing left."""
    done = Pruned(0, 0, 0)
    while True:
        some = await handle.prune(plan)
        done = Pruned(
            done.runs + some.runs,
            done.records + some.records,
            done.expired + some.expired,
            done.generations + some.generations,
            blobs=done.blobs + some.blobs,
        )
        tell(done.runs)
        if max(some.runs, some.generations) < plan.limit:
            return done


# --- stats


def stats(
    days: Annotated[
        int | None, typer.Option("--days", min=1, metavar="N", help="Also the growth of the last N days.")
    ] = None,
    machine: Machine = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what is stored: runs, records and payload bytes, by machine and status, and day by day.

    Every run is read once: ask now and then, do not poll.
    """
    url = journal_of(journal)

    async def counted() -> tuple[Micros, list[Tally]]:
        async with opened(url, namespace) as handle:
            await warn_of(handle, machine)
            return await handle.now(), await carrier_of(handle).tally()

    now, tallies = asyncio.run(counted())
    wanted = [each for each in tallies if machine in (None, each.machine)]
    if as_json:
        for each in wanted:
            print_json(_facts(each))
        return
    _tell_machines(wanted)
    if days is not None:
        say("")
        _tell_days(wanted, now // DAY, days)


def _facts(tally: Tally) -> dict[str, object]:
    return {
        "machine": tally.machine,
        "status": tally.status.name.lower(),
        "day": _date(tally.day),
        "runs": tally.runs,
        "records": tally.records,
        "bytes": tally.bytes,
    }


def _date(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()


def _tell_machines(tallies: Sequence[Tally]) -> None:
    names = sorted({(each.machine, each.status) for each in tallies})
    rows = [
        (name[0], name[1].name.lower(), *_sums(t for t in tallies if (t.machine, t.status) == name))
        for name in names
    ]
    table = Rows([("machine", 0), ("status", 10), ("runs", 12), ("records", 12), ("payload", 10)])
    table.add([[safe(cell) for cell in row] for row in [*rows, ("all", "", *_sums(tallies))]])


def _tell_days(tallies: Sequence[Tally], today: int, days: int) -> None:
    table = Rows([("runs started on", 0), ("runs", 12), ("records", 12), ("payload", 10)])
    table.add(
        [_date(day), *_sums(each for each in tallies if each.day == day)]
        for day in range(today - days + 1, today + 1)
    )


def _sums(tallies: Iterable[Tally]) -> tuple[str, str, str]:
    total = Counter[str]()
    for each in tallies:
        total.update(runs=each.runs, records=each.records, bytes=each.bytes)
    return f"{total['runs']:,}", f"{total['records']:,}", _size(total["bytes"])


def _size(count: int) -> str:
    """A number of bytes as people read it, in units of 1024."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
