"""The verb that forks a run: another one goes on from its past, with another context or newer code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from continuum_core.cli.apps import load
from continuum_core.cli.journals import there
from continuum_core.cli.options import (
    Apps,
    AsJson,
    Debug,
    JournalUrl,
    Namespace,
    RunRef,
    Who,
    Why,
    journal_of,
)
from continuum_core.cli.output import print_json, safe, say
from continuum_core.cli.payload import read_values
from continuum_core.cli.references import named
from continuum_core.cli.times import point_of
from continuum_core.client import Client, Handle
from continuum_core.errors import UsageError
from continuum_core.forking import JsonEdit

__all__ = ["fork"]


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
        async with Client(there(url, namespace), machines) as client, named(client, run) as handle:
            moment = await client.at(handle, point)
            edit = _edit(whole, fields) if ctx is not None or fields else None
            machine = (await client.view(handle)).machine if newest else None
            if reset:
                made = await client.reset(
                    handle, moment.version, ctx=edit, key=key, machine=machine, why=why, who=who
                )
            else:
                made = await client.fork(handle, moment.version, ctx=edit, key=key, machine=machine)
            return made, moment.version

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
