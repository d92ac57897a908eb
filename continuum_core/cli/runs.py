"""The verbs that act on runs: start, send, and an operator's orders."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import typer

from continuum_core.cli.apps import load, machine_named
from continuum_core.cli.facts import run_facts
from continuum_core.cli.failures import CALLER, ENDED_WITHOUT_RESULT, suggestion
from continuum_core.cli.options import (
    Apps,
    AsJson,
    Data,
    Debug,
    JournalUrl,
    Namespace,
    RunRef,
    Who,
    Why,
    duration,
    journal_of,
)
from continuum_core.cli.output import pretty, print_json, safe, say
from continuum_core.cli.payload import read_values
from continuum_core.cli.references import named
from continuum_core.client import Client, Handle
from continuum_core.errors import PayloadRefused, ResultTimeout, RunEnded, RunNotFound, UnknownMachine
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.view import RunView, run_view

__all__ = ["ask", "cancel", "resume", "send", "start", "suspend", "terminate", "unpark"]


def name_of(view: RunView) -> str:
    """What a run is called: ``machine/key``, or its id."""
    return f"{view.machine}/{view.key}" if view.key is not None else str(view.id)


# --- start -------------------------------------------------------------------------------------------


def start(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Its name, such as order.")],
    input_: Annotated[
        str | None, typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="The input of the run.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", "-k", metavar="KEY", help="Makes the start idempotent.")
    ] = None,
    after: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Let it begin so much later."),
    ] = None,
    deadline: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Let it be over so long after it begins."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the result and print it.")] = False,
    timeout: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Wait no longer than this; implies --wait."),
    ] = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a run, or find the one that was started with the same key and input.

    With --app the input is checked against its type, and the first turn is taken here and now; without,
    the machine must be known to the journal, and a worker checks the values.
    """
    url = journal_of(journal)
    machines = load(app)
    values = None if input_ is None else read_values(input_, "--input")
    name = machine_named(machines, machine).chart.name if machines else machine

    async def started() -> int:
        async with Client(url, machines, namespace=namespace) as client:
            handle = await _started(client, name, values, key, after, deadline)
            if wait or timeout is not None:
                seconds = None if timeout is None else timeout.total_seconds()
                return await _awaited(client, handle, seconds, as_json=as_json)
            _tell_started(await _stored(client, handle), as_json=as_json)
            return 0

    raise typer.Exit(asyncio.run(started()))


async def _started(
    client: Client,
    name: str,
    values: Any,
    key: str | None,
    after: timedelta | None,
    deadline: timedelta | None,
) -> Handle[Any]:
    try:
        return await client.start(name, values, key=key, after=after, deadline=deadline)
    except UnknownMachine as error:
        if hint := suggestion(name, error.known):
            error.add_note(hint)
        error.add_note("a machine is known once a worker ran it on this journal; or give --app MODULE")
        raise
    except PayloadRefused as error:
        if values is None:
            error.add_note("no --input was given")
        raise


def _tell_started(view: RunView, *, as_json: bool) -> None:
    if as_json:
        print_json(run_facts(view, whole=False))
        return
    name = name_of(view)
    say(f"{name}  {view.status.name.lower()}" + ("" if view.key is None else f"  (run {view.id})"))


async def _stored(client: Client, handle: Handle[Any]) -> RunView:
    """The run with its context as the JSON values that are stored, also where its code is here."""
    found = await client.journal.inspect(handle.id)
    if found is None:
        raise RunNotFound(str(handle.id))  # pruned within the moment
    return run_view(found, None)


async def _awaited(client: Client, handle: Handle[Any], seconds: float | None, *, as_json: bool) -> int:
    """Wait for the end and print it; the exit code says which end it was. Raises ResultTimeout."""
    ended: RunEnded | None = None
    try:
        await client.result(handle, seconds)
    except ResultTimeout as error:
        error.add_note(f"`continuum show {handle.id}` tells what it waits for; is a worker running?")
        raise
    except RunEnded as error:
        ended = error
    view = await _stored(client, handle)
    if as_json:
        print_json(run_facts(view, whole=False))
    elif ended is None:
        for line in pretty((view.outcome or {}).get("value")):
            say(line)
    else:
        raise ended
    return 0 if ended is None else ENDED_WITHOUT_RESULT


# --- send --------------------------------------------------------------------------------------------


