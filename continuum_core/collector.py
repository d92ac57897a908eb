"""Python's garbage collector in a process that does nothing but work.

The engine leaves next to nothing to it: what a run needs is freed when it is done with. But the collector
counts what is alive, not what is garbage. Hundreds of runs in flight make it look through all that is new
again and again, and now and then through every module that the process has loaded, and it finds nothing.

Rule: this is for who owns the process. Where the worker is a guest in another program, that program decides.
"""

from __future__ import annotations

import gc

__all__ = ["relax_collector"]

_USUAL = frozenset({700, 2_000})
"""Python's own first threshold, as its releases have it: who has set another has had a reason."""

_RELAXED = (10_000, 10, 10)
"""Two hundred runs in flight have about so many objects."""


def relax_collector() -> None:
    """Let the collector look less often, and never again at what is loaded already.

    Call it once, when the program is loaded. It changes nothing where the collector is switched off, or its
    thresholds were set before.
    """
    if not gc.isenabled() or gc.get_threshold()[0] not in _USUAL:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_RELAXED)
