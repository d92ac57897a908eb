"""The options that several verbs share, declared once: their names, help and environment variables.

`--json` and `--debug` are noted in the context's `meta`, where the handler of errors finds them: it also
runs when the verb's own function was never reached.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "DEBUG",
    "JSON",
    "Apps",
    "AsJson",
    "Data",
    "Debug",
    "JournalUrl",
    "Namespace",
    "OutputFile",
    "RunRef",
    "Status",
    "Who",
    "Why",
    "journal_of",
]

JSON = "continuum.json"
DEBUG = "continuum.debug"


def _note_json(context: typer.Context, value: bool) -> bool:
    context.meta[JSON] = value
    return value


def _note_debug(context: typer.Context, value: bool) -> bool:
    context.meta[DEBUG] = value
    return value


def journal_of(url: str | None) -> str:
    """The journal's URL, which most verbs cannot do without."""
    if url:
        return url
    raise typer.BadParameter(
        "say which journal holds the runs: --journal sqlite:///orders.db, or set CONTINUUM_JOURNAL "
        "(`continuum dev` uses sqlite:///continuum-dev.db; `continuum backends` lists what is installed)",
        param_hint="--journal",
    )


class Status(enum.StrEnum):
    """The statuses of runs, as they are typed."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    SUSPENDED = "suspended"
    PARKED = "parked"


JournalUrl = Annotated[
    str | None,
    typer.Option(
        "--journal",
        envvar="CONTINUUM_JOURNAL",
        metavar="URL",
        help="The journal, such as sqlite:///orders.db.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", envvar="CONTINUUM_NAMESPACE", metavar="NAME", help="Part of the journal."),
]
Apps = Annotated[
    list[str] | None,
    typer.Option(
        "--app",
        envvar="CONTINUUM_APP",
        metavar="MODULE[:MACHINE]",
        help="Module with machines, found from the current directory; may be given several times.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", callback=_note_json, is_eager=True, help="Print JSON for programs.")
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_note_debug, is_eager=True, help="Show tracebacks of errors.")
]
RunRef = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or MACHINE/KEY, such as order/o-1.")]
Data = Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="JSON; - is standard input.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept in the run's history.")]
Who = Annotated[str, typer.Option("--who", envvar=["USER", "LOGNAME"], metavar="NAME", help="Who orders it.")]
OutputFile = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here.")]
