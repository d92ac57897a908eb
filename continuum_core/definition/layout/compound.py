"""Boxes within boxes: a chart's picture with coordinates.

Two passes over the containers. Outside in: each level ranks its vertices, which decides whether a line
that goes on inside a child enters it through the upper or the lower border. Inside out: each level is
arranged, its lines to the border ending in ports whose places the level outside then takes as given.
So no line can run through a box that is not an ancestor of one of its ends.
"""

from __future__ import annotations

from continuum_core.definition.chart import Chart
from continuum_core.definition.layout.emit import emit
from continuum_core.definition.layout.picture import Line, Picture
from continuum_core.definition.layout.place import straighten
from continuum_core.definition.layout.plan import Plan, plan_of
from continuum_core.definition.layout.settle import settle
from continuum_core.definition.layout.survey import survey
from continuum_core.definition.layout.wiring import home_of
from continuum_core.definition.layout.work import SIDE, Artist, Work

__all__ = ["arrange", "arranged"]

MARGIN = 12
"""Pixels around the machine's frame."""


def arrange(chart: Chart) -> Picture:
    """The picture of a chart: the same chart gives the same coordinates."""
    return arranged(plan_of(chart))


def arranged(plan: Plan) -> Picture:
    """The picture of a plan: one frame on a page, and what is in it."""
    artist = Artist(plan)
    artist.work = {item.number: Work() for item in artist.plan.items}
    for wire in artist.plan.wires:
        artist.work[home_of(artist.plan, wire)].home.append(wire)
    survey(artist, artist.plan.page)
    settle(artist, artist.plan.page, 0)
    emit(artist, artist.plan.page, MARGIN - SIDE, MARGIN, 0)
    return _picture(artist)


def _picture(artist: Artist) -> Picture:
    page = artist.work[artist.plan.page]
    lines: list[Line] = []
    for wire in artist.plan.wires:
        joined = [point for _, points in sorted(artist.parts[wire.number]) for point in points]
        points = tuple(straighten(joined))
        lines.append(Line(wire.source, wire.target, points, wire.edges, wire.arrow, wire.quiet))
    width, height = page.width - 2 * SIDE + 2 * MARGIN, page.height - SIDE + 2 * MARGIN
    return Picture(width, height, tuple(artist.boxes), tuple(lines), tuple(artist.labels))
