"""Chart → SVG, a picture for docs, command line and console; it needs nothing but this package.

The same chart gives the same bytes. Colours are CSS variables, so that one file serves light and dark
pages. All text comes from users' source: it is escaped here, in `_escaped`, and nowhere else.
"""

from __future__ import annotations

import math
from typing import Literal

from continuum_core.definition.chart import ROOT, Chart, Kind
from continuum_core.definition.layout import Box, Label, Line, Picture, Shape, arrange
from continuum_core.definition.layout.block import Block, Text
from continuum_core.definition.wording import SIGNS, Sign, edge_caption, frame_title, plain, target_words

__all__ = ["Theme", "svg"]

Theme = Literal["auto", "light", "dark"]

_COLOURS = {
    "light": {
        "page": "#ffffff",
        "frame": "#f8fafc",
        "inner": "#eff3f8",
        "state": "#ffffff",
        "edge": "#64748b",
        "line": "#94a3b8",
        "text": "#0f172a",
        "guard": "#6d28d9",
        "quiet": "#5b687c",
        "good": "#15803d",
        "bad": "#b91c1c",
        "active": "#dbeafe",
        "ring": "#2563eb",
    },
    "dark": {
        "page": "#0d1117",
        "frame": "#131a24",
        "inner": "#1a2432",
        "state": "#222e40",
        "edge": "#8fa1b8",
        "line": "#51637c",
        "text": "#e6edf3",
        "guard": "#c4a7ff",
        "quiet": "#a3b2c6",
        "good": "#4ade80",
        "bad": "#f87171",
        "active": "#1d3f78",
        "ring": "#60a5fa",
    },
}

_RULES = """
.c-page{fill:var(--c-page)}
.c-frame{fill:var(--c-frame);stroke:var(--c-line)}
.c-inner{fill:var(--c-inner);stroke:var(--c-line)}
.c-state{fill:var(--c-state);stroke:var(--c-line);stroke-width:1.25}
.c-divide{stroke:var(--c-line);stroke-dasharray:6 4;fill:none}
.c-rule{stroke:var(--c-line);stroke-width:.75}
.c-edge{stroke:var(--c-edge);stroke-width:1.4;fill:none;stroke-linejoin:round}
.c-head{fill:var(--c-edge)}
.c-dot{fill:var(--c-text)}
.c-ring{fill:var(--c-state);stroke:var(--c-good);stroke-width:1.5}
.c-core{fill:var(--c-good)}
.c-ring.c-bad{stroke:var(--c-bad)}
.c-cross{stroke:var(--c-bad);stroke-width:2;stroke-linecap:round}
.c-active{fill:var(--c-active);stroke:var(--c-ring);stroke-width:2.25}
.c-within{stroke:var(--c-ring);stroke-width:1.5}
text{font-family:Helvetica,Arial,"Liberation Sans",sans-serif;fill:var(--c-text);white-space:pre}
.c-title,.c-machine{font-weight:700}
.c-region{font-weight:700;fill:var(--c-quiet)}
.c-guard{fill:var(--c-guard)}
.c-quiet{fill:var(--c-quiet)}
.c-failed{fill:var(--c-bad)}
.c-sign{stroke:var(--c-quiet);fill:none;stroke-width:1.3;stroke-linecap:round;stroke-linejoin:round}
.c-sign-done{stroke:var(--c-good);stroke-width:1.7}
.c-sign-error{stroke:var(--c-bad);stroke-width:1.7}
"""


