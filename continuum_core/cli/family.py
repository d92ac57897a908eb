"""A lineage drawn: as a tree for the terminal, as Mermaid, Graphviz DOT or SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from continuum_core.definition.boxes import Node, Wire, boxes
from continuum_core.definition.canvas import Theme
from continuum_core.definition.diagram import dot_text
from continuum_core.journal.records import RunStatus
from continuum_core.lineage import Lineage, Stretch, Tie

__all__ = ["lineage_dot", "lineage_facts", "lineage_mermaid", "lineage_svg", "lineage_text"]

_PLAIN = {"├─ ": "+- ", "└─ ": "`- ", "│  ": "|  ", "●": "*", "–": "-", "…": "..."}


def lineage_text(graph: Lineage, asked: UUID, *, ascii_only: bool = False) -> str:
    """A tree, one stretch a line; the run that was asked for is marked.

    :param ascii_only: use no character of our own beyond ASCII.
    """
    lines = list(_branch(graph, 0, asked, "", ""))
    text = "\n".join(lines)
    if ascii_only:
        for sign, plain in _PLAIN.items():
            text = text.replace(sign, plain)
        text = text.encode("ascii", "replace").decode("ascii")
    return text


def _branch(graph: Lineage, place: int, asked: UUID, first: str, rest: str) -> Iterator[str]:
    stretch = graph.stretches[place]
    tie = next((tie for tie in graph.ties if tie.target == place), None)
    mark = "● " if stretch.run == asked else ""
    head = "" if tie is None else f"{_tie_words(tie)}: "
    yield f"{first}{head}{mark}{stretch.name}  {', '.join(_rows(stretch))}"
    below = [tie.target for tie in graph.ties if tie.source == place]
    for number, target in enumerate(below):
        last = number == len(below) - 1
        bar, gap = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _branch(graph, target, asked, rest + bar, rest + gap)


def _tie_words(tie: Tie) -> str:
    match tie.kind:
        case "fork":
            return f"fork at {tie.version}"
        case "child" if tie.version:
            return f"child at {tie.version}"
        case "children" if tie.version:
            return f"children from {tie.version} on"
        case "moved":
            return f"another definition from {tie.version + 1} on"
        case "renewed":
            return f"as new from {tie.version + 1} on"
        case "lost":
            return "through runs that were pruned"
        case kind:
            return kind


def _rows(stretch: Stretch) -> Sequence[str]:
    if stretch.status is None:
        return ["pruned"]
    status = stretch.status.name.lower()
    if not stretch.first:
        return [f"{stretch.runs:,} run{'s' if stretch.runs > 1 else ''}", status]
    if stretch.waits and stretch.status is RunStatus.RUNNING:
        status = "not begun"
    states = ", ".join(stretch.states)
    told = [f"records {stretch.first}–{stretch.last}", status] if stretch.last else [status]
    if stretch.generation:
        told.append(f"generation {stretch.generation}")
    return [*told, f"in {states}"] if states else told


def lineage_mermaid(graph: Lineage, asked: UUID) -> str:
    """A Mermaid flowchart. Names of users appear in quoted labels alone."""
    lines = ["flowchart TD"]
    for place, stretch in enumerate(graph.stretches):
        words = "<br/>".join(_quoted(each) for each in (stretch.name, *_rows(stretch)))
        lines.append(f'    r{place}["{words}"]')
    lines += [f'    r{tie.source} -->|"{_quoted(_tie_words(tie))}"| r{tie.target}' for tie in graph.ties]
    lines.append("    classDef asked stroke-width:3px")
    lines += [f"    class r{n} asked" for n, each in enumerate(graph.stretches) if each.run == asked]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Text that cannot end a label nor be markup: everything but plain characters as an entity."""
    return "".join(c if c.isalnum() or c in " /.,–-_" else f"#{ord(c)};" for c in text)


def lineage_dot(graph: Lineage, asked: UUID) -> str:
    """A Graphviz digraph."""
    lines = [
        "digraph lineage {",
        '  rankdir=TB; node [shape=box, style="rounded", fontname="Helvetica", fontsize=11];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    for place, stretch in enumerate(graph.stretches):
        label = dot_text("\n".join((stretch.name, *_rows(stretch))))
        lines.append(f"  r{place} [label={label}{', penwidth=3' if stretch.run == asked else ''}];")
    for tie in graph.ties:
        lines.append(f"  r{tie.source} -> r{tie.target} [label={dot_text(_tie_words(tie))}];")
    return "\n".join([*lines, "}"]) + "\n"


def lineage_svg(graph: Lineage, asked: UUID, theme: Theme = "auto") -> str:
    """An SVG document."""
    nodes = [Node(each.name, tuple(_rows(each)), each.run == asked) for each in graph.stretches]
    wires = [Wire(tie.source, tie.target, _tie_words(tie)) for tie in graph.ties]
    return boxes(f"lineage of {graph.stretches[0].name}", nodes, wires, theme=theme)


def lineage_facts(graph: Lineage) -> dict[str, object]:
    """JSON values for programs."""
    return {
        "stretches": [
            {
                "run": str(each.run),
                "name": each.name,
                "first": each.first,
                "last": each.last,
                "status": None if each.status is None else each.status.name.lower(),
                "states": list(each.states),
                "definition": each.fingerprint or None,
                "generation": each.generation,
                "begun": not each.waits,
                "runs": each.runs,
            }
            for each in graph.stretches
        ],
        "ties": [
            {"from": tie.source, "to": tie.target, "kind": tie.kind, "version": tie.version or None}
            for tie in graph.ties
        ],
    }
