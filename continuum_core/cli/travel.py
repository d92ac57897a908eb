"""The verbs that travel in time: fork, blame, why, graph. All but fork change nothing."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from uuid import UUID

import typer
from rich.text import Text

from continuum_core.blame import ABSENT, Change
from continuum_core.causes import Link
from continuum_core.cli.apps import load
from continuum_core.cli.family import lineage_facts, lineage_mermaid, lineage_svg, lineage_text
from continuum_core.cli.machines import Shade, write_drawing
from continuum_core.cli.options import (
    Apps,
    AsJson,
    Debug,
    JournalUrl,
    Namespace,
    OutputFile,
    RunRef,
    Who,
    Why,
    journal_of,
)
from continuum_core.cli.output import Rows, ascii_only, moment, print_json, safe, say
from continuum_core.cli.payload import read_values
from continuum_core.cli.references import named
from continuum_core.client import Client, Handle
from continuum_core.errors import UsageError
from continuum_core.forking import JsonEdit
from continuum_core.lineage import MOST, Lineage

__all__ = ["blame", "fork", "graph", "point_of", "why"]


def point_of(text: str) -> int | datetime:
    """A record's number, or a time in ISO form (UTC where it names no zone)."""
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a record's number nor a time such as 2026-03-01T12:00Z", param_hint="--at"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


# --- fork --------------------------------------------------------------------------------------------


def fork(
    run: RunRef,
    at: Annotated[str, typer.Option("--at", metavar="VERSION|TIME", help="Where it branches off.")],
    ctx: Annotated[
        str | None, typer.Option("--ctx", metavar="JSON|@FILE|-", help="The context it begins with.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=JSON", help="Change a field of it; may be given several times."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", "-k", metavar="KEY", help="Makes the fork idempotent.")
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Go on with the newest definition of the machine.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Terminate the original once it is forked.")] = False,
    why: Why = "",
    who: Who = "",
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start another run that goes on from a run's past, with another context or newer code.

    The original is left alone. With --app the context is checked against its type, and the first turn is
    taken here and now; without, a worker does both.
    """
    url, point = journal_of(journal), point_of(at)
    machines = load(app)
    whole = None if ctx is None else read_values(ctx, "--ctx")
    fields = [_field(each) for each in set_ or ()]
    if whole is not None and fields:
        raise typer.BadParameter("give the whole context or fields of it, not both", param_hint="--set")

    async def forked() -> tuple[Handle[Any], int]:
        async with Client(url, machines, namespace=namespace) as client, named(client, run) as handle:
            there = await client.at(handle, point)
            edit = _edit(whole, fields) if ctx is not None or fields else None
            machine = (await client.view(handle)).machine if newest else None
            if reset:
                made = await client.reset(
                    handle, there.version, ctx=edit, key=key, machine=machine, why=why, who=who
                )
            else:
                made = await client.fork(handle, there.version, ctx=edit, key=key, machine=machine)
            return made, there.version

    made, version = asyncio.run(forked())
    if as_json:
        print_json({"run": str(made.id), "from": run, "version": version, "reset": reset})
    else:
        say(
            f"{safe(run)} forked at record {version} as run {made.id}" + (", and terminated" if reset else "")
        )


def _field(text: str) -> tuple[list[str], Any]:
    path, given, value = text.partition("=")
    if not given or not path:
        raise typer.BadParameter(f"{text!r} is not FIELD=JSON, such as total=5", param_hint="--set")
    return path.split("."), read_values(value, f"--set {path}")


def _edit(whole: Any, fields: Sequence[tuple[list[str], Any]]) -> JsonEdit:
    """The edit of a context as JSON values."""

    def edited(context: Any) -> Any:
        if not fields:
            return whole
        for path, value in fields:
            _place(context, path)[path[-1]] = value
        return context

    return JsonEdit(edited)


def _place(context: Any, path: Sequence[str]) -> dict[str, Any]:
    """The object that holds the field. Raises UsageError where there is none."""
    for name in path[:-1]:
        context = cast("dict[str, Any]", context).get(name) if isinstance(context, dict) else None
    if not isinstance(context, dict):
        raise UsageError(
            f"--set {'.'.join(path)}: the context has no object there; give it whole, with --ctx"
        )
    return cast("dict[str, Any]", context)


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
        async with Client(url, namespace=namespace) as client, named(client, run) as handle:
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
        "at": change.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
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
        async with Client(url, namespace=namespace) as client, named(client, wanted) as handle:
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
    if not forward:
        reason = _HOWS.get(link.how, "") if link.by is not None else _outside(link)
        say(f"{'  ' * link.depth}  ↑ {reason}" if not ascii_only() else f"{'  ' * link.depth}  ^ {reason}")


def _outside(link: Link) -> str:
    match link.how:
        case "order":
            return f"ordered by {link.who or 'an operator'}"
        case "engine":
            return "by the engine"
        case "upgrade":
            return "by a worker with the newer code"
        case _:
            return "from a client"


def _link_facts(link: Link) -> dict[str, Any]:
    return {
        "run": str(link.run),
        "version": link.version,
        "name": link.name,
        "at": None if link.at is None else link.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "event": link.event or None,
        "how": link.how,
        "by": None if link.by is None else {"run": str(link.by[0]), "version": link.by[1]},
        "who": link.who or None,
        "depth": link.depth,
    }


# --- graph -------------------------------------------------------------------------------------------


class GraphFormat(enum.StrEnum):
    """How a lineage may be drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


_SUFFIXES = {".svg": GraphFormat.SVG, ".mmd": GraphFormat.MERMAID, ".mermaid": GraphFormat.MERMAID}


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
        async with Client(url, namespace=namespace) as client, named(client, run) as handle:
            return await client.lineage(handle, most=most), handle.id

    drawn, asked = asyncio.run(found())
    if as_json:
        print_json(lineage_facts(drawn))
        return
    suffix = "" if output is None else output.suffix.lower()
    kind = format_ or _SUFFIXES.get(suffix, GraphFormat.TEXT)
    if kind is GraphFormat.MERMAID:
        text = lineage_mermaid(drawn, asked)
    elif kind is GraphFormat.SVG:
        text = lineage_svg(drawn, asked, theme.value)
    else:
        text = lineage_text(drawn, asked, ascii_only=output is None and ascii_only())
    if output is None:
        say(text.rstrip("\n"))
    else:
        write_drawing(output, text if text.endswith("\n") else f"{text}\n")
