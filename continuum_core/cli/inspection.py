"""The verbs that look at runs: show, history, list. They change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from attrs import frozen
from rich.text import Text

from continuum_core.cli.apps import MachineClass, load
from continuum_core.cli.earlier import Earlier, draw_moment, show_moment
from continuum_core.cli.facts import run_facts, step_facts
from continuum_core.cli.finding import attributes_of
from continuum_core.cli.kin import crew_facts, parent_facts
from continuum_core.cli.options import (
    Apps,
    AsJson,
    Debug,
    JournalUrl,
    Namespace,
    RunRef,
    duration,
    journal_of,
)
from continuum_core.cli.output import Rows, moment, print_json, safe, say, short_id, span_words
from continuum_core.cli.portrait import Portrait, begin_words, draw_run, show_run, status_word
from continuum_core.cli.references import find, named
from continuum_core.cli.takers import Takers
from continuum_core.cli.travel import point_of
from continuum_core.client import Client, Handle
from continuum_core.clock import to_datetime
from continuum_core.errors import RunNotFound
from continuum_core.journal.records import ENDED, RecordKind, RunStatus
from continuum_core.view import RunView, Step

__all__ = ["history", "list_", "show"]


# --- show --------------------------------------------------------------------------------------------


def show(
    run: RunRef,
    at: Annotated[
        str | None, typer.Option("--at", metavar="VERSION|TIME", help="As it was after this record, or then.")
    ] = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show a run: the machine with its active states marked, its context, what it waits for and does."""
    url = journal_of(journal)
    if at is not None:
        show_moment(asyncio.run(_earlier(url, namespace, run, load(app), point_of(at))), as_json=as_json)
        return
    portrait = asyncio.run(_portrait(url, namespace, run, load(app)))
    if as_json:
        facts = run_facts(portrait.view, whole=True, unclaimable=bool(portrait.unclaimable))
        family = {"parent_run": parent_facts(portrait.parent), "crews": crew_facts(portrait.crews)}
        print_json({**facts, "attributes": portrait.attributes, **family})
    else:
        show_run(portrait)


async def _portrait(url: str, namespace: str | None, run: str, machines: Sequence[MachineClass]) -> Portrait:
    # The client is given no machines: contexts stay the JSON values that are stored.
    async with Client(url, namespace=namespace) as client, named(client, run) as handle:
        view = await client.view(handle)
        takers = Takers(client.journal)
        unclaimable = await takers.missing(view)
        drawing = draw_run(view, [machine.chart for machine in machines], takers.definition(view))
        now = to_datetime(await client.journal.now())
        parent, crews = await handle.parent(), await handle.crews()
        return Portrait(view, drawing, now, unclaimable, await attributes_of(client, handle), parent, crews)


async def _earlier(
    url: str, namespace: str | None, run: str, machines: Sequence[MachineClass], point: int | datetime
) -> Earlier:
    async with Client(url, namespace=namespace) as client, named(client, run) as handle:
        moment_ = await client.at(handle, point)
        view = await client.view(handle)
        stored = {d.fingerprint: d for d in await client.journal.definitions()}
        charts = [machine.chart for machine in machines]
        return Earlier(view, moment_, draw_moment(view, moment_, charts, stored.get(moment_.fingerprint)))


# --- history -----------------------------------------------------------------------------------------