def svg(chart: Chart, *, active: frozenset[str] = frozenset(), theme: Theme = "auto") -> str:
    """The machine drawn as one SVG document.

    :param active: dotted paths of the states to highlight; ancestors are highlighted with them.
    :param theme: `auto` follows the reader's `prefers-color-scheme`; `light` and `dark` do not.
    :raises KeyError: if a path in `active` is no state of the chart.
    """
    picture = arrange(chart)
    lit = _lit(chart, active)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="continuum-{theme}" role="img" '
        f'aria-label="{_escaped(frame_title(chart))}" '
        f'viewBox="0 0 {picture.width} {picture.height}" width="{picture.width}" height="{picture.height}">',
        f"<title>{_escaped(frame_title(chart))}</title>",
        f"<desc>{_escaped(_description(chart, active))}</desc>",
        f"<style>{_style(theme)}</style>",
        f'<rect class="c-page" width="{picture.width}" height="{picture.height}"/>',
    ]
    parts += [_box(chart, box, box.state in lit) for box in picture.boxes if box.shape is not Shape.CELL]
    parts += _dividers(picture)
    parts += [_line(chart, line) for line in picture.lines]
    parts += [_heads(line) for line in picture.lines if line.arrow]
    parts += [_start(line) for line in picture.lines if _from_within(picture, line)]
    parts += [_text_of(box) for box in picture.boxes]
    parts += [_label(chart, label) for label in picture.labels]
    return "\n".join([*(part for part in parts if part), "</svg>", ""])


def _lit(chart: Chart, active: frozenset[str]) -> set[int]:
    lit: set[int] = set()
    for path in sorted(active):
        number: int | None = chart.state(path).number
        while number is not None and number != ROOT:
            lit.add(number)
            number = chart.states[number].parent
    return lit


def _style(theme: Theme) -> str:
    # Every rule is bound to the picture's class: inlined in a page, its style is the whole page's.
    scope = f".continuum-{theme}"

    def variables(name: str) -> str:
        return scope + "{" + ";".join(f"--c-{key}:{value}" for key, value in _COLOURS[name].items()) + "}"

    size = f"{scope}{{max-width:100%;height:auto}}"
    rules = "\n".join(
        ",".join(f"{scope} {selector}" for selector in line.split("{")[0].split(","))
        + line[line.index("{") :]
        for line in _RULES.strip().splitlines()
    )
    if theme == "auto":
        dark = variables("dark")
        return f"\n{size}\n{variables('light')}\n@media (prefers-color-scheme:dark){{{dark}}}\n{rules}\n"
    return f"\n{size}\n{variables(theme)}\n{rules}\n"


def _description(chart: Chart, active: frozenset[str]) -> str:
    names = [state.path for state in chart.states[1:] if state.kind is not Kind.CHOICE]
    said = f"State machine with {len(names)} states: {', '.join(names)}."
    return f"{said} Active: {', '.join(sorted(active))}." if active else said


def _escaped(text: str) -> str:
    """Text for XML content and attributes; characters that XML 1.0 does not allow become `?`."""
    legal = "".join(
        c if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c < "\ufffe" or c > "\uffff" else "?"
        for c in text
    )
    for plain_one, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        legal = legal.replace(plain_one, entity)
    return legal


# Boxes


def _box(chart: Chart, box: Box, lit: bool) -> str:
    x, y, w, h = box.x, box.y, box.width, box.height
    mark = "" if box.state is None else f' data-state="{_escaped(chart.states[box.state].path)}"'
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
    title = f"<title>{_escaped(words)}</title>" if words else ""
    return f'<path class="c-edge"{mark} d="{_rounded(_short(line))}">{title}</path>'


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


