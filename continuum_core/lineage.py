"""All runs that hang together, as one graph: forks, children, and the definitions they went through.

A run is one stretch of records, or several where it moved to another definition or generation; between
two stretches of a run, and from a run to what branched off it, goes one tie. Each stretch has exactly
one tie that leads to it, but the root: so every path leads back to the root. A run whose row was pruned
stays in the graph as long as one that came from it is stored: it is named by what that one keeps.
"""

from __future__ import annotations

from collections import deque
from uuid import UUID

from attrs import evolve, frozen

from continuum_core.archive import Archive
from continuum_core.clock import Micros
from continuum_core.journal.records import Record, Run, RunStatus
from continuum_core.past import Past

__all__ = ["Lineage", "Stretch", "Tie", "lineage"]


@frozen
class Stretch:
    """Records `first` to `last` of one run, taken by one definition.

    :ivar name: what the run is called: ``machine/key``, or its id.
    :ivar status: of the run; None where its row was pruned, and then there are no records.
    :ivar states: the active states after its last record.
    :ivar fingerprint: of the definition.
    :ivar begun: when the run was created, microseconds.
    """

    run: UUID
    name: str
    first: int
    last: int
    status: RunStatus | None
    states: tuple[str, ...] = ()
    fingerprint: str = ""
    generation: int = 0
    begun: Micros = 0


@frozen
class Tie:
    """From one stretch (its place in `Lineage.stretches`) to another.

    :ivar kind: ``fork``, ``child``, ``moved`` (the run itself, to another definition), ``renewed`` (the run
        itself, which continued as new) or ``lost`` (through runs that were pruned).
    :ivar version: the record that it goes out from; 0 where nobody kept it.
    """

    source: int
    target: int
    kind: str
    version: int = 0


@frozen
class Lineage:
    """The graph. The root is the first stretch, and every other one has its tie in `ties`, in order."""

    stretches: tuple[Stretch, ...]
    ties: tuple[Tie, ...]


async def lineage(archive: Archive, run_id: UUID) -> Lineage:
    """The graph that a run belongs to, from the root down. Raises RunNotFound."""
    above = await _above(archive, run_id)
    drawing = _Drawing()
    lost: UUID | None = None
    for ancestor in above:
        # From the root towards the run; rows that are gone are found from below only.
        row = await archive.find(ancestor)
        if row is None:
            drawing.gone(ancestor, lost)
        elif not drawing.has(ancestor):
            await _grow(archive, drawing, row, lost)
        await _descend(archive, drawing, ancestor)
        lost = ancestor
    return Lineage(tuple(drawing.stretches), tuple(drawing.ties))


async def _above(archive: Archive, run_id: UUID) -> list[UUID]:
    """The runs from the root to this one, as far as they are known."""
    row = await archive.row(run_id)
    path, top = [run_id], row.root
    parent = row.parent
    while parent is not None:
        path.append(parent)
        above = await archive.find(parent)
        parent = None if above is None else above.parent
        top = top if above is None else above.root
    if top is not None and top not in path:
        path.append(top)
    return path[::-1]


async def _descend(archive: Archive, drawing: _Drawing, ancestor: UUID) -> None:
    ahead: deque[UUID] = deque([ancestor])
    while ahead:
        parent = ahead.popleft()
        for child in await archive.children(parent):
            if not drawing.has(child.run_id):
                await _grow(archive, drawing, child, parent)
                ahead.append(child.run_id)


async def _grow(archive: Archive, drawing: _Drawing, row: Run, parent: UUID | None) -> None:
    records = await archive.records(row.run_id)
    stretches = _stretches(row, records)
    if parent is None:
        drawing.root(stretches)
        return
    kind, version = "lost" if row.parent != parent else "child", 0
    body = await archive.forked(row.run_id) if row.parent == parent else None
    if body is not None:
        kind, version = "fork", body.version
    drawing.branch(parent, kind, version, stretches)


def _stretches(row: Run, records: list[Record]) -> list[Stretch]:
    """A run's records, cut where another definition took over, and where it continued as new."""
    past = Past(row.run_id)
    whole = Stretch(
        run=row.run_id,
        name=str(row.run_id) if row.key is None else f"{row.machine}/{row.key}",
        first=records[0].version if records else 1,
        last=0,
        status=row.status,
        fingerprint=row.fingerprint,
        begun=row.created,
    )
    found: list[Stretch] = []
    for record in records:
        before, states, generation = past.fingerprint, past.states, past.generation
        past.take(record)
        if before and (before, generation) != (past.fingerprint, past.generation):
            last = record.version - 1
            over = evolve(whole, last=last, states=states, fingerprint=before, generation=generation)
            found.append(over)
            whole = evolve(whole, first=record.version)
    last_print = past.fingerprint or row.fingerprint
    whole = evolve(whole, last=past.version, states=past.states, generation=past.generation)
    return [*found, evolve(whole, fingerprint=last_print)]


class _Drawing:
    """The graph while it grows."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.ties: list[Tie] = []
        self._places: dict[UUID, list[int]] = {}

    def has(self, run: UUID) -> bool:
        return run in self._places

    def root(self, stretches: list[Stretch]) -> None:
        self._add(stretches)

    def branch(self, parent: UUID, kind: str, version: int, stretches: list[Stretch]) -> None:
        """A run that came from `parent`, whose stretches are there already."""
        source = self._stretch_with(parent, version)
        self.ties.append(Tie(source, len(self.stretches), kind, version))
        self._add(stretches)

    def gone(self, run: UUID, parent: UUID | None) -> None:
        """A run of which only the id is known."""
        stretch = Stretch(run, str(run), 0, 0, None)
        if parent is None:
            self._add([stretch])
        else:
            self.branch(parent, "lost", 0, [stretch])

    def _add(self, stretches: list[Stretch]) -> None:
        for number, stretch in enumerate(stretches):
            place = len(self.stretches)
            if number:
                before = stretches[number - 1]
                kind = "moved" if before.generation == stretch.generation else "renewed"
                self.ties.append(Tie(place - 1, place, kind, before.last))
            self.stretches.append(stretch)
            self._places.setdefault(stretch.run, []).append(place)

    def _stretch_with(self, run: UUID, version: int) -> int:
        """The stretch that holds a record; the last one where the record is not known."""
        places = self._places[run]
        return next((p for p in places if version and self.stretches[p].last >= version), places[-1])
