"""Draw machines: as SVG, Mermaid, Graphviz DOT, or text for a terminal. No run and no engine is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from continuum_core.definition import diagram
from continuum_core.definition import svg as picture
from continuum_core.definition import terminal as text
from continuum_core.definition.chart import Chart

__all__ = ["dot", "mermaid", "svg", "terminal"]


def svg(machine: Any, *, active: Iterable[str] = (), theme: Literal["auto", "light", "dark"] = "auto") -> str:
    """An SVG picture, laid out by the library itself.

    :param machine: a machine class, or its chart.
    :param active: dotted paths of the states to mark, such as `RunView.states`.
    :param theme: ``auto`` follows the reader's preference.
    """
    return picture.svg(_chart(machine), active=frozenset(active), theme=theme)


def mermaid(machine: Any) -> str:
    """A Mermaid state diagram, as READMEs and wikis render it."""
    return diagram.mermaid(_chart(machine))


def dot(machine: Any) -> str:
    """A Graphviz digraph."""
    return diagram.dot(_chart(machine))


def terminal(machine: Any, *, active: Iterable[str] = (), width: int = 80) -> str:
    """A tree of states with their edges, `width` columns wide."""
    return text.terminal(_chart(machine), frozenset(active), width=width)


def _chart(machine: Any) -> Chart:
    return machine if isinstance(machine, Chart) else machine.chart
