"""What becomes of stored runs under the machines that are here, run by run, and moving them at once.

Workers move a run at its next turn; nobody has to ask for it. This is for whoever wants to know beforehand,
or to be done with a version: `examine` makes the move and throws it away, so that every context is made and
read before anything is written; `Mover.move` writes it, as a turn without an event, if the run rests.

A run that has not begun holds nothing but its input. Where no code here takes its definition no worker would
claim it, so that it is begun: by the newest code, if that takes the input.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from uuid import UUID

import msgspec
from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.definition.compatibility import remedy
from continuum_core.due import Due
from continuum_core.envelope import SnapshotBody, read
from continuum_core.errors import ContinuumError
from continuum_core.journal.commit import Commit, CommitOutcome, Inspection, Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Definition, DeliveryKind, Held, Run, RunStatus
from continuum_core.mapper import Migrated, decode_image, migrated, unborn
from continuum_core.registry import Entry, Registry
from continuum_core.turn import take_turn

__all__ = ["GOOD", "LIVE", "MOVED", "Fate", "Moved", "Mover", "PatchUse", "Prospect", "patch_uses"]

_PAGE = 200

LIVE = (RunStatus.RUNNING, RunStatus.SUSPENDED, RunStatus.PARKED)


class Fate(enum.StrEnum):
    """What becomes of a run under the machines that are here."""

    CURRENT = "current"  # it runs on this very definition
    ADOPTED = "adopted"  # it goes on as it is, from its next turn on
    UNBORN = "unborn"  # it has not taken its first turn, and takes it here
    BEGINS = "begins"  # it has not, nothing here takes its definition, and moving it begins it here
    MOVES = "moves"  # an upgrade moves it
    LATER = "later"  # an upgrade moves it once it is resumed or unparked
    FAILS = "fails"  # its upgrade fails, or its context is refused here: it would be parked, as it is
    LEFT = "left"  # nothing here takes it


GOOD = frozenset({Fate.CURRENT, Fate.ADOPTED, Fate.UNBORN, Fate.BEGINS, Fate.MOVES, Fate.LATER})

MOVED = frozenset({Fate.BEGINS, Fate.MOVES})
"""Of runs that `Mover.move` has something to do for."""


@frozen
class Prospect:
    """One run and its fate.

    :ivar since: the version that it is of; None where its definition is not stored.
    :ivar version: the version that takes it; None where none does.
    :ivar before: its states, and `after` what they would be.
    :ivar asked: what the move asks of the world: how many state entries it closes, timers and activities
        it begins.
    :ivar why: why it fails or is left, a line each; `remedy` is what its author does.
    """

    run_id: UUID
    machine: str
    key: str | None
    status: RunStatus
    fingerprint: str
    fate: Fate
    since: int | None
    version: int | None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    asked: Mapping[str, int] = {}
    why: str = ""
    remedy: str = ""


class Moved(enum.StrEnum):
    """How moving a run went."""

    DONE = "moved"
    BUSY = "busy"  # it has something due: a worker moves it with that
    FAILED = "failed"  # nothing was written


class Mover:
    """Examines and moves runs of one journal.

    :param registry: the machines; it is told of the stored definitions.
    :param new_id: gives ids.
    """

    def __init__(self, journal: Journal, registry: Registry, new_id: Callable[[], UUID]) -> None:
        self._journal = journal
        self._registry = registry
        self._new_id = new_id
        self._stored: dict[str, Definition] = {}
        self._now: Micros = 0

    async def learn(self) -> None:
        """Read the stored definitions and the journal's clock."""
        stored = await self._journal.definitions()
        self._registry.learn(stored)
        self._stored = {each.fingerprint: each for each in stored}
        self._now = await self._journal.now()

    async def runs(self, machines: Sequence[str], chosen: Sequence[UUID] | None = None) -> AsyncIterator[Run]:
        """The runs of these machines that have not ended, page by page.

        :param chosen: only these, in their order; None: all.
        """
        if chosen is not None:
            for at in range(0, len(chosen), _PAGE):
                for row in await self._journal.load(chosen[at : at + _PAGE]):
                    if row is not None and row.machine in machines and row.status in LIVE:
                        yield row
            return
        for machine in machines:
            for status in LIVE:
                cursor: str | None = None
                while True:
                    page = await self._journal.list(Query(machine=machine, status=status), _PAGE, cursor)
                    for run in page.runs:
                        yield run
                    cursor = page.cursor
                    if cursor is None:
                        break

    async def examine(self, run: Run) -> Prospect:
        """What becomes of a run. Nothing is written. Raises JournalUnavailable."""
        newest = self._beginner(run)
        if newest is None:
            return self._examined(run)
        found = await self._journal.inspect(run.run_id)
        return self._examined(run) if found is None else self._beginning(found, newest)

    def _beginner(self, run: Run) -> Entry | None:
        """The code that may begin a run which nothing here takes; None of any other run."""
        stored, newest = self._stored.get(run.fingerprint), self._registry.look(run.machine)
        if (
            run.snapshot
            or stored is None
            or newest is None
            or self._registry.find(run.fingerprint) is not None
        ):
            return None
        return newest if stored.version < newest.chart.version else None

    def _beginning(self, found: Inspection, newest: Entry) -> Prospect:
        """What becomes of a run that has not begun: its first turn is made, and thrown away."""
        run, why, asks, after = found.run, "", dict[str, int](), tuple[str, ...]()
        due = self._first(found, self._now)
        if run.status is not RunStatus.RUNNING:
            word = "unparked" if run.status is RunStatus.PARKED else "resumed"
            fate, why = Fate.LEFT, f"it has not begun; once it is {word} it can be begun here"
        elif not any(each.kind is DeliveryKind.START for each in due.deliveries):
            fate, why = Fate.LEFT, "it has not begun, and is to begin later; then it can be begun here"
        else:
            turn = take_turn(newest, due, self._new_id)
            if turn.fault is not None:
                fate, why = Fate.FAILS, str(turn.fault)
            else:
                fate, after = Fate.BEGINS, newest.leaves(turn.image.snapshot.configuration)
                asks = _begun(turn.commit)
        stored = self._stored[run.fingerprint]
        return Prospect(
            run.run_id,
            run.machine,
            run.key,
            run.status,
            run.fingerprint,
            fate,
            stored.version,
            newest.chart.version,
            (),
            after,
            asks,
            why,
            self._remedy(run.machine, stored) if fate is Fate.LEFT else "",
        )

    def _first(self, found: Inspection, now: Micros) -> Due:
        """What a run that has not begun has due."""
        free = [each for each in found.deliveries if each.held is Held.NO and (each.due or 0) <= now]
        run = found.run
        return Due(run.namespace, run.run_id, None, run.commit_id, unborn(run.version), tuple(free), now)

    def _examined(self, run: Run) -> Prospect:
        print_, stored = run.fingerprint, self._stored.get(run.fingerprint)
        entry, way = self._registry.find(print_), self._registry.way(print_)

        def judged(fate: Fate, why: str = "", made: Migrated | None = None) -> Prospect:
            version = None if entry is None else entry.chart.version
            after: tuple[str, ...] = ()
            asked: dict[str, int] = {}
            if made is not None and entry is not None:
                after = entry.leaves(made.image.snapshot.configuration)
                for command in made.step.commands:
                    word = _WORDS[type(command).__name__]
                    asked[word] = asked.get(word, 0) + 1
            since = None if stored is None else stored.version
            return Prospect(
                run.run_id,
                run.machine,
                run.key,
                run.status,
                print_,
                fate,
                since,
                version,
                _states(run),
                after,
                asked,
                why,
                self._remedy(run.machine, stored) if fate is Fate.LEFT else "",
            )

        if entry is None:
            return judged(Fate.LEFT, self._reasons(print_))
        current = entry.fingerprint == print_
        if not run.snapshot:
            return judged(Fate.CURRENT if current else Fate.UNBORN)
        try:
            if way is None:  # a type may refuse what it took before, and be no other type by its shape
                decode_image(entry, run.version, run.snapshot)
                return judged(Fate.CURRENT if current else Fate.ADOPTED)
            made = migrated(entry, way, run.run_id, run.version, run.snapshot, self._now)
        except ContinuumError as error:
            return judged(Fate.FAILS, str(error))
        return judged(Fate.MOVES if run.status is RunStatus.RUNNING else Fate.LATER, "", made)

    def _reasons(self, print_: str) -> str:
        change = self._registry.refused().get(print_)
        if change is None:
            return "its definition is not stored" if print_ not in self._stored else "no such machine is here"
        return "\n".join(str(each) for each in change.blocking)

    def _remedy(self, machine: str, stored: Definition | None) -> str:
        newest = self._registry.look(machine)
        if newest is None or stored is None:
            return ""
        if any(each.version == stored.version for each in newest.chart.upgrades):
            return "mend the upgrade"
        return remedy(stored.version, newest.chart.version)

    async def move(self, run_id: UUID) -> Moved:
        """Move a run that rests, or begin it. Raises JournalUnavailable.

        The journal refuses it where the run has something due or is in a worker's hands: then its next turn
        moves it.
        """
        await self._journal.define([entry.definition for entry in self._registry.entries()])
        found = await self._journal.inspect(run_id)
        if found is None or found.run.status is not RunStatus.RUNNING:
            return Moved.BUSY
        run = found.run
        if (newest := self._beginner(run)) is not None:
            return await self._write(newest, self._first(found, await self._journal.now()))
        entry, way = self._registry.find(run.fingerprint), self._registry.way(run.fingerprint)
        if entry is None or way is None or not run.snapshot:
            return Moved.BUSY
        due = Due(
            namespace=run.namespace,
            run_id=run_id,
            fence=None,
            base=run.commit_id,
            image=unborn(run.version),
            deliveries=(),
            now=await self._journal.now(),
            has_deferred=any(each.held is Held.DEFERRED for each in found.deliveries),
            way=way,
            stored=run.snapshot,
        )
        return await self._write(entry, due)

    async def _write(self, entry: Entry, due: Due) -> Moved:
        turn = take_turn(entry, due, self._new_id)
        if turn.fault is not None:
            return Moved.FAILED
        [answer] = await self._journal.commit([turn.commit])
        return Moved.DONE if answer.outcome is CommitOutcome.COMMITTED else Moved.BUSY


