"""Where the caller stands: the file and line of a declaration, for messages that can be clicked."""

from __future__ import annotations

import sys
from types import FrameType

from continuum_core.definition.chart import Place

__all__ = ["caller"]


def caller() -> tuple[Place, FrameType]:
    """The nearest frame outside of this package, with its place."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # traceback and inspect use it, too
    while str(frame.f_globals.get("__name__", "")).startswith("continuum_core.definition"):
        if frame.f_back is None:
            break
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno), frame
