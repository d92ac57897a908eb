"""The verbs over what a query finds: count, broadcast; and setting what runs are found by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from continuum_core.cli.apps import load
from continuum_core.cli.choosing import Spelt, one_of
from continuum_core.cli.journals import there
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
    journal_of,
)
from continuum_core.cli.output import print_json, say
from continuum_core.cli.payload import read_values
from continuum_core.cli.references import named
from continuum_core.cli.strange import warn_strange
from continuum_core.cli.times import instant
from continuum_core.client import Broadcast, Client, Count, Handle
from continuum_core.journal.attributes import Value
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability
from continuum_core.query import declared

__all__ = ["attributes_of", "broadcast", "count", "set_"]


async def attributes_of(client: Client, run: Handle[Any]) -> Mapping[str, Any]:
    """What a run is found by, as JSON values; nothing where the journal keeps none."""
    if not can(client.journal, Capability.SEARCH):
        return {}
    return {name: _json(value) for name, value in (await client.attributes(run)).items()}


def _json(value: Value | tuple[Value, ...]) -> Any:
    if isinstance(value, tuple):
        return list(map(_json, value))
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal) else value


# --- count


def count(
    words: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="Which runs; all unless given.")
    ] = None,
    query: Spelt = None,
    exact: Annotated[bool, typer.Option("--exact", help="Count on beyond 10,000.")] = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Count the runs that a query finds. Beyond 10,000 nobody counts further: 10,000+."""
    url, wanted = journal_of(journal), one_of(words, query) or ""

    async def counted() -> Count:
        async with Client(there(url, namespace)) as client:
            await warn_strange(client.journal, wanted, as_json=as_json)
            return await client.count(wanted, exact=exact)

    found = asyncio.run(counted())
    if as_json:
        print_json({"count": found.number, "capped": found.capped})
    else:
        say(str(found))


# --- broadcast


def broadcast(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY EVENT",
            help="Which runs, such as 'status = running and total >= 100', and the event's name.",
        ),
    ],
    key: Annotated[
        str, typer.Option("--key", "-k", metavar="KEY", help="Names the broadcast: repeated, it sends once.")
    ],
    query: Spelt = None,
    data: Data = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Send an event to every run that a query finds and that has not ended; repeated, to each once."""
    url, machines = journal_of(journal), load(app)
    values: Any = {} if data is None else read_values(data, "--data")
    wanted, event = _wanted(words, query)

    async def sent() -> Broadcast:
        async with Client(there(url, namespace), machines) as client:
            await warn_strange(client.journal, wanted, as_json=as_json)
            return await client.broadcast(wanted, event, values, key=key)

    told = asyncio.run(sent())
    counts = {
        "sent": told.sent,
        "repeated": told.repeated,
        "over": told.over,
        "full": told.full,
        "unfit": told.unfit,
    }
    if as_json:
        print_json({"runs": told.runs, **counts})
        return
    told_as = {
        "repeated": "had it already",
        "over": "have ended",
        "full": "have no room for it: repeat this for them later",
        "unfit": "are of machines that do not know it",
    }
    say(f"{event} sent to {told.sent:,} of {told.runs:,} runs")
    for name, became in told_as.items():
        if counts[name]:
            say(f"  {counts[name]:,} {became}")


def _wanted(words: list[str], query: str | None) -> tuple[str, str]:
    """The query and the event. Raises typer.BadParameter where one is missing or given twice."""
    if len(words) not in (1, 2):
        raise typer.BadParameter("say which runs, and one event: QUERY EVENT", param_hint="QUERY EVENT")
    chosen = one_of(words[0] if len(words) == 2 else None, query)
    if chosen is None:
        said = f"{words[0]!r} is one word of two: say which runs, and the event: QUERY EVENT"
        raise typer.BadParameter(said, param_hint="QUERY EVENT")
    return chosen, words[-1]


# --- set


def set_(
    run: RunRef,
    values: Annotated[
        list[str], typer.Argument(metavar="NAME=JSON", help="An attribute; null takes it away.")
    ],
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Set what a run is found by, as far as its machine leaves it to clients. It is kept in its history."""
    url = journal_of(journal)
    given = dict(map(_given, values))

    async def ordered() -> Mapping[str, Any]:
        async with Client(there(url, namespace)) as client, named(client, run) as handle:
            [row] = await client.journal.load([handle.id])
            if row is not None:
                known = {each.fingerprint: each for each in await client.journal.definitions()}
                definition = known.get(row.fingerprint)
                kinds: Mapping[str, tuple[str, bool]] = {} if definition is None else declared(definition)
                await client.set_attributes(handle, _typed(given, kinds), why, who=who)
            return await attributes_of(client, handle)

    attributes = asyncio.run(ordered())
    if as_json:
        print_json({"attributes": attributes})
    else:
        say(", ".join(f"{name} = {attributes.get(name, 'none')}" for name in sorted(given)))


def _given(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} sets nothing: write NAME=JSON", param_hint="NAME=JSON")
    return name, read_values(value, name)


def _typed(values: Mapping[str, Any], kinds: Mapping[str, tuple[str, bool]]) -> Mapping[str, Any]:
    """JSON has no times: a text is one where the machine declares one."""
    return {
        name: _time(name, value) if kinds.get(name, ("", False))[0] == "time" else value
        for name, value in values.items()
    }


def _time(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return instant(value)
    except ValueError:
        words = f'{name} is a time, such as "2024-05-31T12:00Z", not {value!r}'
        raise typer.BadParameter(words, param_hint="NAME=JSON") from None