_WORDS = {
    "Close": "closes",
    "CloseRuns": "closes",
    "StartTimer": "timers",
    "StartActivity": "activities",
    "StartRun": "child runs",
    "Send": "messages",
}


def _begun(commit: Commit) -> dict[str, int]:
    """What a first turn asks of the world."""
    timers = sum(each.run_id == commit.run_id for each in commit.deliveries)
    sent = len(commit.deliveries) - timers
    asked = (("timers", timers), ("activities", len(commit.tasks)), ("child runs", len(commit.starts)))
    counts = {**dict(asked), "messages": sent}
    return {word: count for word, count in counts.items() if count}


def _states(run: Run) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(run.snapshot).get("states", ())) if run.snapshot else ()


# --- patches -----------------------------------------------------------------------------------------


@frozen
class PatchUse:
    """How many live runs go which way of a patch.

    :ivar new: pinned to the new way; `old`: to the old; `unasked`: began before it, and have not asked yet.
    :ivar in_code: whether the machine's code still asks for it.
    """

    machine: str
    name: str
    in_code: bool
    new: int = 0
    old: int = 0
    unasked: int = 0

    @property
    def removable(self) -> bool:
        """Whether no live run needs the old way any more."""
        return self.old == 0 and self.unasked == 0


def patch_uses(registry: Registry, runs: Sequence[Run]) -> list[PatchUse]:
    """Who uses the patches that the machines' newest versions ask for, and those that runs still bear."""
    found: list[PatchUse] = []
    for machine in sorted({entry.chart.name for entry in registry.entries()}):
        known = registry.named(machine).chart.patches
        pinned = [_pinned(run) for run in runs if run.machine == machine]
        born = [each for each in pinned if each is not None]
        for name in sorted(known.union(*born)):
            ways = [each.get(name) for each in born]
            counts = ways.count(True), ways.count(False), ways.count(None) if name in known else 0
            found.append(PatchUse(machine, name, name in known, *counts))
    return found


def _pinned(run: Run) -> Mapping[str, bool] | None:
    """What a run bears; None before its first turn, which will pin what the code knows then."""
    return read(SnapshotBody, run.snapshot).patches if run.snapshot else None
