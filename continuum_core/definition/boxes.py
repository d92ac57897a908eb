"""Boxes with lines between them → SVG, by the layout that draws machines: for graphs that are no charts."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from continuum_core.definition.canvas import Theme, document, escaped, heads, path_of, texts
from continuum_core.definition.layout import Box, Label, Plan, Shape, arranged
from continuum_core.definition.layout.block import caption_block, state_block
from continuum_core.definition.wording import Row, Tone, one_line

__all__ = ["Node", "Wire", "boxes"]


@frozen
class Node:
    """A box: its title, and rows of text below it; one that is `lit` stands out."""

    title: str
    rows: tuple[str, ...] = ()
    lit: bool = False


@frozen
class Wire:
    """An arrow between two boxes, by their places, with a word at it."""

    source: int
    target: int
    caption: str = ""


def boxes(title: str, nodes: Sequence[Node], wires: Sequence[Wire], *, theme: Theme = "auto") -> str:
    """The graph drawn as one SVG document: the same graph gives the same bytes."""
    plan = Plan()
    plan.page = plan.add(-1, Shape.PAGE, 0, 0).number
    frame = plan.add(plan.page, Shape.COMPOUND, 0, 0)
    frame.block = state_block(one_line(title), (), heading=True, tone="machine")
    places: list[int] = []
    for node in nodes:
        rows = [Row(one_line(row), tone=Tone.QUIET, full=row) for row in node.rows]
        block = state_block(one_line(node.title) or "?", rows)
        item = plan.add(frame.number, Shape.ATOMIC, max(block.width, 84), max(block.height, 34))
        item.block = block
        places.append(item.number)
    for wire in wires:
        words = caption_block([Row(one_line(wire.caption))]) if wire.caption else None
        plan.wire(places[wire.source], places[wire.target], block=words)
    picture = arranged(plan)
    lit = {places[number] for number, node in enumerate(nodes) if node.lit}
    parts = [_box(box, frame.number, lit) for box in picture.boxes]
    parts += [f'<path class="c-edge" d="{path_of(line)}"/>' for line in picture.lines]
    parts += [heads(line) for line in picture.lines]
    parts += [_text_of(box) for box in picture.boxes]
    parts += [_label(label) for label in picture.labels]
    names = ", ".join(one_line(node.title) for node in nodes)
    return document(one_line(title), f"{len(nodes)} boxes: {names}.", picture, theme, parts)


def _box(box: Box, frame: int, lit: set[int]) -> str:
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    if box.item == frame:
        return f'<rect class="c-frame" {place} rx="10"/>'
    if box.shape is not Shape.ATOMIC:
        return ""
    return f'<rect class="c-state{" c-active" if box.item in lit else ""}" {place} rx="8"/>'


def _text_of(box: Box) -> str:
    rule = ""
    if box.block.rule is not None:
        rule = f'<path class="c-rule" d="M{box.x} {box.y + box.block.rule}h{box.width}"/>'
    return rule + "".join(texts(box.block, box.x, box.y))


def _label(label: Label) -> str:
    words = escaped(" ".join(text.text for text in label.block.texts))
    return f'<g class="c-label">{"".join(texts(label.block, label.x, label.y))}<title>{words}</title></g>'
