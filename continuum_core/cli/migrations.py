"""The verb `migrate`: a journal's schema, looked at and brought to the version of this release."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from continuum_core.cli.failures import OPERATOR
from continuum_core.cli.options import AsJson, Debug, JournalUrl, journal_of
from continuum_core.cli.output import print_json, say
from continuum_core.errors import IncompatibleJournal, UsageError
from continuum_core.journal.connect import connect, migrating
from continuum_core.journal.protocol import Journal, MigratingBackend, SchemaState

__all__ = ["migrate"]


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 3 if the schema does not fit.")
    ] = False,
    sql: Annotated[
        bool,
        typer.Option("--sql", help="Change nothing; print the statements, for teams that run their own."),
    ] = False,
    since: Annotated[
        int | None,
        typer.Option(
            "--from",
            min=0,
            metavar="VERSION",
            help="With --sql: from this version on, 0 being nothing; without, the database is asked.",
        ),
    ] = None,
    journal: JournalUrl = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring a journal's schema to the version of this release.

    Opening does the same where the role may: this is for those whose workers may not.
    """
    url = journal_of(journal)
    if check and sql:
        raise typer.BadParameter("--check asks and --sql prints; give one of them", param_hint="--sql")
    if since is not None and not sql:
        raise typer.BadParameter("--from goes with --sql", param_hint="--from")
    backend = migrating(url)
    if backend is None:
        if check or sql:
            raise UsageError("this backend brings its schema forward when it is opened, and cannot say how")
        opened = asyncio.run(_opened(connect(url)))
        _tell(SchemaState(opened[0], opened[1], opened[1]), opened[1], as_json=as_json)
        return
    if sql:
        at = asyncio.run(_state(backend, url)).stated if since is None else since
        print(backend.migration_sql(url, at), end="")
        return
    state = asyncio.run(_state(backend, url))
    if check:
        _tell(state, state.stated, as_json=as_json)
        raise typer.Exit(OPERATOR if state.behind else 0)
    _tell(state, asyncio.run(_migrated(backend, url)), as_json=as_json)


async def _opened(journal: Journal) -> tuple[str, int]:
    """The backend's name, and the version that opening left the schema at."""
    try:
        opened = await journal.open()
    finally:
        await journal.close()
    return opened.backend, opened.schema


async def _state(backend: MigratingBackend, url: str) -> SchemaState:
    """How far the schema is. Raises IncompatibleJournal where this release must not use it."""
    state = await backend.schema_of(url)
    if state.ahead:
        raise IncompatibleJournal(
            f"{state.shown}: has schema version {state.stated}, which needs a release that knows version "
            f"{state.needs} or later; this one knows {state.known}; upgrade continuum-core"
        )
    return state


async def _migrated(backend: MigratingBackend, url: str) -> int:
    return await backend.migrate(url)


def _tell(state: SchemaState, now: int, *, as_json: bool) -> None:
    if as_json:
        told = {"journal": state.shown, "from": state.stated, "to": now, "release": state.known}
        print_json(told)
    elif now != state.stated:
        before = f"version {state.stated}" if state.stated else "nothing"
        say(f"{state.shown}: from {before} to version {now}")
    elif state.behind:
        has = f"version {now}" if now else "no journal yet"
        say(f"{state.shown}: {has}; this release needs version {state.known}: run `continuum migrate`")
    else:
        say(f"{state.shown}: version {now}, nothing to do")
