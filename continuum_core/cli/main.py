"""The program `continuum`. Each verb is one function in the module of its noun; `verbs` lists them.

`app` is a Typer application like any other: commands may be added to it. Exit codes: see `failures`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.main import get_command

from continuum_core.cli import output
from continuum_core.cli.extending import extend
from continuum_core.cli.failures import OPERATOR
from continuum_core.cli.leaving import leaves_early
from continuum_core.cli.verbs import Verbs
from continuum_core.hooks.loading import installed
from continuum_core.hooks.plugins import NONE, PluginRefused, Plugins
from continuum_core.hooks.redaction import redaction_of

__all__ = ["app", "main"]

_INTERRUPTED = 130  # as shells tell of what SIGINT ended

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


@leaves_early
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit with its code.

    :param arguments: what follows the program's name; the process's own unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape in its place, never a crash.
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, io.UnsupportedOperation):
                stream.reconfigure(errors="backslashreplace")
    try:
        program = _program(plugins := _plugins())
        output.hide_with(redaction_of(plugins))
    except PluginRefused as refused:
        typer.echo(f"continuum: {refused}", err=True)
        raise SystemExit(OPERATOR) from None
    except KeyboardInterrupt as stopped:  # where a plugin hangs, its name is all there is to find it by
        for note in getattr(stopped, "__notes__", ()):
            typer.echo(f"continuum: {note}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    program(args=None if arguments is None else list(arguments), prog_name="continuum")


@lru_cache(maxsize=4)
def _program(plugins: Plugins) -> Callable[..., Any]:
    """The verbs, those of `plugins` too, made once for a process; `app` itself stays as it is."""
    program: Any = get_command(app)
    for each in extend(program, plugins):
        typer.echo(f"continuum: {each}", err=True)
    made: Callable[..., Any] = program
    return made


def _plugins() -> Plugins:
    """The installed ones. One that cannot be used is told of: what opens no journal goes on without."""
    try:
        return installed()
    except PluginRefused as refused:
        typer.echo(f"continuum: {refused}", err=True)
        return NONE
