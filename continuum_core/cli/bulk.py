"""An order to all runs that a query finds: first counted, then, with --yes, carried out page by page.

Rule: nothing is ordered without --yes, and no more runs are held in memory than a page has. Runs that an
order does not concern (they have ended, or are not in the status that it acts on) are counted and left alone.
Each run is ordered by itself: one that is refused keeps no other from it, and a repeat finds what is left.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer
from attrs import define, field, frozen

from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import there
from continuum_core.cli.output import print_json, say
from continuum_core.cli.references import name_of
from continuum_core.cli.strange import warn_strange
from continuum_core.client import Client, Handle
from continuum_core.errors import ContinuumError, JournalUnavailable, RunNotFound, RunOver
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.view import RunView

__all__ = ["Bulk", "DryRun", "Many", "Ordering", "Yes", "order_many"]

Many = Annotated[
    str | None,
    typer.Option("--query", "-q", metavar="QUERY", help="In place of RUN: all runs that it finds."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="With --query: do it, and do not only say to how many.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --query: say to how many; the same as without --yes.")
]

Ordering = Callable[[Client, Handle[Any]], Awaitable[object]]

_PAGE = 200
_TOGETHER = 50  # orders under way at once: a journal carries them out in few transactions
_SHOWN = 10  # refused runs that are named for people


@frozen
class Bulk:
    """What is ordered of many runs.

    :ivar done: what became of a run, such as "unparked".
    :ivar concerns: statuses that it acts on.
    :ivar order: gives it to one run; False where nothing was to be done.
    """

    query: str
    done: str
    concerns: frozenset[RunStatus]
    order: Ordering


@define
class _Counts:
    found: Counter[RunStatus] = field(factory=Counter[RunStatus])
    ordered: int = 0
    over: int = 0
    unchanged: int = 0
    refused: list[tuple[RunView, str]] = field(factory=list[tuple[RunView, str]])


def order_many(url: str, namespace: str | None, bulk: Bulk, *, do: bool, as_json: bool) -> None:
    """Count, and where it is wanted carry out. Raises typer.Exit with 1 where a run was refused."""
    counts = _Counts()
    try:
        asyncio.run(_each(url, namespace, bulk, counts, do=do, as_json=as_json))
    except JournalUnavailable as error:
        error.add_note(f"{bulk.done} so far: {counts.ordered:,}; repeat the command for the others")
        raise
    _tell(bulk, counts, do=do, as_json=as_json)
    if counts.refused:
        raise typer.Exit(CALLER)


async def _each(
    url: str, namespace: str | None, bulk: Bulk, counts: _Counts, *, do: bool, as_json: bool
) -> None:
    async with Client(there(url, namespace)) as client:
        await warn_strange(client.journal, bulk.query, as_json=as_json)
        async for page in _pages(client, bulk.query):
            counts.found.update(view.status for view in page)
            wanted = [view for view in page if view.status in bulk.concerns] if do else []
            for at in range(0, len(wanted), _TOGETHER):
                await _together(client, bulk, wanted[at : at + _TOGETHER], counts)


async def _pages(client: Client, query: str) -> AsyncIterator[Sequence[RunView]]:
    cursor: str | None = None
    while True:
        views, cursor = await client.find(query, limit=_PAGE, cursor=cursor)
        yield views
        if cursor is None:
            return


async def _together(client: Client, bulk: Bulk, views: Sequence[RunView], counts: _Counts) -> None:
    """Order some runs at once. All are waited for, so that what is told of them is whole."""
    orders = [bulk.order(client, client.handle(view.id)) for view in views]
    away: JournalUnavailable | None = None
    for view, answer in zip(views, await asyncio.gather(*orders, return_exceptions=True), strict=True):
        if isinstance(answer, (RunOver, RunNotFound)):  # meanwhile: it was not when it was found
            counts.over += 1
        elif isinstance(answer, JournalUnavailable):
            away = answer
        elif isinstance(answer, ContinuumError):
            counts.refused.append((view, str(answer)))
        elif isinstance(answer, BaseException):
            raise answer
        elif answer is False:
            counts.unchanged += 1
        else:
            counts.ordered += 1
    if away is not None:
        raise away


def _tell(bulk: Bulk, counts: _Counts, *, do: bool, as_json: bool) -> None:
    total = sum(counts.found.values())
    concerned = sum(counts.found[status] for status in bulk.concerns)
    ended = sum(counts.found[status] for status in ENDED)
    if as_json:
        told = [{"run": str(view.id), "why": why} for view, why in counts.refused]
        facts = {"runs": total, "concerned": concerned, "ordered": counts.ordered}
        print_json({"dry_run": not do, **facts, "refused": told})
        return
    if do:
        say(f"{bulk.done}: {counts.ordered:,} of {total:,} runs")
    else:
        say(f"would be {bulk.done}: {concerned:,} of {total:,} runs; give --yes to do it")
    if ended + counts.over:
        say(f"  {ended + counts.over:,} have ended")
    if rest := total - concerned - ended + counts.unchanged:
        say(f"  {rest:,} are such that it does not concern them")
    for view, why in counts.refused[:_SHOWN]:
        say(f"refused: {name_of(view)}: {why}", stderr=True, style="red")
    more = len(counts.refused) - _SHOWN
    if more > 0:
        say(f"refused: {more:,} more", stderr=True, style="red")
