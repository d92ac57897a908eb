"""What is stored of runs and their relatives, each row and record read once: for looking, never for work.

An archive is a view of the journal while somebody looks; it is thrown away afterwards, as runs go on.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Raw

from continuum_core.envelope import ForkBody, StepBody
from continuum_core.errors import RunNotFound
from continuum_core.journal.commit import Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeliveryKind, Record, RecordKind, Run
from continuum_core.lane import Patience
from continuum_core.mapper import decode_fork, decode_step

__all__ = ["Archive"]


class Archive:
    """Rows, records and children of runs."""

    def __init__(self, journal: Journal, patience: Patience) -> None:
        self._journal = journal
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

    async def row(self, run_id: UUID) -> Run:
        """A run's row. Raises RunNotFound."""
        row = await self.find(run_id)
        if row is None:
            raise RunNotFound(str(run_id))
        return row

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
        found = await self._patience(lambda: self._journal.inspect(run_id))
        waiting = () if found is None else found.deliveries
        return next((decode_fork(d.payload) for d in waiting if d.kind is DeliveryKind.FORK), None)

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
