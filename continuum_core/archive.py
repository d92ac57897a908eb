"""What is stored of runs and their relatives, each row and record read once: for looking, never for work.

An archive is a view of the journal while somebody looks; it is thrown away afterwards, as runs go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from msgspec import Raw

from continuum_core.envelope import ForkBody, StepBody
from continuum_core.errors import RunNotFound
from continuum_core.journal.commit import Inspection, Member, Query
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeliveryKind, Record, RecordKind, Run
from continuum_core.lane import Patience
from continuum_core.mapper import decode_fork, decode_step
from continuum_core.unopened import locked

__all__ = ["Archive"]


class Archive:
    """Rows, records and children of runs.

    :param missing: makes the error for a run that is not there.

    """

    def __init__(
        self,
        journal: Journal,
        patience: Patience,
        missing: Callable[[UUID], RunNotFound] = lambda run_id: RunNotFound(str(run_id)),
    ) -> None:
        self._journal = journal
        self._missing = missing
        self._patience = patience
        self._rows: dict[UUID, Run | None] = {}
        self._records: dict[UUID, list[Record]] = {}
        self._children: dict[UUID, list[Run]] = {}

    @property
    def namespace(self) -> str:
        return self._journal.namespace

    async def find(self, run_id: UUID) -> Run | None:
        """A run's row; None where there is none, or none any more."""
        if run_id not in self._rows:
            [self._rows[run_id]] = await self._patience(lambda: self._journal.load([run_id]))
        return self._rows[run_id]

    async def load(self, runs: Sequence[UUID]) -> None:
        """Read the rows of many runs at once, for `find` to give."""
        new = [run_id for run_id in runs if run_id not in self._rows]
        if new:
            self._rows.update(zip(new, await self._patience(lambda: self._journal.load(new)), strict=True))

    async def row(self, run_id: UUID) -> Run:
        """A run's row. Raises RunNotFound."""
        row = await self.find(run_id)
        if row is None:
            raise self._missing(run_id)
        return row

    @staticmethod
    def name(run_id: UUID, row: Run | None) -> str:
        """What a run is called: ``machine/key``, or machine and id, or the id where its row is gone."""
        if row is None:
            return str(run_id)
        return f"{row.machine} {run_id}" if row.key is None else f"{row.machine}/{row.key}"

    @staticmethod
    def states(row: Run) -> tuple[str, ...]:
        """The active states of a run, without its machine's code; none where they cannot be read."""
        if not row.snapshot or locked(row.snapshot) is not None:
            return ()
        return tuple(msgspec.json.decode(row.snapshot).get("states", ()))

    async def records(self, run_id: UUID) -> list[Record]:
        """All records of a run, oldest first; none where there is no such run."""
        if run_id not in self._records:
            found: list[Record] = []
            while page := await self.page(run_id, found[-1].version if found else 0):
                found.extend(page)
            self._records[run_id] = found
        return self._records[run_id]

    async def forked(self, run_id: UUID) -> ForkBody | None:
        """What a fork took over, also one that no worker has begun yet; None for a run that is no fork."""
        for record in await self.records(run_id):
            if record.kind is RecordKind.FORK:
                return _body(decode_step(record))
            if record.kind is not RecordKind.CONTROL:
                return None
        found = await self.inspect(run_id)
        waiting = () if found is None else found.deliveries
        return next((decode_fork(d.payload) for d in waiting if d.kind is DeliveryKind.FORK), None)

    async def inspect(self, run_id: UUID) -> Inspection | None:
        """A run with all that it has open; None where there is none."""
        return await self._patience(lambda: self._journal.inspect(run_id))

    async def members(self, run_id: UUID, token: int, most: int) -> list[Member]:
        """What came of members of a crew, in their order, at most so many."""
        found: list[Member] = []
        keeper = crewed(self._journal)
        while len(found) < most:
            after = found[-1].number if found else -1
            page = await self._patience(lambda: keeper.members(run_id, token, after))  # noqa: B023 - awaited here
            if not page:
                break
            found += page
        return found[:most]

    async def page(self, run_id: UUID, after: int) -> list[Record]:
        """Records with versions above `after`; none when there are no more."""
        return await self._patience(lambda: self._journal.history(run_id, after))

    async def children(self, run_id: UUID) -> list[Run]:
        """The runs whose parent it is, forks included, oldest first."""
        if run_id not in self._children:
            found: list[Run] = []
            cursor: str | None = None
            while True:
                at = cursor
                query = Query(parent=run_id)
                page = await self._patience(lambda: self._journal.list(query, 1_000, at))  # noqa: B023 - awaited here
                found.extend(page.runs)
                cursor = page.cursor
                if cursor is None:
                    break
            self._children[run_id] = found[::-1]
        return self._children[run_id]


def _body(body: StepBody) -> ForkBody | None:
    return decode_fork(bytes(body.event.payload)) if isinstance(body.event.payload, Raw) else None
