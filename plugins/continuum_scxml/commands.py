"""``continuum scxml``: machines written for other tools, and files of theirs as the beginning of a module."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from continuum_core.cli.apps import one_machine
from continuum_core.cli.options import Debug, OutputFile
from continuum_core.cli.output import say
from continuum_core.errors import UsageError
from continuum_scxml.charted import outline_of
from continuum_scxml.document import SIZE
from continuum_scxml.scxml_reader import read_scxml
from continuum_scxml.scxml_writer import scxml_text
from continuum_scxml.skeleton import skeleton
from continuum_scxml.xstate_reader import read_xstate
from continuum_scxml.xstate_writer import xstate_text

__all__ = ["add_group"]


class Format(enum.StrEnum):
    """Formats of other tools."""

    SCXML = "scxml"
    XSTATE = "xstate"


_WRITERS = {Format.SCXML: scxml_text, Format.XSTATE: xstate_text}
_READERS = {Format.SCXML: read_scxml, Format.XSTATE: read_xstate}
_TITLES = {Format.SCXML: "SCXML", Format.XSTATE: "XState JSON"}

AsFormat = Annotated[Format | None, typer.Option("--format", "-f", help="Default: by what FILE is.")]


def add_group(app: typer.Typer) -> None:
    """Add the group `scxml`."""
    group = typer.Typer(no_args_is_help=True, help="Exchange machines with other tools: SCXML, XState JSON.")
    group.command("export")(export)
    group.command("import")(import_)
    app.add_typer(group, name="scxml", rich_help_panel="Machines and journals")


def export(
    machine: Annotated[
        str, typer.Argument(metavar="MODULE:MACHINE", help="MODULE alone if it has one only.")
    ],
    format_: Annotated[Format, typer.Option("--format", "-f")] = Format.SCXML,
    output: OutputFile = None,
    debug: Debug = False,
) -> None:
    """Write a machine for another tool: its structure, and its functions by name."""
    text = _WRITERS[format_](outline_of(one_machine(machine).chart))
    if output is None:
        say(text.rstrip("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror or error}") from error


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An SCXML document, or an XState machine.")],
    format_: AsFormat = None,
    output: OutputFile = None,
    debug: Debug = False,
) -> None:
    """Make Python code from a file of another tool: a machine's skeleton, with gaps for its functions."""
    data = _read(file)
    kind = format_ or (Format.SCXML if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else Format.XSTATE)
    code = skeleton(_READERS[kind](data), _TITLES[kind])
    if output is None:
        say(code.rstrip("\n"))
        return
    try:
        with output.open("x", encoding="utf-8") as made:  # what was filled in is never written over
            made.write(code)
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror or error}") from error


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(SIZE + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
