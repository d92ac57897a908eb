"""What a copy is told, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from attrs import define, field, frozen

from continuum_core.host import Host
from continuum_core.journal.records import Run
from continuum_core.registry import Registry

__all__ = ["Copied", "Copying", "Trouble"]


@frozen
class Trouble:
    """A run that was left where it is, and why."""

    run: UUID
    machine: str
    why: str


@define
class Copied:
    """What a copy did, or a dry run would do.

    :ivar finished: runs that have ended and were copied.
    :ivar moved: runs that had not, and live in the target now.
    :ivar resumed: of these, those that an earlier copy had begun to move.
    :ivar present: runs that the target had already.
    :ivar folded: runs whose records were folded and gave their snapshot.
    :ivar forwarded: deliveries that came after their run had left, and were sent on.
    :ivar busy: runs that workers of the source have.
    :ivar troubles: conflicts in the target, drift, and what cannot be read.
    """

    finished: int = 0
    moved: int = 0
    resumed: int = 0
    present: int = 0
    folded: int = 0
    forwarded: int = 0
    definitions: int = 0
    results: int = 0
    busy: dict[UUID, Run] = field(factory=dict[UUID, Run])
    troubles: list[Trouble] = field(factory=list[Trouble])

    def trouble(self, run: Run, why: str) -> None:
        """Note that a run, or something of it, was left where it is; the same is noted once."""
        noted = Trouble(run.run_id, run.machine, why)
        if noted not in self.troubles:
            self.troubles.append(noted)

    @property
    def complete(self) -> bool:
        """Whether everything is in the target."""
        return not self.busy and not self.troubles

    @property
    def seen(self) -> int:
        """Runs that were dealt with."""
        return self.finished + self.moved + self.present + len(self.busy) + len(self.troubles)


@frozen
class Copying:
    """What a copy is told.

    :ivar to: the target, as people may see it: kept in the history of runs that leave.
    :ivar wait: seconds to wait for what workers of the source have.
    :ivar registry: machines whose runs are proved by folding.
    :ivar told: called after every run.
    """

    host: Host
    to: str
    who: str = ""
    wait: float = 0.0
    dry_run: bool = False
    registry: Registry = field(factory=Registry)
    told: Callable[[Copied], None] = lambda _: None
