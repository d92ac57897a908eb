"""A stored definition as a tree of text: how a run is shown where its machine's code is not at hand.

The graph is the canonical form that the journal keeps (`definition.fingerprint.graph`), read as data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from continuum_core.cli.output import span_words

__all__ = ["ACTIVE_END", "ACTIVE_START", "stored_tree"]

ACTIVE_START, ACTIVE_END = "\x01", "\x02"
"""Around the name of an active state: characters that no name keeps, as all text is made printable before."""

_ASCII = {"●": "(*)", "○": "( )", "◇": "<>", "◎": "(o)", "⊗": "(x)", "→": "->", "·": "-"}
_MARKS = {"choice": "◇", "history": "H", "deep-history": "H*"}


def stored_tree(graph: dict[str, Any], active: frozenset[str], *, ascii_only: bool = False) -> str:
    """The machine as indented text, one state or edge a line; active states and their ancestors are marked.

    :param active: dotted paths of the active states.
    :param ascii_only: use no character of our own beyond ASCII.
    """
    lit = {path[:end] for path in active for end in (*_dots(path), len(path))}
    lines = [f"{_plain(graph['name'])} · version {graph['version']}"]
    for state in graph["states"]:
        path = state["path"]
        if not path:
            continue
        indent = "  " * (path.count(".") + 1)
        name = _plain(path.rpartition(".")[2])
        shown = f"{ACTIVE_START}{name}{ACTIVE_END}" if path in lit else name
        lines.append(f"{indent}{_mark(state, path in lit)} {shown}")
        lines += [f"{indent}    {words}" for words in _edges(state)]
    text = "\n".join(lines)
    return _asciified(text) if ascii_only else text


def _asciified(text: str) -> str:
    for sign, plain in _ASCII.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode("ascii")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _dots(path: str) -> list[int]:
    return [index for index, character in enumerate(path) if character == "."]


def _mark(state: dict[str, Any], lit: bool) -> str:
    if lit:
        return "●"
    if state["kind"] == "final":
        return "◎" if state.get("ok", True) else "⊗"
    return _MARKS.get(state["kind"], "○")


_WORDS = {"any": "any event", "cancel": "run cancelled", "deadline": "run overdue"}


def _edges(state: dict[str, Any]) -> Iterator[str]:
    for edge in state.get("edges", ()):
        targets = ", ".join(_plain(path) for path in edge.get("to", ())) or "(stays)"
        guard = " [if]" if "when" in edge else ""
        yield f"{_trigger(state, edge)}{guard} → {targets}".strip()


def _trigger(state: dict[str, Any], edge: dict[str, Any]) -> str:
    kind, slot = edge["on"], edge.get("slot", 0)
    if kind == "event":
        return _plain(edge["event"])
    if kind in ("invoke-done", "invoke-error"):
        name = _plain(state["invokes"][slot]["activity"])
        if kind == "invoke-done":
            return f"{name} done"
        return f"{name} failed: {_plain(edge.get('error', '?').rpartition('.')[2])}"
    if kind in ("crew-done", "crew-error"):
        crew = state["crews"][slot]
        name = _plain(crew.get("machine", crew.get("activity", "?")))
        if kind == "crew-done":
            return f"{name} done"
        return f"{name} failed: {_plain(edge.get('error', '?').rpartition('.')[2])}"
    if kind == "after":
        delay = state["timers"][slot]
        return (
            f"after {span_words(timedelta(microseconds=delay))}" if isinstance(delay, int) else "after a time"
        )
    return _WORDS.get(kind, _plain(kind))
