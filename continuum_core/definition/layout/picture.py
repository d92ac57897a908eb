"""A picture: where everything is, in pixels. What a renderer gets, and all it needs."""

from __future__ import annotations

from attrs import frozen

from continuum_core.definition.layout.block import Block
from continuum_core.definition.layout.plan import Shape

__all__ = ["Box", "Label", "Line", "Picture"]


@frozen
class Box:
    """Where an item is; `block` is its text, relative to its corner."""

    item: int
    parent: int
    shape: Shape
    x: int
    y: int
    width: int
    height: int
    block: Block
    state: int | None = None
    region: bool = False


@frozen
class Line:
    """Where a wire runs, from its source to its arrow head."""

    source: int
    target: int
    points: tuple[tuple[int, int], ...]
    edges: tuple[int, ...]
    arrow: bool
    quiet: bool


@frozen
class Label:
    """Where a wire's text is."""

    x: int
    y: int
    block: Block
    edges: tuple[int, ...]


@frozen
class Picture:
    """Everything with coordinates in pixels; boxes come parents first."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
