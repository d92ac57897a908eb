"""The verbs that look at one run: show, history. They change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from continuum_core.cli.apps import MachineClass, load
from continuum_core.cli.earlier import Earlier, draw_moment, show_moment
from continuum_core.cli.facts import run_facts, step_facts
from continuum_core.cli.finding import attributes_of
from continuum_core.cli.journals import there
from continuum_core.cli.kin import crew_facts, parent_facts
from continuum_core.cli.options import Apps, AsJson, Debug, JournalUrl, Namespace, RunRef, journal_of
from continuum_core.cli.output import Rows, moment, print_json, safe, short_id
from continuum_core.cli.portrait import Portrait, draw_run, show_run
from continuum_core.cli.reasons import reason_of, said_by
from continuum_core.cli.references import named
from continuum_core.cli.takers import Takers
from continuum_core.cli.times import point_of
from continuum_core.client import Client, Handle
from continuum_core.clock import to_datetime
from continuum_core.journal.records import ENDED, RecordKind
from continuum_core.view import Step

__all__ = ["history", "show"]


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
        unclaimable = bool(portrait.unclaimable)
        facts = run_facts(portrait.view, whole=True, unclaimable=unclaimable, reason=portrait.reason)
        family = {"parent_run": parent_facts(portrait.parent), "crews": crew_facts(portrait.crews)}
        print_json({**facts, "attributes": portrait.attributes, **family})
    else:
        show_run(portrait)


async def _portrait(url: str, namespace: str | None, run: str, machines: Sequence[MachineClass]) -> Portrait:
    # The client is given no machines: contexts stay the JSON values that are stored.
    async with Client(there(url, namespace)) as client, named(client, run) as handle:
        view = await client.view(handle)
        takers = Takers(client.journal)
        unclaimable = await takers.missing(view)
        drawing = draw_run(view, [machine.chart for machine in machines], takers.definition(view))
        now = to_datetime(await client.journal.now())
        parent, crews = await handle.parent(), await handle.crews()
        attributes, reason = await attributes_of(client, handle), await reason_of(client, view)
        return Portrait(view, drawing, now, unclaimable, attributes, parent, crews, reason)


async def _earlier(
    url: str, namespace: str | None, run: str, machines: Sequence[MachineClass], point: int | datetime
) -> Earlier:
    async with Client(there(url, namespace)) as client, named(client, run) as handle:
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
        async with Client(there(url, namespace), machines) as client, named(client, run) as handle:
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
    said = said_by(step)
    lines: list[tuple[str, str]] = [(said, "red")] if said and not full else []
    lines += [(edge, "") for edge in step.edges]
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
