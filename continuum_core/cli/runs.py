"""The verbs of whoever uses a run: start, send, ask."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer

from continuum_core.arguments import suggestion
from continuum_core.cli.apps import load, machine_named
from continuum_core.cli.facts import run_facts
from continuum_core.cli.failures import ENDED_WITHOUT_RESULT
from continuum_core.cli.journals import there
from continuum_core.cli.options import Apps, AsJson, Data, Debug, JournalUrl, Namespace, RunRef, journal_of
from continuum_core.cli.output import pretty, print_json, say
from continuum_core.cli.payload import read_values
from continuum_core.cli.references import name_of, named
from continuum_core.cli.times import duration
from continuum_core.client import Client, Handle
from continuum_core.errors import PayloadRefused, ResultTimeout, RunEnded, RunNotFound, UnknownMachine
from continuum_core.view import RunView, run_view

__all__ = ["ask", "send", "start"]

_PATIENCE = timedelta(seconds=30)
"""How long an answer is waited for, unless said otherwise."""


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
        async with Client(there(url, namespace), machines) as client, named(client, run) as handle:
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
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Wait no longer than this; default: 30s."),
    ] = None,
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
    # Not the option's default: that one would go through its parser, which takes text.
    wait = _PATIENCE if timeout is None else timeout

    async def asked() -> Any:
        async with Client(there(url, namespace), machines) as client, named(client, run) as handle:
            return await client.ask(handle, event, values, timeout=wait.total_seconds(), id=id)

    reply = asyncio.run(asked())
    if as_json:
        print_json({"reply": reply})
    else:
        for line in pretty(reply):
            say(line)
