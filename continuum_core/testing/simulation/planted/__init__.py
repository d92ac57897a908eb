"""Bugs planted on purpose: a simulator that finds nothing proves nothing until it has found these.

Each breaks the shipping code, or the journal under it, in one way that real engines have been broken
in. `planted(name)` breaks it for the length of a `with` block. What the simulator needs to find one is
written beside it where it is not plain.
"""

from continuum_core.testing.simulation.planted.tables import LATE_PLANTED, PLANTED, ROLLING_PLANTED, planted

__all__ = ["LATE_PLANTED", "PLANTED", "ROLLING_PLANTED", "planted"]
