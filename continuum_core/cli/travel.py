"""The verbs that look back: blame, why, graph. They change nothing."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.text import Text

from continuum_core.blame import ABSENT, Change
from continuum_core.causes import Link
from continuum_core.cli.family import lineage_dot, lineage_facts, lineage_mermaid, lineage_svg, lineage_text
from continuum_core.cli.journals import there
from continuum_core.cli.machines import Shade, write_drawing
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, OutputFile, RunRef, journal_of
from continuum_core.cli.output import Rows, ascii_only, moment, print_json, safe, say
from continuum_core.cli.references import named
from continuum_core.cli.times import stamp
from continuum_core.client import Client
from continuum_core.lineage import MOST, Lineage

__all__ = ["blame", "graph", "why"]


# --- blame -------------------------------------------------------------------------------------------


def blame(
    run: RunRef,
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="A dotted path, such as order.lines.0.total.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Every record that changed it, newest first.")
    ] = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell which record set a field of a run's context, through the runs it was forked from."""
    url = journal_of(journal)

    async def found() -> Sequence[Change]:
        async with Client(there(url, namespace)) as client, named(client, run) as handle:
            return await client.blame(handle, field)

    changes = asyncio.run(found())
    table = Rows([("record", 14), ("time (UTC)", 20), ("event", 20), ("became", 0)])
    shown = changes if everything else changes[:1]
    if as_json:
        for change in shown:
            print_json(_change_facts(change))
        return
    table.add([_change_row(change, changes[0]) for change in shown])
    if len(changes) > len(shown):
        say(f"changed {len(changes)} times: --all shows each", stderr=True)


def _change_row(change: Change, first: Change) -> Sequence[str | Text]:
    record = str(change.version) if change.run == first.run else f"{change.version} of {change.run}"
    if change.steps > 1:
        record += f"\none of {change.steps} steps"
    became = Text(_flat(change.after), style="bold")
    if change.before is not ABSENT:
        became.append(f"\nwas {_flat(change.before)}", style="dim")
    return record, moment(change.at), safe(change.event), became


def _change_facts(change: Change) -> dict[str, Any]:
    facts = {
        "run": str(change.run),
        "version": change.version,
        "steps": change.steps,
        "at": stamp(change.at),
        "event": change.event,
        "cause": str(change.cause),
    }
    # A key that is not there says what null would not: the field was not.
    values = {"before": change.before, "after": change.after}
    return {**facts, **{name: value for name, value in values.items() if value is not ABSENT}}


def _flat(value: Any) -> str:
    return "absent" if value is ABSENT else safe(json.dumps(value, ensure_ascii=False))


# --- why ---------------------------------------------------------------------------------------------


def why(
    record: Annotated[
        str, typer.Argument(metavar="RUN[:VERSION]", help="A record of a run; its last one without VERSION.")
    ],
    forward: Annotated[bool, typer.Option("--forward", help="Show all that followed from it.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="With --forward: at most so many records.")
    ] = 1_000,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell what caused a record, back to its root cause: across runs, activities, timers and orders."""
    url = journal_of(journal)
    run, _, number = record.rpartition(":")
    version = int(number) if run and number.isdecimal() else None
    wanted = run if version is not None else record

    async def found() -> tuple[Sequence[Link], bool]:
        async with Client(there(url, namespace)) as client, named(client, wanted) as handle:
            if forward:
                return await client.followed(handle, version, limit=limit)
            return await client.why(handle, version), False

    links, more = asyncio.run(found())
    for link in links:
        if as_json:
            print_json(_link_facts(link))
        else:
            _say_link(link, forward=forward)
    if more:
        say(f"there is more: --limit above {limit} shows it", stderr=True)


_HOWS = {
    "activity": "an activity that was asked for by",
    "child": "a child run that was started by",
    "closed": "its parent went on without it, at",
    "ended": "the end of its child run, at",
    "deferred": "deferred by",
    "engine": "on what came by",
    "fork": "forked from",
    "message": "sent by",
    "order": "ordered by",
    "timer": "a timer that was started by",
}


def _say_link(link: Link, *, forward: bool) -> None:
    if link.how == "gone":
        say(f"{'  ' * link.depth}{link.name}:{link.version}  is not stored any more")
        return
    at = "" if link.at is None else f"  {moment(link.at)}"
    say(f"{'  ' * link.depth}{link.name}:{link.version}{at}  {link.event}")
    for line in link.said.split("\n") if link.said else ():
        say(f"{'  ' * link.depth}  {line}")
    if not forward:
        reason = _inside(link) if link.by is not None else _outside(link)
        say(f"{'  ' * link.depth}  ↑ {reason}" if not ascii_only() else f"{'  ' * link.depth}  ^ {reason}")


def _inside(link: Link) -> str:
    if link.on:
        return f"by the engine, on {link.on}, which came by"
    return _HOWS.get(link.how, "")


def _outside(link: Link) -> str:
    match link.how:
        case "order":
            return f"ordered by {link.who or 'an operator'}"
        case "engine":
            return f"by the engine, on {link.on} from a client" if link.on else "by the engine"
        case "upgrade":
            return "by a worker with the newer code"
        case _:
            return "from a client"


def _link_facts(link: Link) -> dict[str, Any]:
    return {
        "run": str(link.run),
        "version": link.version,
        "name": link.name,
        "at": stamp(link.at),
        "event": link.event or None,
        "how": link.how,
        "by": None if link.by is None else {"run": str(link.by[0]), "version": link.by[1]},
        "who": link.who or None,
        "depth": link.depth,
        "said": link.said or None,
        "on": link.on or None,
        "delivery": None if link.delivery is None else str(link.delivery),
    }


# --- graph -------------------------------------------------------------------------------------------


class GraphFormat(enum.StrEnum):
    """How a lineage may be drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


_SUFFIXES = {
    ".svg": GraphFormat.SVG,
    ".mmd": GraphFormat.MERMAID,
    ".mermaid": GraphFormat.MERMAID,
    ".dot": GraphFormat.DOT,
    ".gv": GraphFormat.DOT,
}


def graph(
    run: RunRef,
    format_: Annotated[
        GraphFormat | None, typer.Option("--format", "-f", help="Default: by FILE's ending, else text.")
    ] = None,
    output: OutputFile = None,
    theme: Annotated[Shade, typer.Option(help="Of an SVG; auto follows the reader's system.")] = Shade.AUTO,
    most: Annotated[
        int,
        typer.Option("--most", min=0, help="Sum up a run's child runs of one machine where there are more."),
    ] = MOST,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw all that hangs together with a run: forks, children, and definitions, from the root down."""
    url = journal_of(journal)

    async def found() -> tuple[Lineage, UUID]:
        async with Client(there(url, namespace)) as client, named(client, run) as handle:
            return await client.lineage(handle, most=most), handle.id

    drawn, asked = asyncio.run(found())
    if as_json:
        print_json(lineage_facts(drawn))
        return
    suffix = "" if output is None else output.suffix.lower()
    kind = format_ or _SUFFIXES.get(suffix, GraphFormat.TEXT)
    if kind is GraphFormat.MERMAID:
        text = lineage_mermaid(drawn, asked)
    elif kind is GraphFormat.DOT:
        text = lineage_dot(drawn, asked)
    elif kind is GraphFormat.SVG:
        text = lineage_svg(drawn, asked, theme.value)
    else:
        text = lineage_text(drawn, asked, ascii_only=output is None and ascii_only())
    if output is None:
        say(text.rstrip("\n"))
    else:
        write_drawing(output, text if text.endswith("\n") else f"{text}\n")
