"""The program `continuum`: which verbs there are. Each verb is one function in the module of its noun.

`app` is a Typer application like any other: commands may be added to it. Exit codes: see `failures`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from continuum_core.cli import (
    backends,
    demo,
    evolution,
    inspection,
    machines,
    migrations,
    moving,
    runs,
    workers,
)
from continuum_core.cli.failures import Verbs
from continuum_core.hooks.loading import Observers, PluginRefused, load

__all__ = ["app", "main"]

app = typer.Typer(
    name="continuum",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its renderer costs a tenth of a second; panels become sections in `Verbs`
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"continuum-core {version('continuum-core')}")
        raise typer.Exit


@app.callback()
def continuum(
    version_: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Durable, explicit state machines.

    Exit codes: 0 done; 1 the command's or the definition's fault; 2 usage; 3 the journal, for the operator;
    4 a run that was waited for failed or was cancelled; 5 it has not ended in time.
    """


_WORK = "Work"
_RUNS = "Runs"
_ORDERS = "An operator's orders"
_MACHINES = "Machines and journals"

app.command("dev", rich_help_panel=_WORK)(workers.dev)
app.command("worker", rich_help_panel=_WORK)(workers.worker)
app.command("start", rich_help_panel=_RUNS)(runs.start)
app.command("send", rich_help_panel=_RUNS)(runs.send)
app.command("show", rich_help_panel=_RUNS)(inspection.show)
app.command("history", rich_help_panel=_RUNS)(inspection.history)
app.command("list", rich_help_panel=_RUNS)(inspection.list_)
app.command("cancel", rich_help_panel=_ORDERS)(runs.cancel)
app.command("suspend", rich_help_panel=_ORDERS)(runs.suspend)
app.command("resume", rich_help_panel=_ORDERS)(runs.resume)
app.command("unpark", rich_help_panel=_ORDERS)(runs.unpark)
app.command("terminate", rich_help_panel=_ORDERS)(runs.terminate)
app.command("check", rich_help_panel=_MACHINES)(machines.check)
app.command("lock", rich_help_panel=_MACHINES)(evolution.lock)
app.command("draw", rich_help_panel=_MACHINES)(machines.draw)
app.command("backends", rich_help_panel=_MACHINES)(backends.backends)
app.command("migrate", rich_help_panel=_MACHINES)(migrations.migrate)
app.command("migrate-runs", rich_help_panel=_MACHINES)(moving.migrate_runs)
app.add_typer(moving.audit, name="audit", rich_help_panel=_MACHINES)
app.command(
    "demo",
    rich_help_panel=_MACHINES,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(demo.demo)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit with its code.

    :param arguments: what follows the program's name; the process's own unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape in its place, never a crash.
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, io.UnsupportedOperation):
                stream.reconfigure(errors="backslashreplace")
    _add_commands_of_plugins()
    app(args=None if arguments is None else list(arguments), prog_name="continuum")


def _add_commands_of_plugins() -> None:
    """Let plugins add theirs. One that cannot is told of, and the program goes on without it."""
    try:
        manager = load()
    except PluginRefused as refused:
        typer.echo(f"continuum: {refused}", err=True)
        return
    Observers(manager).tell("register_commands", app=app)
