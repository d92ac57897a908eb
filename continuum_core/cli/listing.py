"""The verb that lists runs, page by page. It changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from attrs import frozen
from rich.text import Text

from continuum_core.cli.choosing import Spelt, one_of
from continuum_core.cli.facts import run_facts
from continuum_core.cli.journals import there
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, Status, journal_of
from continuum_core.cli.output import Noted, Rows, print_json, safe, say, span_words
from continuum_core.cli.portrait import begin_words, status_word
from continuum_core.cli.reasons import Reason, reason_of
from continuum_core.cli.references import find
from continuum_core.cli.strange import warn_strange
from continuum_core.cli.takers import Takers
from continuum_core.cli.times import since_of
from continuum_core.client import Client
from continuum_core.clock import to_datetime
from continuum_core.errors import RunNotFound
from continuum_core.journal.records import RunStatus
from continuum_core.view import RunView

__all__ = ["list_"]

_COLOURS = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.PARKED: "red",
    RunStatus.SUSPENDED: "yellow",
    RunStatus.CANCELLED: "yellow",
    RunStatus.TERMINATED: "yellow",
}


_COLUMNS = (("run", 0), ("status", 11), ("states", 22), ("changed", 12))


@frozen
class _Wanted:
    machine: str | None
    status: RunStatus | None
    parent: str | None
    since: str | None
    limit: int | None
    query: str | None


def list_(
    words: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="Which runs, such as 'total >= 100 sort by total desc'."),
    ] = None,
    query: Spelt = None,
    machine: Annotated[str | None, typer.Option("--machine", "-m", metavar="NAME")] = None,
    status: Annotated[Status | None, typer.Option("--status", "-s")] = None,
    parent: Annotated[
        str | None, typer.Option("--parent", metavar="RUN", help="Only forks and children of this run.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DURATION|TIME", help="Started since: 2h, 3d, or 2026-03-01T12:00Z."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All of them, however many.")] = False,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a list with the same filters stopped.")
    ] = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List runs, newest first, or those that a query finds, in its order."""
    url, query = journal_of(journal), one_of(words, query)
    wanted = _Wanted(
        machine=machine,
        status=None if status is None else RunStatus[status.name],
        parent=parent,
        since=since,
        limit=None if everything else limit,
        query=query,
    )
    _check(wanted)

    async def listed() -> tuple[int, str | None]:
        count = 0
        table = None if as_json else Rows(_COLUMNS, whole=True)
        async with Client(there(url, namespace)) as client:
            now, takers = to_datetime(await client.journal.now()), Takers(client.journal)
            left = cursor
            await warn_strange(client.journal, query, machine, as_json=as_json)
            async for page, following in _list_pages(client, wanted, now, cursor):
                rows = [await _told_of(client, takers, view) for view in page]
                if table is None:
                    for view, words, why in rows:
                        print_json(run_facts(view, whole=False, unclaimable=bool(words), reason=why))
                elif rows:
                    table.add([_list_row(*each, now) for each in rows])
                left, count = following, count + len(rows)
            return count, left

    count, left = asyncio.run(listed())
    if not count and not as_json:
        say(f"no such runs in namespace {namespace or 'default'!r} of {url}", stderr=True)
    if left is not None:
        _tell_more(left, as_json=as_json)


async def _told_of(client: Client, takers: Takers, view: RunView) -> tuple[RunView, str, Reason]:
    """A run of a list, which worker it waits for, and why it is over."""
    whole = await _begun(client, view)
    return whole, await takers.missing(whole), await reason_of(client, whole)


async def _begun(client: Client, view: RunView) -> RunView:
    """A run of a list; of one that has not begun also when it does, which a list does not read."""
    if view.begun:
        return view
    with contextlib.suppress(RunNotFound):  # pruned, or gone to another journal, since the list was read
        return await client.view(view.id)
    return view


def _tell_more(cursor: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"cursor": cursor}, stderr=True)
    else:
        say(f"there are more: --all, or go on with --cursor {cursor}", stderr=True)


def _check(wanted: _Wanted) -> None:
    """Refuse what cannot be meant before anything opens."""
    if wanted.query is not None and (wanted.machine or wanted.status or wanted.parent or wanted.since):
        words = "say machine, status, parent and since in the query, or leave the query out"
        raise typer.BadParameter(words, param_hint="QUERY")
    if wanted.since is not None:
        since_of(wanted.since, datetime.now(UTC))  # noqa: TID251 - only to refuse a wrong text


async def _list_pages(
    client: Client, wanted: _Wanted, now: datetime, cursor: str | None
) -> AsyncIterator[tuple[Sequence[RunView], str | None]]:
    left = wanted.limit
    since = None if wanted.since is None else since_of(wanted.since, now)
    parent = None if wanted.parent is None else find(client, wanted.parent)
    while True:
        size = 200 if left is None else min(left, 200)
        if wanted.query is not None:
            views, cursor = await client.find(wanted.query, limit=size, cursor=cursor)
        else:
            views, cursor = await client.list(
                machine=wanted.machine,
                status=wanted.status,
                parent=parent,
                created_from=since,
                limit=size,
                cursor=cursor,
            )
        yield views, cursor
        left = None if left is None else left - len(views)
        if cursor is None or left == 0:
            return


def _list_row(view: RunView, unclaimable: str, reason: Reason, now: datetime) -> Noted:
    name = Text(safe(f"{view.machine}/{view.key}" if view.key is not None else f"{view.machine} {view.id}"))
    status = Text(status_word(view, reason), style=_COLOURS.get(view.status, ""))
    ended = str((view.outcome or {}).get("state", "-"))
    states = ", ".join(view.states) or begin_words(view, now) or ended
    why = view.cause or reason.words
    notes = [Text(safe(_short(why)), style="dim")] if why else []
    if unclaimable:
        notes.append(Text(safe(f"unclaimable: {unclaimable}"), style="yellow"))
    return Noted((name, status, safe(states), f"{span_words(now - view.updated)} ago"), notes)


def _short(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first if len(first) <= 160 else f"{first[:159]}…"
