"""All runs that hang together, as one graph: forks, children, and the definitions they went through.

A run is one stretch of records, or several where it moved to another definition or generation; between
two stretches of a run, and from a run to what branched off it, goes one tie. Each stretch has exactly
one tie that leads to it, but the root: so every path leads back to the root. A run whose row was pruned
stays in the graph as long as one that came from it is stored: it is named by what that one keeps.

Where a run has started very many child runs of one machine, those that nobody asked about are summed up, a
stretch for each status; what they started themselves is left out. Their records are not read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Sequence
from uuid import UUID

from attrs import evolve, frozen

from continuum_core.archive import Archive
from continuum_core.clock import Micros
from continuum_core.errors import UnknownVersion
from continuum_core.journal.records import ENDED, Record, Run, RunStatus
from continuum_core.mapper import origin_in
from continuum_core.origins import Brood, brood_of
from continuum_core.past import Past
from continuum_core.unopened import locked

__all__ = ["MOST", "Lineage", "Stretch", "Tie", "lineage"]

MOST = 20
"""So many child runs of one machine are drawn each for itself, unless said otherwise."""

_FEW = 3
"""So many of a crowd that are in one status, and the others are not, are drawn each for itself."""


@frozen
class Stretch:
    """Records `first` to `last` of one run, taken by one definition; or many child runs that are alike.

    :ivar run: its id; of many, that of the oldest.
    :ivar name: what the run is called: ``machine/key``, or machine and id; of many, the machine.
    :ivar status: of the run; None where its row was pruned, and then there are no records.
    :ivar states: the active states after its last record.
    :ivar fingerprint: of the definition.
    :ivar begun: when the run was created, microseconds.
    :ivar waits: the run has not begun: it was started for later, or no worker has taken it yet.
    :ivar runs: how many runs it stands for; where it stands for several, `first` and `last` are 0.
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
    waits: bool = False
    runs: int = 1


@frozen
class Tie:
    """From one stretch (its place in `Lineage.stretches`) to another.

    :ivar kind: ``fork``, ``child``, ``children`` (many of them, summed up), ``moved`` (the run itself, to
        another definition), ``renewed`` (the run itself, which continued as new) or ``lost`` (through runs
        that were pruned).
    :ivar version: the record that it goes out from, of many the first; 0 where nobody kept it.
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


async def lineage(archive: Archive, run_id: UUID, most: int = MOST) -> Lineage:
    """The graph that a run belongs to, from the root down.

    :param most: where a run has started more child runs of one machine, they are summed up, but for those
        that lead to the run that was asked for.

    Raises RunNotFound.
    """
    above = await _above(archive, run_id)
    growing = _Growing(archive, frozenset(above), most)
    lost: UUID | None = None
    for ancestor in above:
        # From the root towards the run; rows that are gone are found from below only.
        row = await archive.find(ancestor)
        if row is None:
            growing.drawing.gone(ancestor, lost)
        elif not growing.drawing.has(ancestor):
            await growing.grow(row, lost)
        await growing.descend(ancestor)
        lost = ancestor
    return Lineage(tuple(growing.drawing.stretches), tuple(growing.drawing.ties))


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


class _Growing:
    """Reads runs and draws them, each one once.

    :param wanted: runs that stand for themselves in any crowd.
    """

    def __init__(self, archive: Archive, wanted: Container[UUID], most: int) -> None:
        self.drawing = _Drawing()
        self._archive = archive
        self._wanted = wanted
        self._most = most

    async def descend(self, ancestor: UUID) -> None:
        """Draw all that came from a run which is drawn."""
        ahead: deque[UUID] = deque([ancestor])
        while ahead:
            parent = ahead.popleft()
            rows = [row for row in await self._archive.children(parent) if not self.drawing.has(row.run_id)]
            if not rows:
                continue
            brood = brood_of(parent, await self._archive.records(parent))
            crowd = self._crowd(rows, brood)
            for row in rows:
                if row.run_id not in crowd:
                    await self.grow(row, parent, brood)
                    ahead.append(row.run_id)
            self.drawing.crowd(parent, [row for row in rows if row.run_id in crowd], brood)

    async def grow(self, row: Run, parent: UUID | None, brood: Brood | None = None) -> None:
        """Draw one run; its parent is drawn already."""
        stretches = _stretches(row, await self._archive.records(row.run_id))
        if parent is None:
            self.drawing.root(stretches)
        elif row.parent != parent:
            self.drawing.branch(parent, "lost", 0, stretches)
        elif brood is not None and _is_child(row, brood):
            self.drawing.branch(parent, "child", brood.started.get(row.run_id, 0), stretches)
        else:
            body = await self._archive.forked(row.run_id)
            kind, version = ("child", 0) if body is None else ("fork", body.version)
            self.drawing.branch(parent, kind, version, stretches)

    def _crowd(self, rows: Sequence[Run], brood: Brood) -> set[UUID]:
        """Of the runs that came from one, those that are summed up: the few that ended otherwise are not."""
        children = [row for row in rows if _is_child(row, brood)]
        sizes = Counter(row.machine for row in children)
        crowded = [
            row for row in children if sizes[row.machine] > self._most and row.run_id not in self._wanted
        ]
        alike = Counter((row.machine, row.status) for row in crowded)
        return {row.run_id for row in crowded if alike[row.machine, row.status] > _FEW}


def _is_child(row: Run, brood: Brood) -> bool:
    """Whether a run is a child run of its parent, by what the parent's records or its own snapshot say."""
    if row.run_id in brood.started:
        return True
    if not row.snapshot or locked(row.snapshot) is not None:
        return False
    try:
        return origin_in(row.snapshot) is not None
    except UnknownVersion:
        return False


def _stretches(row: Run, records: list[Record]) -> list[Stretch]:
    """A run's records, cut where another definition took over, and where it continued as new."""
    past = Past(row.run_id)
    whole = Stretch(
        run=row.run_id,
        name=Archive.name(row.run_id, row),
        first=records[0].version if records else 1,
        last=0,
        status=row.status,
        fingerprint=row.fingerprint,
        begun=row.created,
        waits=not row.snapshot and row.status not in ENDED,
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

    def crowd(self, parent: UUID, rows: Sequence[Run], brood: Brood) -> None:
        """Many child runs of `parent`: a stretch for each machine and status, where they began."""
        alike: dict[tuple[int, str, RunStatus], list[Run]] = {}
        for row in rows:
            source = self._stretch_with(parent, brood.started.get(row.run_id, 0))
            alike.setdefault((source, row.machine, row.status), []).append(row)
        for (source, machine, status), many in alike.items():
            first = min((brood.started[row.run_id] for row in many if row.run_id in brood.started), default=0)
            stretch = Stretch(many[0].run_id, machine, 0, 0, status, begun=many[0].created, runs=len(many))
            self.ties.append(Tie(source, len(self.stretches), "children", first))
            self.stretches.append(stretch)

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
