"""The options that several verbs share, declared once: their names, help and environment variables.

`--json` and `--debug` are noted in the context's `meta`, where the handler of errors finds them: it also
runs when the verb's own function was never reached.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Apps",
    "AsJson",
    "Data",
    "Debug",
    "JournalUrl",
    "Namespace",
    "RunRef",
    "Who",
    "Why",
    "duration",
    "journal_of",
]

JSON = "continuum.json"
DEBUG = "continuum.debug"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _note_json(context: typer.Context, value: bool) -> bool:
    context.meta[JSON] = value
    return value


def _note_debug(context: typer.Context, value: bool) -> bool:
    context.meta[DEBUG] = value
    return value


def duration(text: str) -> timedelta:
    """A length of time from ``10m``, ``1h30m``, ``2d``, ``500ms``, or seconds such as ``90``."""
    parts = _PART.findall(text)
    if text and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
    try:
        length = timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        length = timedelta(-1)
    if length < timedelta():
        raise typer.BadParameter(f"{text!r} is no length of time; write 90 (seconds), 10m, 1h30m or 2d")
    return length


def journal_of(url: str | None) -> str:
    """The journal's URL, which most verbs cannot do without."""
    if url:
        return url
    raise typer.BadParameter(
        "say which journal holds the runs: --journal sqlite:///orders.db, or set CONTINUUM_JOURNAL "
        "(`continuum dev` uses sqlite:///continuum-dev.db; `continuum backends` lists what is installed)",
        param_hint="--journal",
    )


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
