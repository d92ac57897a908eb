"""Chart → SVG, a picture for docs, command line and console; it needs nothing but this package.

The same chart gives the same bytes. All text comes from users' source, and passes through `canvas`.
"""

from __future__ import annotations

from continuum_core.definition.canvas import Theme, document, escaped, heads, path_of, texts
from continuum_core.definition.chart import ROOT, Chart, Kind
from continuum_core.definition.layout import Box, Label, Line, Picture, Shape, arrange
from continuum_core.definition.wording import SIGNS, edge_caption, frame_title, plain, target_words

__all__ = ["Theme", "svg"]


def svg(chart: Chart, *, active: frozenset[str] = frozenset(), theme: Theme = "auto") -> str:
    """The machine drawn as one SVG document.

    :param active: dotted paths of the states to highlight; ancestors are highlighted with them.
    :param theme: `auto` follows the reader's `prefers-color-scheme`; `light` and `dark` do not.
    :raises KeyError: if a path in `active` is no state of the chart.
    """
    picture = arrange(chart)
    lit = _lit(chart, active)
    parts = [_box(chart, box, box.state in lit) for box in picture.boxes if box.shape is not Shape.CELL]
    parts += _dividers(picture)
    parts += [_line(chart, line) for line in picture.lines]
    parts += [heads(line) for line in picture.lines if line.arrow]
    parts += [_start(line) for line in picture.lines if _from_within(picture, line)]
    parts += [_text_of(box) for box in picture.boxes]
    parts += [_label(chart, label) for label in picture.labels]
    return document(frame_title(chart), _description(chart, active), picture, theme, parts)


def _lit(chart: Chart, active: frozenset[str]) -> set[int]:
    lit: set[int] = set()
    for path in sorted(active):
        number: int | None = chart.state(path).number
        while number is not None and number != ROOT:
            lit.add(number)
            number = chart.states[number].parent
    return lit


def _description(chart: Chart, active: frozenset[str]) -> str:
    names = [state.path for state in chart.states[1:] if state.kind is not Kind.CHOICE]
    said = f"State machine with {len(names)} states: {', '.join(names)}."
    return f"{said} Active: {', '.join(sorted(active))}." if active else said


# Boxes


def _box(chart: Chart, box: Box, lit: bool) -> str:
    x, y, w, h = box.x, box.y, box.width, box.height
    mark = "" if box.state is None else f' data-state="{escaped(chart.states[box.state].path)}"'
    on = " c-active" if lit else ""
    match box.shape:
        case Shape.ATOMIC:
            return f'<rect class="c-state{on}"{mark} x="{x}" y="{y}" width="{w}" height="{h}" rx="8"/>'
        case Shape.COMPOUND | Shape.PARALLEL:
            if box.region:
                return f'<rect fill="none"{mark} x="{x}" y="{y}" width="{w}" height="{h}"/>'
            kind = "c-frame" if box.state == ROOT else "c-inner"
            within = " c-within" if lit else ""
            return f'<rect class="{kind}{within}"{mark} x="{x}" y="{y}" width="{w}" height="{h}" rx="10"/>'
        case Shape.INITIAL:
            return f'<circle class="c-dot" cx="{x + w // 2}" cy="{y + h // 2}" r="6"/>'
        case Shape.FORK:
            return f'<rect class="c-dot" x="{x}" y="{y}" width="{w}" height="{h}" rx="2"/>'
        case Shape.CHOICE:
            points = f"{x},{y + 13} {x + 17},{y} {x + 34},{y + 13} {x + 17},{y + 26}"
            return f'<polygon class="c-state{on}"{mark} points="{points}"/>'
        case Shape.HISTORY:
            return f'<circle class="c-state{on}"{mark} cx="{x + w // 2}" cy="{y + 13}" r="13"/>'
        case Shape.FINAL:
            return _final(chart, box, mark, lit)
        case _:
            return ""