def _short(line: Line) -> list[tuple[int, int]]:
    """The line without the pixels under its arrow head, where it would show beside the tip."""
    points = list(line.points)
    if line.arrow:
        (x0, y0), (x1, y1) = points[-2], points[-1]
        points[-1] = (x1 - 4 * _sign(x1 - x0), y1 - 4 * _sign(y1 - y0))
    return points


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _rounded(points: list[tuple[int, int]], radius: int = 7) -> str:
    """A path along the points with round corners."""
    parts = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        room = min(radius, *(max(abs(corner[0] - p[0]), abs(corner[1] - p[1])) // 2 for p in (before, after)))
        (x0, y0), (x1, y1) = (_towards(corner, point, room) for point in (before, after))
        parts.append(f"L{x0} {y0}Q{corner[0]} {corner[1]} {x1} {y1}")
    parts.append(f"L{points[-1][0]} {points[-1][1]}")
    return "".join(parts)


def _towards(start: tuple[int, int], end: tuple[int, int], far: int) -> tuple[int, int]:
    return (start[0] + far * _sign(end[0] - start[0]), start[1] + far * _sign(end[1] - start[1]))


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


def _heads(line: Line) -> str:
    (x0, y0), (x, y) = line.points[-2], line.points[-1]
    dx, dy = _sign(x - x0), _sign(y - y0)
    left = (x - 9 * dx - 4 * dy, y - 9 * dy + 4 * dx)
    right = (x - 9 * dx + 4 * dy, y - 9 * dy - 4 * dx)
    return f'<polygon class="c-head" points="{x},{y} {left[0]},{left[1]} {right[0]},{right[1]}"/>'


# Text


def _text_of(box: Box) -> str:
    x, y, block = box.x, box.y, box.block
    if box.shape is Shape.FINAL:
        x, y = x + (box.width - block.width) // 2, y + 25
    elif box.shape is Shape.CHOICE:
        x, y = x + 39, y + 5
    elif box.shape is Shape.ATOMIC and block.rule is None:
        x, y = x + (box.width - block.width) // 2, y + (box.height - block.height) // 2 + 2
    parts = _texts(block, x, y)
    if block.rule is not None:
        parts.insert(0, f'<path class="c-rule" d="M{x} {y + block.rule}h{box.width}"/>')
    return "".join(parts)


def _label(chart: Chart, label: Label) -> str:
    words = _escaped(_edge_words(chart, label.edges))
    return f'<g class="c-label">{"".join(_texts(label.block, label.x, label.y))}<title>{words}</title></g>'


def _texts(block: Block, x: int, y: int) -> list[str]:
    return [_text(text, x + text.x, y + text.y) for text in block.texts]


def _text(text: Text, x: int, y: int) -> str:
    title = f"<title>{_escaped(text.full)}</title>" if text.full and text.full != text.text else ""
    size = f"{text.size:g}"
    # textLength: the width the layout reckoned with holds in whatever font the reader has.
    return (
        (_sign_path(text.sign, x - 14, y - 10) if text.sign else "")
        + f'<text class="c-{text.tone}" x="{x}" y="{y}" font-size="{size}" textLength="{text.width}" '
        + f'lengthAdjust="spacingAndGlyphs">{_escaped(text.text)}{title}</text>'
    )


def _sign_path(sign: Sign, x: int, y: int) -> str:
    """A sign in a square of 11 pixels: drawn, as not every font has the characters."""
    match sign:
        case Sign.TIMER:
            path = f"M{x + 5.5} {y + 1}a4.5 4.5 0 1 0 .01 0M{x + 5.5} {y + 3}v2.5l2 1.5"
        case Sign.INVOKE:
            path = _gear(x + 5.5, y + 5.5)
        case Sign.DONE:
            path = f"M{x + 1.5} {y + 6}l2.8 3l5 -6.5"
        case Sign.ERROR:
            path = f"M{x + 2} {y + 2}l7 7m0 -7l-7 7"
        case Sign.UNDO:
            path = f"M{x + 1.5} {y + 4}h5a2.8 2.8 0 0 1 0 5.6h-3M{x + 4} {y + 1.5}l-2.5 2.5l2.5 2.5"
    return f'<path class="c-sign c-sign-{sign.value}" d="{path}"/>'


def _gear(x: float, y: float) -> str:
    teeth: list[str] = []
    for number in range(8):
        c, s = math.cos(math.pi * number / 4), math.sin(math.pi * number / 4)
        teeth.append(f"M{x + 3.2 * c:.1f} {y + 3.2 * s:.1f}L{x + 5 * c:.1f} {y + 5 * s:.1f}")
    return f"M{x + 3.2:g} {y:g}a3.2 3.2 0 1 0 -6.4 0a3.2 3.2 0 1 0 6.4 0" + "".join(teeth)
