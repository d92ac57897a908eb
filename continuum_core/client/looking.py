"""Looking at runs, one or many, and pruning those that ended long ago."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from continuum_core.client.finding import Finding, Question
from continuum_core.client.handle import Ref
from continuum_core.clock import from_datetime, span
from continuum_core.errors import RunNotFound, UsageError
from continuum_core.journal.commit import Pruned, PrunePlan, Query
from continuum_core.journal.records import RunStatus
from continuum_core.view import RunView, Step, page_views, run_view, step_view

__all__ = ["Looking"]


class Looking(Finding):
    """The part of a client that reads."""

    async def view(self, run: Ref) -> RunView:
        """A run as it is now, with what it waits for. Raises RunNotFound."""
        self._check()
        run_id, entry = self._ref(run)
        found = await self._patience(lambda: self.journal.inspect(run_id))
        if found is None:
            raise RunNotFound(str(run_id))
        return run_view(found, self._registry.reader(found.run.fingerprint, entry))

    async def history(self, run: Ref, after: int = 0, limit: int = 1_000) -> list[Step]:
        """A run's records as values for people, oldest first. Raises RunNotFound."""
        self._check()
        run_id, _ = self._ref(run)
        records = await self._patience(lambda: self.journal.history(run_id, after, limit))
        if not records and after == 0:
            await self._row(run_id)
        return [step_view(record, self._registry) for record in records]

    async def list(
        self,
        *,
        machine: str | None = None,
        status: RunStatus | None = None,
        parent: Ref | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunView], str | None]:
        """One page of runs, newest first, and the cursor of the next page (None: there is none).

        :param parent: only the forks and children of this run.
        """
        self._check()
        query = Query(
            machine=machine,
            status=status,
            parent=None if parent is None else self._ref(parent)[0],
            created_from=None if created_from is None else from_datetime(created_from),
            created_to=None if created_to is None else from_datetime(created_to),
        )
        page = await self._patience(lambda: self.journal.list(query, limit, cursor))
        return page_views(page.runs, self._registry), page.cursor

    async def runs(
        self, query: Question = "", *, machine: str | None = None, status: RunStatus | None = None
    ) -> AsyncIterator[RunView]:
        """All runs, or those that a query finds, page by page: one that is there throughout is given once.

        :param query: as in `find`, and in its order; without one newest first.
        :param machine, status: only these; they go with no query, which can say so itself.
        """
        if query != "":
            if machine is not None or status is not None:
                raise UsageError("runs: say machine and status in the query, or leave the query out")
            async for found in self._pages(query):
                for view in page_views(found, self._registry):
                    yield view
            return
        cursor: str | None = None
        while True:
            page, cursor = await self.list(machine=machine, status=status, cursor=cursor)
            for run in page:
                yield run
            if cursor is None:
                return

    async def prune(
        self,
        older_than: timedelta,
        *,
        limit: int = 1_000,
        machine: str | None = None,
        dry_run: bool = False,
        generations: bool = False,
    ) -> Pruned:
        """Delete whole ended runs that have not changed for so long, at most `limit` of them.

        :param generations: also the records of past generations that were over for so long, of runs that have
            not ended: at most `limit` generations.
        """
        self._check()
        before = await self._patience(self.journal.now) - span(older_than)
        return await self.journal.prune(PrunePlan(before, limit, machine, frozenset(), dry_run, generations))
