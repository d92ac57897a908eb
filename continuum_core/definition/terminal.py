"""Chart → a tree of plain text for a terminal: states, below each what it does and where it goes.

Markers around active states come from the caller: this module knows no colours and no terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from continuum_core.definition.chart import ROOT, Chart, Edge, Kind, State, TriggerKind
from continuum_core.definition.layout.glyphs import columns
from continuum_core.definition.wording import (
    ASCII_SIGNS,
    SIGNS,
    Row,
    Sign,
    crew_rows,
    edge_caption,
    frame_title,
    one_line,
    plain,
    state_rows,
    target_words,
)

__all__ = ["terminal"]


@frozen
class _Pens:
    """The characters of a drawing."""

    tee: str
    corner: str
    bar: str
    gap: str
    arrow: str
    more: str
    marks: dict[str, str]
    signs: dict[Sign, str]


_MARKS = {
    "active": "●",
    "idle": "○",
    "choice": "◇",
    "final": "◎",
    "failed": "⊗",
    "history": "H",
    "deep": "H*",
}
_ASCII_MARKS = {
    "active": "(*)",
    "idle": "( )",
    "choice": "<>",
    "final": "(o)",
    "failed": "(x)",
    "history": "(H)",
    "deep": "(H*)",
}
_BOXES = _Pens("├─ ", "└─ ", "│  ", "   ", "→", "…", _MARKS, SIGNS)
_ASCII = _Pens("|- ", "`- ", "|  ", "   ", "->", "...", _ASCII_MARKS, ASCII_SIGNS)


def terminal(
    chart: Chart,
    active: frozenset[str] = frozenset(),
    *,
    width: int = 80,
    ascii_only: bool = False,
    strong: tuple[str, str] = ("", ""),
) -> str:
    """The machine as indented text, one state, activity or edge a line.

    :param active: dotted paths of the active states; their ancestors are marked with them.
    :param width: columns; longer lines are cut with an ellipsis.
    :param ascii_only: use no character beyond ASCII; those in names are written as `?`.
    :param strong: what to put before and after the name of an active state; it takes no columns.
    :raises KeyError: if a path in `active` is no state of the chart.
    """
    pens = _ASCII if ascii_only else _BOXES
    lit: set[int] = set()
    for path in sorted(active):
        number: int | None = chart.state(path).number
        while number is not None:
            lit.add(number)
            number = chart.states[number].parent
    root = chart.states[ROOT]
    lines = [_Line("", frame_title(chart).replace("·", "-" if ascii_only else "·"))]
    lines += _below(chart, root, "", lit, pens, width)
    return "".join(_printed(line, pens, width, strong, ascii_only) + "\n" for line in lines)


@frozen
class _Line:
    """The tree before a text; `name` is the part of the text to make strong."""

    stem: str
    text: str
    name: str = ""


def _printed(line: _Line, pens: _Pens, width: int, strong: tuple[str, str], ascii_only: bool) -> str:
    text = line.text
    if ascii_only:
        text = text.replace("…", "...").replace("→", "->").encode("ascii", "replace").decode("ascii")
    room = max(width - columns(line.stem), 12)
    if columns(text) > room:
        while text and columns(text) + columns(pens.more) > room:
            text = text[:-1]
        text += pens.more
    if line.name and strong != ("", "") and line.name in text:
        before, name, after = text.partition(line.name)
        text = f"{before}{strong[0]}{name}{strong[1]}{after}"
    return (line.stem + text).rstrip()


def _below(chart: Chart, state: State, stem: str, lit: set[int], pens: _Pens, width: int) -> Iterator[_Line]:
    """What hangs below a state: its rows, its edges, its children."""
    texts = _facts(chart, state, pens, width - columns(stem) - 3)
    last = len(texts) + len(state.children) - 1
    for index, text in enumerate(texts):
        yield _Line(stem + (pens.corner if index == last else pens.tee), text)
    for index, number in enumerate(state.children, start=len(texts)):
        child = chart.states[number]
        ending = index == last
        text, name = _title(chart, child, lit, pens)
        yield _Line(stem + (pens.corner if ending else pens.tee), text, name)
        yield from _below(chart, child, stem + (pens.gap if ending else pens.bar), lit, pens, width)


def _title(chart: Chart, state: State, lit: set[int], pens: _Pens) -> tuple[str, str]:
    name = one_line(state.name)
    kind = {
        Kind.CHOICE: "choice",
        Kind.FINAL: "final" if state.ok else "failed",
        Kind.SHALLOW_HISTORY: "history",
        Kind.DEEP_HISTORY: "deep",
    }.get(state.kind, "idle")
    words = {"final": "final", "failed": "final, fails the run"}.get(kind, "")
    if state.anew is not None:
        words = "continues as new"
    if state.kind is Kind.PARALLEL:
        words = "all at once"
    parent = chart.states[state.parent or ROOT]
    if parent.kind is not Kind.PARALLEL and state.number in parent.initial:
        words = f"initial, {words}" if words else "initial"
    mark = pens.marks["active" if state.number in lit else kind]
    text = f"{mark} {name}" + (f"  ({words})" if words else "")
    return text, name if state.number in lit else ""


def _facts(chart: Chart, state: State, pens: _Pens, room: int) -> list[str]:
    stay = {id(edge) for edge in state.edges if not edge.targets}
    texts = [plain(row, pens.signs) for row in state_rows(chart, state) if row.sign is not Sign.INVOKE]
    texts += [plain(row, pens.signs) for row in crew_rows(state)]
    for invoke in state.invokes:
        ends = [
            edge
            for edge in state.edges
            if edge.trigger.kind in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR)
            and edge.trigger.slot == invoke.slot
            and id(edge) not in stay
        ]
        parts = _invoke_parts(chart, one_line(invoke.activity.name), ends, pens)
        joined = "  ".join(parts)
        texts += [joined] if columns(joined) <= room else [parts[0], *(f"  {part}" for part in parts[1:])]
        stay |= {id(edge) for edge in ends}
    for edge in state.edges:
        if id(edge) not in stay:
            rows = edge_caption(chart, edge).rows or (Row("always"),)
            texts.append(f"{_joined(rows, pens)} {pens.arrow} {target_words(chart, edge)}")
    texts += [f"by default {pens.arrow} {one_line(chart.states[target].name)}" for target in state.default]
    return texts


def _joined(rows: tuple[Row, ...], pens: _Pens) -> str:
    return " ".join(plain(row, pens.signs) for row in rows)


def _invoke_parts(chart: Chart, name: str, ends: list[Edge], pens: _Pens) -> list[str]:
    """An activity and what may follow it: ``⚙ charge``, ``✓ → fulfilling``, ``✗ Declined → paying``."""
    parts = [f"{pens.signs[Sign.INVOKE]} {name}"]
    for edge in ends:
        first, *rest = edge_caption(chart, edge).rows
        sign = pens.signs[first.sign] if first.sign else ""
        what = "" if first.sign is Sign.DONE else f" {first.text}"
        words = f"{sign}{what} {_joined(tuple(rest), pens)}".strip()
        parts.append(f"{words} {pens.arrow} {target_words(chart, edge)}")
    return parts