def send(
    run: RunRef,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name.")],
    data: Data = None,
    dedupe: Annotated[
        str | None, typer.Option(metavar="ID", help="The run takes the event once, however often it is sent.")
    ] = None,
    delay: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="DURATION", help="Deliver it so much later.")
    ] = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Send a run an event. With --app its data is checked against the event's type, else its fields only."""
    url = journal_of(journal)
    machines = load(app)
    values = None if data is None else read_values(data, "--data")

    async def sent() -> RunView:
        async with Client(url, machines, namespace=namespace) as client, named(client, run) as handle:
            await client.send(handle, event, values, dedupe=dedupe, delay=delay)
            return await client.view(handle)

    view = asyncio.run(sent())
    if as_json:
        print_json(
            {"run": str(view.id), "machine": view.machine, "key": view.key, "event": event, "dedupe": dedupe}
        )
    else:
        say(f"{event} sent to {name_of(view)}")


def ask(
    run: RunRef,
    event: Annotated[str, typer.Argument(metavar="QUESTION", help="The question's name.")],
    data: Data = None,
    id: Annotated[
        str | None, typer.Option(metavar="ID", help="Asked once under it; each call gets the same reply.")
    ] = None,
    timeout: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="Wait no longer than this."),
    ] = timedelta(seconds=30),
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Ask a run, and print what the turn that takes the question replies. A worker has to be alive."""
    url = journal_of(journal)
    machines = load(app)
    values = None if data is None else read_values(data, "--data")

    async def asked() -> Any:
        async with Client(url, machines, namespace=namespace) as client, named(client, run) as handle:
            return await client.ask(handle, event, values, timeout=timeout.total_seconds(), id=id)

    reply = asyncio.run(asked())
    if as_json:
        print_json({"reply": reply})
    else:
        for line in pretty(reply):
            say(line)


# --- orders ------------------------------------------------------------------------------------------


Ordering = Callable[[Client, Handle[Any]], Awaitable[object]]


def _order(
    url: str | None,
    namespace: str | None,
    run: str,
    order: Ordering,
    told: Callable[[RunStatus, RunStatus], str],
    *,
    as_json: bool,
) -> None:
    async def ordered() -> tuple[RunView, RunView]:
        async with Client(journal_of(url), namespace=namespace) as client, named(client, run) as handle:
            before = await client.view(handle)
            await order(client, handle)
            return before, await client.view(handle)

    before, after = asyncio.run(ordered())
    if as_json:
        print_json({**run_facts(after, whole=False), "status_before": before.status.name.lower()})
    else:
        say(f"{name_of(after)}: {told(before.status, after.status)}")


def cancel(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Ask a run to stop: a worker takes it through its exits. It overtakes all events that wait."""

    def told(_: RunStatus, after: RunStatus) -> str:
        if after is RunStatus.CANCELLED:
            return "cancelled"
        resting = after in (RunStatus.SUSPENDED, RunStatus.PARKED)
        return f"asked to stop{f', once it goes on: it is {after.name.lower()}' if resting else ''}"

    _order(journal, namespace, run, lambda c, h: c.cancel(h, why, who=who), told, as_json=as_json)


def suspend(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a run rest: it takes no turn until it is resumed. Activities that run go on."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "suspended" if before is RunStatus.RUNNING else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.suspend(h, why, who=who), told, as_json=as_json)


def resume(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a suspended run go on."""

    def told(before: RunStatus, after: RunStatus) -> str:
        if before is RunStatus.PARKED:
            return "parked, not suspended: `continuum unpark` lets it try again"
        return "resumed" if before is RunStatus.SUSPENDED else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.resume(h, why, who=who), told, as_json=as_json)


def unpark(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a parked run try again, after what parked it was mended."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "unparked" if before is RunStatus.PARKED else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.unpark(h, why, who=who), told, as_json=as_json)


def terminate(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """End a run at once, whoever holds it: no exits, no clean-up. Prefer cancel."""
    url = journal_of(journal)
    if not yes:
        _confirm(run, as_json=as_json)

    def told(_: RunStatus, after: RunStatus) -> str:
        return "terminated" if after is RunStatus.TERMINATED else after.name.lower()

    _order(url, namespace, run, lambda c, h: c.terminate(h, why, who=who), told, as_json=as_json)


def _confirm(run: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(
            "it asks first, and there is nobody to ask here: add --yes", param_hint="--yes"
        )
    question = f"End {safe(run)} at once, without its exits and clean-up?"
    if not typer.confirm(question, err=True):
        raise typer.Exit(CALLER)


def _nothing(before: RunStatus, after: RunStatus) -> str:
    over = " and over" if before in ENDED else ""
    return f"nothing to do, it is {after.name.lower()}{over}"
