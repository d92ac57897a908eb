"""Past generations pruned by the worker itself, where it was asked to.

Rule: a worker takes of what goes on alone; whole runs are deleted by people. So a machine that continues as
new for years needs nobody to look after it, and nobody's ended runs go because a worker was started.
"""

from __future__ import annotations

from continuum_core.errors import JournalUnavailable
from continuum_core.host import Host
from continuum_core.journal.commit import PrunePlan
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.outage import Outage

__all__ = ["prune_generations"]

_EVERY = 3600.0
"""Seconds between two prunings of one worker, from half of it on: workers do not come all at once."""

_BATCH = 500
"""Generations that one call takes: others are served in between."""

_LIVING = frozenset({RunStatus.RUNNING})
"""No status of an ended run: the plan takes none of these."""


async def prune_generations(host: Host, journal: Journal, age: float, outage: Outage) -> None:
    """Again and again, as long as the worker works.

    :param age: seconds since a generation was over, after which its records go.
    """
    while True:
        await host.sleep(_EVERY * (0.5 + host.random() / 2))
        try:
            before = await journal.now() - round(age * 1_000_000)
            plan = PrunePlan(before, _BATCH, statuses=_LIVING, generations=True)
            while (await journal.prune(plan)).generations == _BATCH:
                pass
        except JournalUnavailable as error:
            outage.mention("pruning past generations", error)
