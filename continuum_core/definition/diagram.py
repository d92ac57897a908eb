"""Chart → Mermaid (`stateDiagram-v2`) and Graphviz DOT, for pages and tools that draw these.

States are named by number (`s0`, `s1`, …), so that no name of a user can be a keyword or break a line;
what users wrote appears in quoted labels alone, escaped by `_mermaid_text` and `dot_text`.
"""

from __future__ import annotations

from collections.abc import Iterator

from continuum_core.definition.chart import ROOT, Chart, Edge, Kind, State
from continuum_core.definition.wording import (
    SIGNS,
    Sign,
    edge_caption,
    frame_title,
    one_line,
    plain,
    state_rows,
    target_words,
)

__all__ = ["dot", "dot_text", "mermaid"]

# Fonts of pages and of Graphviz often lack the clock and the gear.
_WORDS = {**SIGNS, Sign.TIMER: "after", Sign.INVOKE: "do /"}


def mermaid(chart: Chart) -> str:
    """The machine as Mermaid `stateDiagram-v2` text.

    Mermaid cannot draw an edge from a composite state into itself, nor an edge from the whole machine:
    the first is written in a note at the composite, the second starts at a node "any state".
    """
    lines = ["stateDiagram-v2", f"    %% {_comment(frame_title(chart))}"]
    lines += _mermaid_inside(chart, chart.states[ROOT], 1)
    if any(edge.targets for edge in chart.states[ROOT].edges):
        lines.append('    state "any state" as s0')
    for state in chart.states:
        for edge in state.edges:
            lines += _mermaid_edge(chart, edge)
    for state in chart.states:
        lines += _mermaid_note(chart, state)
    lines += ["    classDef failed stroke:#b91c1c,color:#b91c1c", "    classDef final stroke-width:3px"]
    for state in chart.states:
        if state.kind is Kind.FINAL:
            lines.append(f"    class s{state.number} {'final' if state.ok else 'failed'}")
    return "\n".join(lines) + "\n"


