"""Machines to and from other tools: SCXML and XState JSON. A plugin, and functions for programs.

Both formats carry structure. Guards, reducers and activities are Python functions, which no file of another
tool can hold: they are written by name, and read as gaps to fill in. Nothing found in a file is ever
evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from continuum_core.definition.chart import Chart
from continuum_core.hooks import hookimpl
from continuum_scxml.charted import outline_of
from continuum_scxml.outline import FormatRefused, Outline
from continuum_scxml.scxml_reader import read_scxml
from continuum_scxml.scxml_writer import scxml_text
from continuum_scxml.skeleton import skeleton
from continuum_scxml.xstate_reader import read_xstate
from continuum_scxml.xstate_writer import xstate_text

if TYPE_CHECKING:
    import typer

__all__ = [
    "HOOKS_VERSION",
    "FormatRefused",
    "Outline",
    "outline_of",
    "read_scxml",
    "read_xstate",
    "register_commands",
    "skeleton",
    "to_scxml",
    "to_xstate",
]

HOOKS_VERSION = 2


@hookimpl
def register_commands(app: typer.Typer) -> None:
    """Add the group `scxml`."""
    # The program's own parts: a worker in another program has no use for them, and starts sooner without.
    from continuum_scxml.commands import add_group  # noqa: PLC0415

    add_group(app)


def to_scxml(machine: Any) -> str:
    """A machine as an SCXML document.

    :param machine: a machine class, or its chart.

    Raises FormatRefused for a name that the format cannot hold.
    """
    return scxml_text(outline_of(_chart(machine)))


def to_xstate(machine: Any) -> str:
    """A machine as the JSON of an XState 5 machine. Takes and raises what `to_scxml` does."""
    return xstate_text(outline_of(_chart(machine)))


def _chart(machine: Any) -> Chart:
    return machine if isinstance(machine, Chart) else machine.chart