def history(
    run: RunRef,
    full: Annotated[bool, typer.Option("--full", help="Show what events carried and fields became.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what happened to a run, one record a row. With --app, edges are told in words."""
    url = journal_of(journal)
    machines = load(app)

    async def told() -> None:
        table = None if as_json else Rows([("#", 4), ("time (UTC)", 12), ("event", 20), ("what it did", 0)])
        async with Client(url, machines, namespace=namespace) as client, named(client, run) as handle:
            async for steps in _pages(client, handle, follow=follow):
                if table is None:
                    for step in steps:
                        print_json(step_facts(step))
                elif steps:
                    table.add([_row(step, full=full) for step in steps])

    # Whoever follows ends it this way, and has what he came for.
    with contextlib.suppress(KeyboardInterrupt) if follow else contextlib.nullcontext():
        asyncio.run(told())


async def _pages(client: Client, handle: Handle[Any], *, follow: bool) -> AsyncIterator[list[Step]]:
    after = 0
    while True:
        # Asked before the records are read: what was written up to the end is then among them.
        over = not follow or (await client.view(handle)).status in ENDED
        while steps := await client.history(handle, after):
            after = steps[-1].version
            yield steps
        if over:
            return
        await client.journal.wait(1.0)


def _row(step: Step, *, full: bool) -> Sequence[str | Text]:
    event = Text(safe(step.event), style="bold")
    if step.steps > 1:
        event.append(f"\n{step.steps - 1} steps before it left no record", style="yellow")
    if step.disposition not in ("", "taken"):
        event.append(f"\n{safe(step.disposition)}", style="yellow")
    event.append(f"\n← {_cause_word(step)} {short_id(step.cause)}", style="dim")
    return (
        str(step.version),
        f"{step.at:%H:%M:%S}.{step.at.microsecond // 1000:03}",
        event,
        _deeds(step, full=full),
    )


def _cause_word(step: Step) -> str:
    """What kind of thing the cause's id names: timers and outcomes of activities are deliveries, too."""
    by_operator = step.kind is RecordKind.CONTROL and step.who != "engine"
    return "order" if by_operator else "delivery"


def _deeds(step: Step, *, full: bool) -> Text:
    lines: list[tuple[str, str]] = [(edge, "") for edge in step.edges]
    if step.states:
        lines.append((f"now in {', '.join(step.states)}", "bold"))
    if step.who or step.why:
        lines.append((f"by {step.who or 'unknown'}" + (f": {step.why}" if step.why else ""), ""))
    lines += [
        (f"patch {name}: {'the new way' if new else 'the old way'}", "") for name, new in step.patches.items()
    ]
    if step.changed and not full:
        lines.append((f"changed {', '.join(step.changed)}", ""))
    lines += [(asked, "dim") for asked in step.asked if full or asked != "close state entry"]
    if full:
        lines += [(f"event: {_flat(step.data)}", "dim")] if step.data is not None else []
        lines += [(f"{name} = {_flat(value)}", "dim") for name, value in step.changed.items()]
        lines.append((f"cause {step.cause}, at {moment(step.at, millis=True)}", "dim"))
    text = Text()
    for index, (line, style) in enumerate(lines):
        text.append(("\n" if index else "") + safe(line), style=style)
    return text


def _flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- list --------------------------------------------------------------------------------------------


class Status(enum.StrEnum):
    """The statuses of runs, as they are typed."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    SUSPENDED = "suspended"
    PARKED = "parked"


_COLOURS = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.PARKED: "red",
    RunStatus.SUSPENDED: "yellow",
    RunStatus.CANCELLED: "yellow",
    RunStatus.TERMINATED: "yellow",
}


@frozen
class _Wanted:
    machine: str | None
    status: RunStatus | None
    parent: str | None
    since: str | None
    limit: int | None
    query: str | None


def list_(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="Which runs, such as 'total >= 100 sort by total desc'."),
    ] = None,
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
    url = journal_of(journal)
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
        table = None if as_json else Rows([("run", 0), ("status", 11), ("states", 22), ("changed", 12)])
        async with Client(url, namespace=namespace) as client:
            now, takers = to_datetime(await client.journal.now()), Takers(client.journal)
            left = cursor
            async for page, following in _list_pages(client, wanted, now, cursor):
                views = [await _begun(client, view) for view in page]
                missing = [await takers.missing(view) for view in views]
                if table is None:
                    for view, words in zip(views, missing, strict=True):
                        print_json(run_facts(view, whole=False, unclaimable=bool(words)))
                elif views:
                    table.add([_list_row(*each, now) for each in zip(views, missing, strict=True)])
                left, count = following, count + len(views)
            return count, left

    count, left = asyncio.run(listed())
    if not count and not as_json:
        say(f"no such runs in namespace {namespace or 'default'!r} of {url}", stderr=True)
    if left is not None:
        _tell_more(left, as_json=as_json)


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
        _since(wanted.since, datetime.now(UTC))  # noqa: TID251 - only to refuse a wrong text


async def _list_pages(
    client: Client, wanted: _Wanted, now: datetime, cursor: str | None
) -> AsyncIterator[tuple[Sequence[RunView], str | None]]:
    left = wanted.limit
    since = None if wanted.since is None else _since(wanted.since, now)
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


def _since(text: str, now: datetime) -> datetime:
    """A point in time: so long before `now`, or an ISO time, in UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    try:
        return now - duration(text)
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write how long ago (2h, 3d) or when (2026-03-01T12:00Z)",
            param_hint="--since",
        ) from None


def _list_row(view: RunView, unclaimable: str, now: datetime) -> Sequence[str | Text]:
    name = Text(safe(f"{view.machine}/{view.key}" if view.key is not None else f"{view.machine} {view.id}"))
    status = Text(status_word(view), style=_COLOURS.get(view.status, ""))
    ended = str((view.outcome or {}).get("state", "-"))
    states = ", ".join(view.states) or begin_words(view, now) or ended
    if view.cause:
        name.append(f"\n{safe(_short(view.cause))}", style="dim")
    if unclaimable:
        name.append(f"\n{safe(unclaimable)}", style="yellow")
        status.append("\nunclaimable", style="yellow")
    return name, status, safe(states), f"{span_words(now - view.updated)} ago"


def _short(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first if len(first) <= 160 else f"{first[:159]}…"
