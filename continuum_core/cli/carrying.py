"""The verb `copy`, and what verbs over whole runs share: options, a bar."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copied, Copying
from continuum_core.carriage.copying import copy as copy_runs
from continuum_core.cli.apps import load
from continuum_core.cli.failures import OPERATOR
from continuum_core.cli.journals import opened, planned
from continuum_core.cli.options import Apps, AsJson, Debug, Namespace, Status, Who
from continuum_core.cli.output import console, print_json, say
from continuum_core.cli.strange import strange_machine
from continuum_core.cli.times import duration
from continuum_core.errors import UsageError
from continuum_core.journal.connect import shown
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.registry import Registry

__all__ = [
    "DryRun",
    "Machine",
    "OlderThan",
    "Statuses",
    "copy",
    "counted",
    "progress",
    "statuses_of",
    "warn_of",
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what would be done.")]
OlderThan = Annotated[
    timedelta,
    typer.Option(
        "--older-than", parser=duration, metavar="DURATION", help="Ended longer ago than this, such as 30d."
    ),
]
Machine = Annotated[str | None, typer.Option("--machine", "-m", metavar="NAME", help="Runs of this machine.")]
Statuses = Annotated[
    list[Status] | None,
    typer.Option("--status", help="Runs that ended like this; may be given several times."),
]


def counted(number: int, one: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def statuses_of(chosen: list[Status] | None) -> frozenset[RunStatus]:
    """Those of runs that have ended. Raises typer.BadParameter for another: no run would be found by it."""
    found = frozenset(RunStatus[status.name] for status in chosen or ())
    if going := found - ENDED:
        words = " and ".join(sorted(status.name.lower() for status in going))
        ends = ", ".join(status.name.lower() for status in sorted(ENDED))
        raise typer.BadParameter(
            f"a run that is {words} has not ended; runs end {ends}", param_hint="--status"
        )
    return found


async def warn_of(journal: Journal, machine: str | None) -> None:
    """Say of a machine that a verb is to keep to where none of that name ever ran: it finds nothing then."""
    if machine is not None and (strange := await strange_machine(journal, machine)):
        say(strange, stderr=True)


@contextlib.contextmanager
def progress(what: str, total: int | None, *, quiet: bool) -> Generator[Callable[[int], None], None, None]:
    """A bar on the terminal's error stream; nothing where that is no terminal, or `quiet`."""
    out = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True, disable=quiet or not out.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


# --- copy


def copy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The journal that has the runs.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="The journal that gets them.")],
    wait: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Wait so long for what workers have."),
    ] = None,
    dry_run: DryRun = False,
    app: Apps = None,
    namespace: Namespace = None,
    who: Who = "",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Copy a journal into another one: ended runs are copied, all others moved.

    A run lives in one journal: one that has not ended leaves the source for good. What a worker has at the
    moment stays; repeat the command until it says that nothing is left. It may be repeated after any crash.
    With --app, runs whose code is here are proved by folding their records before they go.
    """
    if source == target:
        raise UsageError("--from and --to name the same journal")
    registry = Registry(load(app))

    async def copied() -> Copied:
        async with opened(source, namespace) as here, planned(target, namespace, dry_run=dry_run) as there:
            with progress("runs", None, quiet=as_json) as tell:
                asked = Copying(
                    host=AsyncioHost(),
                    to=shown(target),
                    who=who,
                    wait=0.0 if wait is None else wait.total_seconds(),
                    dry_run=dry_run,
                    registry=registry,
                    told=lambda done: tell(done.seen),
                )
                return await copy_runs(here, there, asked)

    done = asyncio.run(copied())
    if as_json:
        print_json(_copy_facts(done, dry_run=dry_run))
    else:
        _tell_copied(done, dry_run=dry_run)
    raise typer.Exit(0 if done.complete else OPERATOR)


def _copy_facts(done: Copied, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "finished": done.finished,
        "moved": done.moved,
        "resumed": done.resumed,
        "present": done.present,
        "folded": done.folded,
        "forwarded": done.forwarded,
        "definitions": done.definitions,
        "results": done.results,
        "busy": [str(run_id) for run_id in done.busy],
        "troubles": [{"run": str(each.run), "why": each.why} for each in done.troubles],
        "complete": done.complete,
    }


def _tell_copied(done: Copied, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    say(f"ended and {would}copied: {done.finished}; going on and {would}moved: {done.moved}")
    if done.present:
        say(f"there already: {done.present}")
    if done.resumed:
        say(f"begun by an earlier copy: {done.resumed}")
    if done.folded:
        say(f"proved by folding their records: {done.folded}")
    if done.forwarded:
        say(f"sent on, having come after their run had left: {done.forwarded}")
    say(f"definitions: {done.definitions}; keyed results: {done.results}")
    for trouble in done.troubles:
        say(f"left where it is: {trouble.machine} {trouble.run}: {trouble.why}", stderr=True, style="red")
    if done.busy:
        say(
            f"left to workers of the source, which have them: {counted(len(done.busy), 'run')}; stop these "
            "workers, or let them finish, and repeat the command (--wait DURATION waits for them)",
            stderr=True,
            style="yellow",
        )
