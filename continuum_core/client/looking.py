"""Looking at runs, one or many, and pruning those that ended long ago."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from inspect import Parameter, signature
from typing import Any, TypeVar, overload

from continuum_core.arguments import NONE, Length, chosen, micros, moment, whole
from continuum_core.client.finding import Finding, Wanted
from continuum_core.client.handle import Ref
from continuum_core.definition.declare import Machine
from continuum_core.errors import RunNotBegun, UnknownMachine, UsageError
from continuum_core.journal.commit import Pruned, PrunePlan, Query
from continuum_core.journal.records import RunStatus
from continuum_core.mapper import decode_image
from continuum_core.view import RunView, Step, page_views, run_view, step_view

__all__ = ["Looking", "page_of"]

T = TypeVar("T")


class Looking(Finding):
    """The part of a client that reads."""

    async def view(self, run: Ref) -> RunView:
        """A run as it is now, with what it waits for. Raises RunNotFound."""
        self._check()
        run_id, entry = self._ref(run)
        found = await self._patience(lambda: self.journal.inspect(run_id))
        if found is None:
            raise self._missing(run_id)
        entry = self._registry.reader(found.run.fingerprint, entry)
        return run_view(found, entry, self._clock.estimate())

    @overload
    async def query(self, run: Ref, function: Callable[[Any], T]) -> T: ...
    @overload
    async def query(self, run: Ref, function: Callable[[Any, RunView], T]) -> T: ...
    async def query(self, run: Ref, function: Callable[..., Any]) -> Any:
        """What a function makes of a run's context as it is, without a turn: also of an ended or parked run.

        :param function: of the context; or of the context and the run's view (active states, open work). It
            is called here, with what one reading of the journal gave, and must change nothing.

        Raises RunNotFound, RunNotBegun, UnknownMachine where the machine's code is not here, PayloadLocked,
        and what the function raises.
        """
        self._check()
        run_id, known = self._ref(run)
        if _arity(function) == 1:
            row, view = await self._row(run_id), None
        else:
            found = await self._patience(lambda: self.journal.inspect(run_id))
            if found is None:
                raise self._missing(run_id)
            reader = self._registry.reader(found.run.fingerprint, known)
            row, view = found.run, run_view(found, reader, self._clock.estimate())
        entry = self._registry.reader(row.fingerprint, known)
        if entry is None:
            raise UnknownMachine(row.machine, sorted({one.chart.name for one in self._registry.entries()}))
        image = decode_image(entry, row.version, row.snapshot)
        if not image.context or image.snapshot.context is None:
            raise RunNotBegun(str(run_id))
        context = image.snapshot.context
        return function(context) if view is None else function(context, view)

    async def history(self, run: Ref, after: int = 0, limit: int = 1_000) -> list[Step]:
        """A run's records as values for people, oldest first. Raises RunNotFound."""
        self._check()
        after, limit = whole("after", after, 0), whole("limit", limit)
        run_id, _ = self._ref(run)
        records = await self._patience(lambda: self.journal.history(run_id, after, limit))
        if not records and after == 0:
            await self._row(run_id)
        return [step_view(record, self._registry) for record in records]

    async def list(
        self,
        *,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        status: RunStatus | str | None = None,
        parent: Ref | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunView], str | None]:
        """One page of runs, newest first, and the cursor of the next page (None: there is none).

        :param machine: only runs of this one: its class, or its name.
        :param status: only runs in it: a RunStatus, or its name, such as ``"running"``.
        :param parent: only the forks and children of this run.
        """
        self._check()
        query = Query(
            machine=None if machine is None else self._name(machine),
            status=None if status is None else chosen("status", status, RunStatus),
            parent=None if parent is None else self._ref(parent)[0],
            created_from=None if created_from is None else moment("created_from", created_from),
            created_to=None if created_to is None else moment("created_to", created_to),
        )
        whole("limit", limit)
        page = await self._paged(cursor, lambda: self.journal.list(query, limit, cursor))
        return page_views(page.runs, self._registry), page.cursor

    async def runs(
        self,
        query: Wanted = "",
        *,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        status: RunStatus | str | None = None,
    ) -> AsyncIterator[RunView]:
        """All runs, or those that a query finds, page by page: one that is there throughout is given once.

        :param query: as in `find`, and in its order; without one newest first.
        :param machine: only its runs, as in `list`; it goes with no query, which can say so itself.
        :param status: only runs in it; likewise.
        """
        cursor: str | None = None
        while True:
            page, cursor = await page_of(self, query, machine, status, cursor)
            for run in page:
                yield run
            if cursor is None:
                return

    async def prune(
        self,
        older_than: Length,
        *,
        limit: int = 1_000,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        dry_run: bool = False,
        generations: bool = False,
    ) -> Pruned:
        """Delete whole ended runs that have not changed for so long, at most `limit` of them.

        :param older_than: a `timedelta`, or seconds.
        :param machine: only runs of this one: its class, or its name.
        :param generations: also the records of past generations that were over for so long, of runs that have
            not ended: at most `limit` generations.
        """
        self._check()
        name = None if machine is None else self._name(machine)
        length, most = micros("older_than", older_than, least=NONE), whole("limit", limit)
        before = await self._patience(self.journal.now) - length
        return await self.journal.prune(PrunePlan(before, most, name, frozenset(), dry_run, generations))


async def page_of(
    client: Looking,
    query: Wanted,
    machine: type[Machine[Any, Any, Any]] | str | None,
    status: RunStatus | str | None,
    cursor: str | None,
) -> tuple[Sequence[RunView], str | None]:
    """One page of what `runs` gives."""
    if query == "":
        return await client.list(machine=machine, status=status, cursor=cursor)
    if machine is not None or status is not None:
        raise UsageError("runs: say machine and status in the query, or leave the query out")
    return await client.find(query, cursor=cursor)


def _arity(function: Callable[..., Any]) -> int:
    """Whether it is given the context alone, or the view as well."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return 1
    needed = [each for each in parameters if each.kind in positional and each.default is Parameter.empty]
    return 2 if len(needed) > 1 else 1
