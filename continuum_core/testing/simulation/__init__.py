"""Many workers, clients and faults from one seed: a schedule, run without an event loop and judged.

    python -m continuum_core.testing.simulation --seeds 2000

The code under test is the shipping one: `Worker`, `Client` and the memory journal. What differs is the
host (virtual time, chosen interleavings) and a fault-injecting journal in between. `run_seed` runs one
schedule; `invariants` says what must hold of it; `planted` breaks the code on purpose, to show that
what is broken is found.
"""

from __future__ import annotations

from continuum_core.testing.simulation.planted import PLANTED, ROLLING_PLANTED, planted
from continuum_core.testing.simulation.schedule import Report, rerun, run_rolling, run_seed
from continuum_core.testing.simulation.shrink import shrink

__all__ = ["PLANTED", "ROLLING_PLANTED", "Report", "planted", "rerun", "run_rolling", "run_seed", "shrink"]
