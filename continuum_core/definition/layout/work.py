"""What is known of each container while a picture is made, and the picture as it grows."""

from __future__ import annotations

from attrs import define, field

from continuum_core.definition.layout.graph import Level, Vertex
from continuum_core.definition.layout.picture import Box, Label
from continuum_core.definition.layout.plan import Plan, Wire

__all__ = ["LOOP", "SIDE", "Artist", "Part", "Work"]

SIDE = 18
"""Padding of a container at its left, right and lower border, in pixels."""
LOOP = 22
"""Pixels that a loop reaches out of its box."""

Part = tuple[int, list[tuple[int, int]]]
"""Some points of a wire, and the place of these among its parts."""


@define(eq=False)
class Work:
    """What is known of one container while the picture is made."""

    level: Level = field(factory=Level)
    of: dict[int, Vertex] = field(factory=dict[int, Vertex])  # child item → vertex
    # (wire, at its tail) → port vertex
    ports: dict[tuple[int, bool], Vertex] = field(factory=dict[tuple[int, bool], Vertex])
    # (wire, at its tail, through the top)
    crossing: list[tuple[Wire, bool, bool]] = field(factory=list[tuple[Wire, bool, bool]])
    home: list[Wire] = field(factory=list[Wire])
    width: int = 0
    height: int = 0
    # of a parallel: region → its corner
    offset: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])


@define(eq=False)
class Artist:
    plan: Plan
    work: dict[int, Work] = field(factory=dict[int, Work])
    boxes: list[Box] = field(factory=list[Box])
    parts: dict[int, list[Part]] = field(factory=dict[int, list[Part]])
    labels: list[Label] = field(factory=list[Label])
