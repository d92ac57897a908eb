"""The verbs about archives: ended runs into a file, and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from continuum_core.carriage.archives import Archived, Restored, Selection
from continuum_core.carriage.archives import archive as write_archive
from continuum_core.carriage.archives import restore as read_archive
from continuum_core.cli.apps import load
from continuum_core.cli.carrying import (
    DryRun,
    Machine,
    OlderThan,
    Statuses,
    counted,
    progress,
    statuses_of,
    warn_of,
)
from continuum_core.cli.choosing import Which, found_by
from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import opened, planned, there
from continuum_core.cli.options import Apps, AsJson, Debug, JournalUrl, Namespace, journal_of
from continuum_core.cli.output import print_json, safe, say
from continuum_core.client import Client
from continuum_core.registry import Registry

__all__ = ["archive", "restore"]


def archive(
    older_than: OlderThan,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="A new file; needed but for --dry-run.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what was archived, once the file is safe.")
    ] = False,
    machine: Machine = None,
    status: Statuses = None,
    query: Which = None,
    dry_run: DryRun = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write ended runs into a file of JSON Lines, whole and readable for ever, and delete them if wanted."""
    url = journal_of(journal)
    if to is None and not dry_run:
        raise typer.BadParameter("name the file to write, or give --dry-run", param_hint="--to")
    statuses = statuses_of(status)

    async def archived() -> Archived:
        chosen = None
        if query is not None:
            async with Client(there(url, namespace)) as client:
                chosen = tuple(await found_by(client, query, as_json=as_json))
        async with opened(url, namespace) as handle:
            before = await handle.now() - round(older_than.total_seconds() * 1_000_000)
            wanted = Selection(before, machine, statuses, chosen)
            await warn_of(handle, machine)
            with progress("runs", None, quiet=as_json) as tell:
                return await write_archive(
                    handle, wanted, None if dry_run else to, prune=prune, told=lambda done: tell(done.runs)
                )

    done = asyncio.run(archived())
    if as_json:
        told = {"runs": done.runs, "records": done.records, "bytes": done.bytes, "pruned": done.pruned}
        print_json({"file": None if dry_run else str(to), **told})
    elif dry_run:
        say(f"{counted(done.runs, 'run')} with {counted(done.records, 'record')} would be archived")
    else:
        held = f"{counted(done.runs, 'run')} with {counted(done.records, 'record')}"
        say(f"{to}: {held}, {done.bytes} bytes" + (f"; deleted: {done.pruned}" if prune else ""))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", "--journal", envvar="CONTINUUM_JOURNAL", metavar="URL", help="The journal that gets them."
        ),
    ] = None,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Leave damaged lines out instead of refusing the file.")
    ] = False,
    dry_run: DryRun = False,
    app: Apps = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the runs of an archive back into a journal. Those that are there already stay as they are."""
    url = journal_of(to)
    registry = Registry(load(app))

    async def restored() -> Restored:
        async with planned(url, namespace, dry_run=dry_run) as handle:
            with progress("runs", None, quiet=as_json) as tell:
                return await read_archive(
                    file,
                    handle,
                    registry=registry,
                    salvage=salvage,
                    dry_run=dry_run,
                    told=lambda done: tell(done.runs + done.present),
                )

    done = asyncio.run(restored())
    if as_json:
        print_json(
            {
                "restored": done.runs,
                "present": done.present,
                "folded": done.folded,
                "conflicts": done.conflicts,
                "damaged": [{"line": each.line, "what": each.what} for each in done.damaged],
            }
        )
    else:
        would = "would be " if dry_run else ""
        say(f"{counted(done.runs, 'run')} {would}restored; there already: {done.present}")
        for told in (*(str(each) for each in done.damaged), *done.conflicts):
            say(f"left out: {safe(told)}", stderr=True, style="red")
    raise typer.Exit(CALLER if done.damaged or done.conflicts else 0)