def dot(chart: Chart) -> str:
    """The machine as a Graphviz digraph; compound states and regions are clusters."""
    lines = [
        "digraph machine {",
        f"  label={dot_text(frame_title(chart))}; labelloc=t; compound=true; rankdir=TB;",
        '  fontname="Helvetica"; node [fontname="Helvetica", fontsize=11];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    lines += _dot_inside(chart, chart.states[ROOT], 1)
    for state in chart.states:
        for edge in state.edges:
            lines += _dot_edge(chart, edge)
        lines += [_dot_arrow(chart, state.number, target, ['style="dotted"']) for target in state.default]
    return "\n".join([*lines, "}"]) + "\n"


def _caption(chart: Chart, edge: Edge) -> str:
    return " ".join(plain(row, _WORDS) for row in edge_caption(chart, edge).rows)


def _inside(chart: Chart, ancestor: int, number: int) -> bool:
    parent = chart.states[number].parent
    while parent is not None and parent != ancestor:
        parent = chart.states[parent].parent
    return parent == ancestor


def _history_name(state: State) -> str | None:
    return {Kind.SHALLOW_HISTORY: "H", Kind.DEEP_HISTORY: "H*"}.get(state.kind)


def _outside(chart: Chart, number: int) -> bool:
    """Whether it is the history of a parallel state, drawn beside it: within, it would look like a region."""
    state = chart.states[number]
    parallel = chart.states[state.parent or ROOT].kind is Kind.PARALLEL
    return parallel and _history_name(state) is not None


# Mermaid


# Mermaid has entity codes, but shows them undecoded at the edges of state diagrams; so what has a meaning
# in its grammar or in HTML is written with a character that looks like it.
_LOOKALIKES = str.maketrans(
    {"<": "\u2039", ">": "\u203a", ":": "\u2236", '"': "\u201d", "`": "\u02cb", "\\": "\u2216", "~": "\u223c"}
    | {mark: chr(ord(mark) + 0xFEE0) for mark in ";#%&{}$"}  # the full-width forms
)


def _mermaid_text(text: str) -> str:
    """Text that cannot end a line, a label or a note, nor be markup."""
    safe = one_line(text).replace("<=", "\u2264").replace(">=", "\u2265").replace("--", "\u2010\u2010")
    safe = safe.translate(_LOOKALIKES)
    return f"· {safe}" if safe.lower().startswith("end note") else safe


def _comment(text: str) -> str:
    """A comment ends with its line; braces in one would be read as a directive."""
    return "".join(c if c.isalnum() or c in " _.·-" else " " for c in one_line(text))


def _mermaid_inside(chart: Chart, state: State, depth: int) -> Iterator[str]:
    pad = "    " * depth
    if state.kind is not Kind.PARALLEL:
        for target in state.initial:
            if chart.states[target].parent == state.number:
                yield f"{pad}[*] --> s{target}"
        for number in state.children:
            yield from _mermaid_state(chart, chart.states[number], depth)
        return
    regions = [number for number in state.children if not _outside(chart, number)]
    for index, number in enumerate(regions):
        if index:
            yield f"{pad}--"
        yield from _mermaid_state(chart, chart.states[number], depth)


def _mermaid_state(chart: Chart, state: State, depth: int) -> Iterator[str]:
    pad, name = "    " * depth, f"s{state.number}"
    if state.kind is Kind.CHOICE:
        yield f"{pad}state {name} <<choice>>"
        return
    label = _history_name(state) or state.name
    if state.anew is not None:
        label = f"↻ {label}"
    elif state.kind is Kind.FINAL and not state.ok:
        label = f"✗ {label}"
    yield f'{pad}state "{_mermaid_text(label)}" as {name}'
    if state.children:
        yield f"{pad}state {name} {{"
        yield from _mermaid_inside(chart, state, depth + 1)
        yield f"{pad}}}"
        for number in filter(lambda each: _outside(chart, each), state.children):
            yield from _mermaid_state(chart, chart.states[number], depth)
            yield f"{pad}s{number} --> {name}"
    elif state.anew is not None:
        # Mermaid knows no way from inside to the beginning but an edge, and the run does begin anew.
        yield from (f"{pad}{name} --> s{target} : as new" for target in chart.states[ROOT].initial)
    elif state.kind is Kind.FINAL:
        yield f"{pad}{name} --> [*]"
    else:
        yield from (f"{pad}{name} : {_mermaid_text(plain(row, _WORDS))}" for row in state_rows(chart, state))


def _mermaid_edge(chart: Chart, edge: Edge) -> Iterator[str]:
    text = _mermaid_text(_caption(chart, edge))
    for target in edge.targets:
        if not _looped(chart, edge, target):
            yield f"    s{edge.source} --> s{target}" + (f" : {text}" if text else "")


def _looped(chart: Chart, edge: Edge, target: int) -> bool:
    """Whether Mermaid would have to draw a line between a composite state and something inside it."""
    source = edge.source
    if source == ROOT:
        return False
    if _outside(chart, target) and chart.states[target].parent == source:
        return False
    composite = source == target and bool(chart.states[source].children)
    return composite or _inside(chart, source, target) or _inside(chart, target, source)


def _mermaid_note(chart: Chart, state: State) -> Iterator[str]:
    rows = [plain(row, _WORDS) for row in state_rows(chart, state)] if state.children else []
    for edge in state.edges:
        if any(_looped(chart, edge, target) for target in edge.targets):
            rows.append(f"{_caption(chart, edge)} → {target_words(chart, edge)}")
    for target in state.default:
        rows.append(f"by default → {one_line(chart.states[target].path)}")
    if not rows:
        return
    if state.number == ROOT and not any(edge.targets for edge in state.edges):
        yield '    state "any state" as s0'
    yield f"    note right of s{state.number}"
    yield from (f"        {_mermaid_text(row)}" for row in rows)
    yield "    end note"


# DOT


def dot_text(text: str) -> str:
    r"""A quoted DOT string. A backslash is doubled, as \N, \G, \l and others are replaced in labels."""
    lines = [one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n")]
    ends = "\\l" if len(lines) > 1 else ""  # rows stand at the left
    return '"' + "\\l".join(lines) + ends + '"'


def _dot_inside(chart: Chart, state: State, depth: int) -> Iterator[str]:
    pad = "  " * depth
    # Graphviz draws lines between nodes only: a cluster's edges start and end at this hidden point.
    if state.number == ROOT:
        if any(edge.targets for edge in state.edges):
            yield f'{pad}s{ROOT} [shape=plaintext, label="any state"];'
    else:
        yield f"{pad}s{state.number} [shape=point, style=invis, width=0.01];"
    if state.kind is not Kind.PARALLEL:
        for target in state.initial:
            yield f"{pad}i{state.number}_{target} [shape=point, width=0.15];"
            head = f", lhead=cluster_s{target}" if chart.states[target].children else ""
            yield f"{pad}i{state.number}_{target} -> s{target} [weight=3{head}];"
    for number in state.children:
        yield from _dot_state(chart, chart.states[number], depth)
    rows = [plain(row, _WORDS) for row in state_rows(chart, state)]
    if state.number == ROOT and rows:
        yield f"{pad}note [shape=note, label={dot_text(chr(10).join(rows))}];"


def _dot_state(chart: Chart, state: State, depth: int) -> Iterator[str]:
    pad, name = "  " * depth, f"s{state.number}"
    rows = [one_line(state.name), *(plain(row, _WORDS) for row in state_rows(chart, state))]
    label = dot_text("\n".join(rows))
    if state.children:
        parent = chart.states[state.parent or ROOT]
        style = "dashed" if parent.kind is Kind.PARALLEL else "rounded"
        yield f"{pad}subgraph cluster_{name} {{"
        yield f'{pad}  label={label}; labeljust=l; style="{style}";'
        yield from _dot_inside(chart, state, depth + 1)
        yield f"{pad}}}"
        return
    match state.kind:
        case Kind.FINAL:
            colour = "" if state.ok else ', color="#b91c1c", fontcolor="#b91c1c"'
            yield f"{pad}{name} [shape=doublecircle, label={label}{colour}];"
        case Kind.CHOICE:
            yield f"{pad}{name} [shape=diamond, label={label}];"
        case Kind.SHALLOW_HISTORY | Kind.DEEP_HISTORY:
            text = dot_text(_history_name(state) or "")
            yield f"{pad}{name} [shape=circle, label={text}, width=0.3, fixedsize=true];"
        case _:
            yield f'{pad}{name} [shape=box, style="rounded", label={label}];'


def _dot_edge(chart: Chart, edge: Edge) -> Iterator[str]:
    rows = "\n".join(plain(row, _WORDS) for row in edge_caption(chart, edge).rows)
    for target in edge.targets:
        yield _dot_arrow(chart, edge.source, target, [f"label={dot_text(rows)}"] if rows else [])


def _dot_arrow(chart: Chart, source: int, target: int, attributes: list[str]) -> str:
    # A line cut at a cluster's border must come from outside of it.
    if chart.states[source].children and source != ROOT and not _within(chart, source, target):
        attributes.append(f"ltail=cluster_s{source}")
    if chart.states[target].children and target != ROOT and not _within(chart, target, source):
        attributes.append(f"lhead=cluster_s{target}")
    tail = f" [{', '.join(attributes)}]" if attributes else ""
    return f"  s{source} -> s{target}{tail};"


def _within(chart: Chart, outer: int, number: int) -> bool:
    return outer == number or _inside(chart, outer, number)
