"""Errors as people and programs are told them, and the exit codes; also how the verbs are listed.

The codes are part of the interface:

- 0: done;
- 1: the caller's or the definition's fault: a corrected command can succeed;
- 2: the command line itself is wrong (usage);
- 3: the operator must act: the journal is away, does not fit, or no backend serves it;
- 4: a run that was waited for ended without a result: failed, cancelled or terminated;
- 5: a run that was waited for has not ended, or answered, within the time given; it goes on.
"""

from __future__ import annotations

import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from continuum_core.cli.options import DEBUG, JSON
from continuum_core.cli.output import print_json, say
from continuum_core.errors import (
    AskTimeout,
    ContinuumError,
    OperatorError,
    ResultTimeout,
    RunEnded,
    UnknownMachine,
)

__all__ = [
    "CALLER",
    "ENDED_WITHOUT_RESULT",
    "OPERATOR",
    "STILL_RUNNING",
    "Failures",
    "exit_code",
]

CALLER = 1
OPERATOR = 3
ENDED_WITHOUT_RESULT = 4
STILL_RUNNING = 5


def exit_code(error: ContinuumError) -> int:
    """The exit code of an error, by who must act."""
    if isinstance(error, UnknownMachine):
        return CALLER  # here its name was always typed
    if isinstance(error, (AskTimeout, ResultTimeout)):
        return STILL_RUNNING
    if isinstance(error, RunEnded):
        return ENDED_WITHOUT_RESULT
    return OPERATOR if isinstance(error, OperatorError) else CALLER


class Failures(TyperGroup):
    """A group of verbs: the one place where errors of the library become text and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. Raises typer.Exit with the code of what went wrong."""
        try:
            return super().invoke(ctx)
        except ContinuumError as error:
            _tell(error, as_json=bool(ctx.meta.get(JSON)), debug=bool(ctx.meta.get(DEBUG)))
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt as stopped:
            for note in getattr(stopped, "__notes__", ()):  # which plugin it met: it may be what hangs
                say(f"continuum: {note}", stderr=True)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs of the help in sections, each named by its panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if not command.hidden:
                panel = command.rich_help_panel or "Commands"
                sections.setdefault(panel, []).append((name, command.get_short_help_str(limit=200)))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _words(error: ContinuumError) -> str:
    """An error in the words of whoever typed a command."""
    if isinstance(error, AskTimeout):
        again = f"ask again with --id {error.id} for the same reply"
        return (
            f"run {error.run} did not answer {error.event} within {error.seconds:g} s: {error.known}; {again}"
        )
    return str(error)


def _tell(error: ContinuumError, *, as_json: bool, debug: bool) -> None:
    notes: list[str] = list(getattr(error, "__notes__", ()))
    if as_json:
        told: dict[str, Any] = {"type": type(error).__name__, "message": _words(error), "hints": notes}
        if debug:
            told["traceback"] = "".join(traceback.format_exception(error))
        print_json({"error": told}, stderr=True)
        return
    if debug:
        say("".join(traceback.format_exception(error)).rstrip(), stderr=True)
    # Further lines are indented: text from elsewhere cannot pass for a message of ours.
    first, *rest = _words(error).split("\n")
    say("\n".join([f"error: {first}", *(f"  {line}" for line in rest)]), stderr=True)
    for note in notes:
        say("hint: " + note.replace("\n", "\n  "), stderr=True)