def _final(chart: Chart, box: Box, mark: str, lit: bool) -> str:
    """Two circles; where the run fails, a cross in place of the inner one."""
    x, y = box.x + box.width // 2, box.y + 12
    ok = box.state is None or chart.states[box.state].ok
    kind = f"c-ring{'' if ok else ' c-bad'}{' c-active' if lit else ''}"
    ring = f'<circle class="{kind}"{mark} cx="{x}" cy="{y}" r="11"/>'
    if ok:
        return f'{ring}<circle class="c-core" cx="{x}" cy="{y}" r="6.5"/>'
    return f'{ring}<path class="c-cross" d="M{x - 4} {y - 4}l8 8m0 -8l-8 8"/>'


def _dividers(picture: Picture) -> list[str]:
    """Dashed lines between the regions of parallel states, and under their headings."""
    lines: list[str] = []
    for box in picture.boxes:
        if box.shape is not Shape.PARALLEL:
            continue
        inside = [one for one in picture.boxes if one.parent == box.item]
        if inside:
            y, right, bottom = inside[0].y, box.x + box.width, box.y + box.height
            lines.append(f'<path class="c-divide" d="M{box.x} {y}H{right}"/>')
            lines += [f'<path class="c-divide" d="M{one.x} {y}V{bottom}"/>' for one in inside[1:]]
    return lines


# Lines


def _line(chart: Chart, line: Line) -> str:
    numbers = ",".join(str(number) for number in line.edges)
    mark = f' data-edges="{numbers}"' if numbers else ""
    words = _edge_words(chart, line.edges)
    title = f"<title>{escaped(words)}</title>" if words else ""
    return f'<path class="c-edge"{mark} d="{path_of(line)}">{title}</path>'


def _edge_words(chart: Chart, numbers: tuple[int, ...]) -> str:
    found: list[str] = []
    for edge in (edge for state in chart.states for edge in state.edges if edge.number in numbers):
        words = [plain(row, SIGNS, full=True) for row in edge_caption(chart, edge).rows]
        shown = {row.full for row in edge_caption(chart, edge).rows}
        words += [
            f"/ {action.kind.value} {action.function.label}"
            for action in edge.actions
            if action.function.label and f"{action.kind.value} {action.function.label}" not in shown
        ]
        stays = " (internal)" if edge.internal else ""
        found.append(f"{' '.join(words) or 'always'} → {target_words(chart, edge)}{stays}")
    return "\n".join(found)


def _from_within(picture: Picture, line: Line) -> bool:
    """Whether the line starts at the inner side of the box of an ancestor of its target."""
    parents = {box.item: box.parent for box in picture.boxes}
    item = line.target
    while item in parents and item != line.source:
        item = parents[item]
    return item == line.source and line.source != line.target


def _start(line: Line) -> str:
    """A dot where a line starts at a border, or it would seem to come through it from outside."""
    x, y = line.points[0]
    return f'<circle class="c-head" cx="{x}" cy="{y}" r="3.5"/>'


# Text


def _text_of(box: Box) -> str:
    x, y, block = box.x, box.y, box.block
    if box.shape is Shape.FINAL:
        x, y = x + (box.width - block.width) // 2, y + 25
    elif box.shape is Shape.CHOICE:
        x, y = x + 39, y + 5
    elif box.shape is Shape.ATOMIC and block.rule is None:
        x, y = x + (box.width - block.width) // 2, y + (box.height - block.height) // 2 + 2
    parts = texts(block, x, y)
    if block.rule is not None:
        parts.insert(0, f'<path class="c-rule" d="M{x} {y + block.rule}h{box.width}"/>')
    return "".join(parts)


def _label(chart: Chart, label: Label) -> str:
    words = escaped(_edge_words(chart, label.edges))
    return f'<g class="c-label">{"".join(texts(label.block, label.x, label.y))}<title>{words}</title></g>'
