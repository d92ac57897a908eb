"""Whether a live worker takes a run, in words; asked once for each definition, however many runs."""

from __future__ import annotations

from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Definition, RunStatus
from continuum_core.taking import taken
from continuum_core.view import RunView

__all__ = ["Takers"]


class Takers:
    """What live workers take, as far as one command asked."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._stored: dict[str, Definition] | None = None
        self._taken: dict[str, bool] = {}

    async def missing(self, view: RunView) -> str:
        """Which worker a run waits for, where none that lives takes it; "" where one does, or none need."""
        print_ = view.fingerprint
        if self._stored is None:
            self._stored = {each.fingerprint: each for each in await self._journal.definitions()}
        if view.status is not RunStatus.RUNNING:
            return ""
        if print_ not in self._taken:
            self._taken[print_] = print_ in await taken(self._journal, [print_])
        if self._taken[print_]:
            return ""
        stored = self.definition(view)
        version = "" if stored is None else f" version {stored.version}"
        return f"waits for a worker that takes {view.machine}{version} (definition {print_[:12]})"

    def definition(self, view: RunView) -> Definition | None:
        """The stored definition of a run that was asked about."""
        return None if self._stored is None else self._stored.get(view.fingerprint)
