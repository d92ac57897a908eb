"""Looking back: a run as it was, who set what, what caused it; and going on from there as another run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from continuum_core.archive import Archive
from continuum_core.arguments import moment, whole
from continuum_core.blame import Change, blame
from continuum_core.causes import Link, causes, consequences
from continuum_core.client.handle import Handle, Ref
from continuum_core.client.ordering import Ordering
from continuum_core.client.starting import Starting
from continuum_core.clock import to_datetime
from continuum_core.definition.declare import Machine
from continuum_core.errors import AlreadyStarted, RunOver, UsageError
from continuum_core.forking import Edit, check_point, new_fork
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import StartOutcome
from continuum_core.journal.records import Definition, Record, Run
from continuum_core.journal.searching import searcher_of
from continuum_core.lineage import MOST, Lineage, lineage
from continuum_core.members import CrewView, Parent, crews, parent_of
from continuum_core.past import Moment, Past, Reader, moment_of, no_record, read_past
from continuum_core.query import declared
from continuum_core.registry import Entry

__all__ = ["Travelling"]


def _reached(point: Any) -> Any:
    """What is read for a version: none is below 0, and what is no version stays what it is."""
    return max(point, 0) if isinstance(point, int) else point


class Travelling(Starting, Ordering):
    """The part of a client that looks back at runs, and starts others from their past."""

    async def at(self, run: Ref, point: int | datetime) -> Moment:
        """A run as it was: its states, its context, and what it had open.

        :param point: the version of a record, and it is the run after that; or a time, and it is the run
            after the last record that is not later. Before the first it has version 0 and no context.

        Raises RunNotFound; UsageError for a version that the run has not reached, and where what it was then
        is not stored.
        """
        self._check()
        run_id, entry = self._ref(run)
        row, there = await self._row(run_id), True
        if isinstance(point, datetime):
            at = moment("point", point)
            past = await read_past(run_id, self._reader(run_id), at=at)
            there = at >= row.created
        else:
            past = await read_past(run_id, self._reader(run_id), version=whole("point", _reached(point), 0))
            if past.version != point:
                raise no_record(run_id, point, row.version, await self._archive().records(run_id))
        if past.version == 0 and there:
            await self._check_kept(row)
        return moment_of(past, self._registry.reader(past.fingerprint, entry))

    async def fork(
        self,
        run: Ref,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
    ) -> Handle[Any]:
        """Start another run that goes on from a run's past. That run itself is not touched.

        What had happened up to there stays happened. What was open is asked for anew, once the fork begins: a
        timer with the time it had left, an activity from its first attempt, deferred events in their order.

        :param version: the record after which the fork branches off.
        :param ctx: from the context there to the one that the fork begins with; typed where the machine's
            code is here, else JSON values.
        :param key: makes the fork idempotent, as that of `start` does.
        :param machine: newer code to go on with: the class, or the machine's name for the newest that is
            known. The definition that wrote the record, unless given.

        Raises AlreadyStarted where the key was used for something else, UsageError for a point that nothing
        can go on from and for code that cannot, PayloadRefused for a context that does not fit, RunNotFound,
        UnknownMachine, JournalUnavailable.
        """
        self._check()
        key = self._key(key)
        run_id, _ = self._ref(run)
        row = await self._row(run_id)
        past = await read_past(run_id, self._reader(run_id), version=max(version, 0))
        if past.version < version <= row.version:
            raise no_record(run_id, version, row.version, await self._archive().records(run_id))
        check_point(row, past, version)
        entry, definition = await self._successor(row, past, machine)
        new = new_fork(self.namespace, row, past, definition, entry, ctx, key, self._host.new_id)
        new = replace(new, attributes=await self._inherited(run_id, definition))
        started = await self._started(entry, new)
        self._clock.observe(started.now)
        if started.outcome is StartOutcome.CONFLICT:
            raise AlreadyStarted(new.machine, key or "", str(new.run_id))
        return self._held(new.run_id, entry)

    async def _inherited(self, run_id: UUID, definition: Definition) -> tuple[Attribute, ...]:
        """What clients have set on a run, as far as the definition lets them; it computes the rest itself."""
        settable = {name for name, (_, computed) in declared(definition).items() if not computed}
        if not settable:
            return ()
        [found] = await self._patience(lambda: searcher_of(self.journal).attributes([run_id]))
        return tuple(each for each in found if each.name in settable)

    async def reset(
        self,
        run: Ref,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        why: str = "",
        who: str = "",
    ) -> Handle[Any]:
        """Fork a run and terminate it: it goes on from its own past as another run.

        The fork is there before the run ends. Between the two this call may be lost: with a `key` a second
        one finds the fork and ends the run. A run that has ended already is forked only. See `fork`.
        """
        forked = await self.fork(run, version, ctx=ctx, key=key, machine=machine)
        reason = f"reset to record {version}: it goes on as run {forked.id}"
        # What follows from the past of a run that is over goes on all the same.
        with contextlib.suppress(RunOver):
            await self.terminate(run, f"{why}; {reason}" if why else reason, who=who)
        return forked

    async def blame(self, run: Ref, field: str) -> Sequence[Change]:
        """Which records set a field of a run's context, newest first, through the runs it was forked from.

        :param field: a dotted path, such as ``order.lines.0.total``; "" for the whole context.

        Raises RunNotFound; UsageError where the context never had it.
        """
        return await blame(self._archive(), self._ref(run)[0], field)

    async def why(self, run: Ref, version: int | None = None) -> Sequence[Link]:
        """The way from a record back to its root cause, across runs: the record itself first.

        :param version: the record; the run's last one unless given.

        Raises RunNotFound; UsageError where the run has no such record.
        """
        return await causes(self._archive(), self._ref(run)[0], version)

    async def followed(
        self, run: Ref, version: int | None = None, *, limit: int = 1_000
    ) -> tuple[Sequence[Link], bool]:
        """All that followed from a record, across runs, and whether there is more than `limit`. See `why`."""
        return await consequences(self._archive(), self._ref(run)[0], version, limit=limit)

    async def lineage(self, run: Ref, *, most: int = MOST) -> Lineage:
        """All runs that hang together with this one, from the root down. Raises RunNotFound.

        :param most: child runs of one machine that one run has started are summed up where there are more.
        """
        return await lineage(self._archive(), self._ref(run)[0], most)

    async def crews(self, run: Ref, *, most: int = 10) -> Sequence[CrewView]:
        """The child runs that a run waits for, and its members: who is under way, and what came of others.

        :param most: of so many members that ended the results are told.

        Raises RunNotFound.
        """
        return await crews(self._archive(), self._ref(run)[0], most)

    async def parent(self, run: Ref) -> Parent | None:
        """The run that this one is a child or a fork of; None where there is none. Raises RunNotFound."""
        return await parent_of(self._archive(), self._ref(run)[0])

    def _archive(self) -> Archive:
        self._check()
        return Archive(self.journal, self._patience, self._missing)

    def _reader(self, run_id: UUID) -> Reader:
        return lambda after: self._patience(lambda: self.journal.history(run_id, after))

    async def _check_kept(self, row: Run) -> None:
        """Raises UsageError where what a run was at its very beginning is not stored, or not any more."""
        first = await self._first(row.run_id)
        if not first and row.version > 0:
            raise UsageError(
                f"of run {row.run_id} no record is stored: what it was before now was pruned, or never kept"
            )
        if first and first[0].version > 1:
            begins = f"record {first[0].version}, of {to_datetime(first[0].at)}"
            raise UsageError(
                f"of run {row.run_id} nothing so early is stored: what is begins with {begins}; what was "
                "before was pruned, or never kept"
            )

    async def _first(self, run_id: UUID) -> list[Record]:
        """The first record of a run that is stored."""
        return await self._patience(lambda: self.journal.history(run_id, 0, 1))

    async def _successor(
        self, row: Run, past: Past, machine: type[Machine[Any, Any, Any]] | str | None
    ) -> tuple[Entry | None, Definition]:
        """The code, where it is here, and the definition that a fork goes on with."""
        if machine is None:
            entry = self._registry.reader(past.fingerprint)
            if entry is None:
                return None, await self._definitions.of_run(past.fingerprint, row.machine)
        else:
            name = machine if isinstance(machine, str) else self._met(machine).chart.name
            if name != row.machine:
                raise UsageError(f"run {row.run_id} is one of machine {row.machine!r}, not of {name!r}")
            entry = self._registry.look(name) if isinstance(machine, str) else self._met(machine)
            if entry is None:
                return None, await self._definitions.named(name)
        return entry, await self._definitions.of_entry(entry)
