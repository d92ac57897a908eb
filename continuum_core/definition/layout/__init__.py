"""A chart's picture with coordinates: our own layered layout for states within states.

`arrange` is all that charts need; graphs that are none make a `Plan` and have it `arranged`. `plan` says
what is drawn, `wiring` in which container each line belongs; `compound` has the containers surveyed
(outside in), settled (inside out) and emitted; `rank`, `order`, `place` and `route` arrange one level,
`simplex` solves, `block` and `glyphs` measure text.
"""

from __future__ import annotations

from continuum_core.definition.layout.compound import arrange, arranged
from continuum_core.definition.layout.picture import Box, Label, Line, Picture
from continuum_core.definition.layout.plan import Plan, Shape

__all__ = ["Box", "Label", "Line", "Picture", "Plan", "Shape", "arrange", "arranged"]
