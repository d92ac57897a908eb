"""What every SVG of ours is made of: the page, its colours, lines, arrow heads and text.

Colours are CSS variables, so that one file serves light and dark pages. All text comes from users: it is
escaped here, in `escaped`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from continuum_core.definition.layout import Line, Picture
from continuum_core.definition.layout.block import Block, Text
from continuum_core.definition.wording import Sign

__all__ = ["Theme", "document", "escaped", "heads", "path_of", "texts"]

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


def document(title: str, description: str, picture: Picture, theme: Theme, parts: Iterable[str]) -> str:
    """One SVG document; empty parts are left out."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="continuum-{theme}" role="img" '
        f'aria-label="{escaped(title)}" '
        f'viewBox="0 0 {picture.width} {picture.height}" width="{picture.width}" height="{picture.height}">',
        f"<title>{escaped(title)}</title>",
        f"<desc>{escaped(description)}</desc>",
        f"<style>{_style(theme)}</style>",
        f'<rect class="c-page" width="{picture.width}" height="{picture.height}"/>',
    ]
    return "\n".join([*head, *(part for part in parts if part), "</svg>", ""])


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


def escaped(text: str) -> str:
    """Text for XML content and attributes; characters that XML 1.0 does not allow become `?`."""
    legal = "".join(
        c if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c < "\ufffe" or c > "\uffff" else "?"
        for c in text
    )
    for plain_one, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        legal = legal.replace(plain_one, entity)
    return legal


# Lines


def path_of(line: Line) -> str:
    """A line as path data."""
    return _rounded(_short(line))


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


def heads(line: Line) -> str:
    """The arrow head at the end of a line."""
    (x0, y0), (x, y) = line.points[-2], line.points[-1]
    dx, dy = _sign(x - x0), _sign(y - y0)
    left = (x - 9 * dx - 4 * dy, y - 9 * dy + 4 * dx)
    right = (x - 9 * dx + 4 * dy, y - 9 * dy - 4 * dx)
    return f'<polygon class="c-head" points="{x},{y} {left[0]},{left[1]} {right[0]},{right[1]}"/>'


# Text


def texts(block: Block, x: int, y: int) -> list[str]:
    """The rows of a block whose upper left corner is at (x, y)."""
    return [_text(text, x + text.x, y + text.y) for text in block.texts]


def _text(text: Text, x: int, y: int) -> str:
    title = f"<title>{escaped(text.full)}</title>" if text.full and text.full != text.text else ""
    size = f"{text.size:g}"
    # textLength: the width the layout reckoned with holds in whatever font the reader has.
    return (
        (_sign_path(text.sign, x - 14, y - 10) if text.sign else "")
        + f'<text class="c-{text.tone}" x="{x}" y="{y}" font-size="{size}" textLength="{text.width}" '
        + f'lengthAdjust="spacingAndGlyphs">{escaped(text.text)}{title}</text>'
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
