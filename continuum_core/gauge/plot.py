"""Figures → SVG: how many members a second each verb takes, at each size. It needs nothing but this package.

The axis is logarithmic, so that verbs of different kinds stand on one page; the bar behind each point spans
the middle half of the calls. Text is escaped here, in `_text`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from continuum_core.gauge.measure import VERBS, Figures, Measured

__all__ = ["plot"]

_WIDTH, _LEFT, _RIGHT, _TOP = 860, 110, 90, 64
_ROW, _GAP, _FOOT = 17, 14, 56

_STYLE = """
.b{--page:#fff;--text:#0f172a;--quiet:#5b687c;--line:#d5dde8;--s0:#2563eb;--s1:#15803d;--s2:#b45309;--s3:#6d28d9}
@media (prefers-color-scheme:dark){.b{--page:#0d1117;--text:#e6edf3;--quiet:#a3b2c6;--line:#2c3a4e;
--s0:#60a5fa;--s1:#4ade80;--s2:#fbbf24;--s3:#c4a7ff}}
.b text{font:12px system-ui,sans-serif;fill:var(--text)}.b .q{fill:var(--quiet)}.b .e{text-anchor:end}
.b .m{text-anchor:middle}.b .t{font-size:15px;font-weight:600}.b line{stroke:var(--line)}
"""


def plot(measured: Measured) -> str:
    """A picture of the figures, for light and dark pages."""
    figures = [one for one in measured.figures if one.rate > 0]
    sizes = sorted({one.size for one in measured.figures})
    low, high = _decades(figures)
    body = _rows(figures, sizes, low, high)
    bottom = _TOP + len(VERBS) * (len(sizes) * _ROW + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="b" viewBox="0 0 {_WIDTH} {bottom + _FOOT}" '
        f'width="{_WIDTH}" height="{bottom + _FOOT}" role="img">',
        f"<title>{_text(_title(measured))}</title><style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{bottom + _FOOT}" fill="var(--page)"/>',
        f'<text class="t" x="12" y="24">{_text(_title(measured))}</text>',
        *_legend(sizes),
        *_axis(low, high, bottom),
        *body,
        f'<text class="q" x="12" y="{bottom + 44}">{_text(_conditions(measured))}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(value: object) -> str:
    return escape("".join(c if c.isprintable() else "?" for c in str(value)))


def _title(measured: Measured) -> str:
    return f"{measured.conditions['backend']}: members a second, one caller"


def _conditions(measured: Measured) -> str:
    told = measured.conditions
    return (
        f"{told['rounds']} calls each, payloads of {told['payload_bytes']} bytes, Python {told['python']}, "
        f"{told['cores']} cores; bars: the middle half of the calls"
    )


def _decades(figures: Sequence[Figures]) -> tuple[int, int]:
    """The powers of ten between which all points lie."""
    rates = [one.rate for one in figures] or [1.0]
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    return low, max(high, low + 1)


def _x(rate: float, low: int, high: int) -> float:
    share = (math.log10(rate) - low) / (high - low)
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(share, 0.0), 1.0)


def _axis(low: int, high: int, bottom: int) -> Iterator[str]:
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="q m" x="{x:.1f}" y="{bottom + 16}">{10.0**power:,g}</text>'


def _legend(sizes: Sequence[int]) -> Iterator[str]:
    for at, size in enumerate(sizes):
        x = _LEFT + at * 130
        yield f'<circle cx="{x}" cy="42" r="4" fill="var(--s{at % 4})"/>'
        yield f'<text x="{x + 10}" y="46">batches of {size}</text>'


def _rows(figures: Sequence[Figures], sizes: Sequence[int], low: int, high: int) -> list[str]:
    found = {(one.verb, one.size): one for one in figures}
    parts: list[str] = []
    for row, verb in enumerate(VERBS):
        top = _TOP + row * (len(sizes) * _ROW + _GAP)
        middle = top + len(sizes) * _ROW / 2 + 4
        parts.append(f'<text class="e" x="{_LEFT - 14}" y="{middle:.1f}">{_text(verb)}</text>')
        for at, size in enumerate(sizes):
            if (one := found.get((verb, size))) is not None:
                parts += _point(one, at, top + at * _ROW + _ROW / 2, low, high)
    return parts


def _point(one: Figures, at: int, y: float, low: int, high: int) -> list[str]:
    colour = f"var(--s{at % 4})"
    x = _x(one.rate, low, high)
    begins, ends = (_x(one.size / seconds, low, high) for seconds in (one.high, one.low))
    return [
        f'<rect x="{begins:.1f}" y="{y - 3:.1f}" width="{max(ends - begins, 1):.1f}" height="6" rx="3" '
        f'fill="{colour}" opacity=".3"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
        f'<text class="q" x="{max(x, ends) + 8:.1f}" y="{y + 4:.1f}">{one.rate:,.0f}</text>',
    ]
