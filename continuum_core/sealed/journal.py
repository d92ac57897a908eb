"""The journal behind payload codecs: every verb of the port, with the payloads in it sealed or opened."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast
from uuid import UUID

from msgspec import Raw
from msgspec.structs import replace

from continuum_core.envelope import StartBody, read
from continuum_core.errors import UnknownVersion
from continuum_core.hooks.sealing import Pipeline
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    Delivered,
    Finished,
    Inspection,
    Member,
    NewRun,
    Order,
    Ordered,
    Page,
    Query,
    Reservation,
    Reserved,
    Started,
    StartOutcome,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.crews import crewed
from continuum_core.journal.declared import sibling_of
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, Run
from continuum_core.journal.replies import Asked, Replied, replying
from continuum_core.journal.searching import Condition, Search, Searcher, searcher_of
from continuum_core.journal.transactions import Transaction, Within
from continuum_core.mapper import decode_step, start_digest
from continuum_core.sealed.rows import Opener, Places, Sealer
from continuum_core.unopened import Unopened

__all__ = ["sealed"]


def sealed(journal: Journal, pipeline: Pipeline) -> Journal:
    """The journal behind payload codecs; itself where there are none, or where it is behind some already.

    A worker hands its own journal to its client: sealed twice, it could be read by no other.
    """
    if not pipeline or isinstance(journal, _Sealed):
        return journal
    return cast(Journal, _Sealed(journal, pipeline))


class _Sealed:
    """Every verb as it is, but for the payloads in it."""

    def __init__(self, inner: Journal, pipeline: Pipeline) -> None:
        self._inner = inner
        self._pipeline = pipeline
        places = Places(inner.namespace)
        self._in = Sealer(pipeline, places)
        self._out = Opener(pipeline, places)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)  # what the inner handle has not, this one has not either
        mine: dict[str, Any] = {
            "within": self._within,
            "transaction": self._transaction,
            "searcher": self._searcher,
            "replies": self._replies,
            "members": self._members,
        }
        return mine.get(name, found)

    def _searcher(self) -> Searcher:
        return _SealedSearcher(self, searcher_of(self._inner))

    def sibling(self) -> Journal:
        return sealed(sibling_of(self._inner), self._pipeline)

    # --- writing ---

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        answers = await self._inner.start([self._in.new_run(new) for new in runs])
        return await self._started(runs, answers, self._inner)

    async def _started(
        self, runs: Sequence[NewRun], answers: Sequence[Started], inner: Journal | Within
    ) -> list[Started]:
        made: list[Started] = []
        for new, answer in zip(runs, answers, strict=True):
            if answer.outcome is StartOutcome.CONFLICT:
                made.append(await self._conflicting(new, answer, inner))
            else:
                made.append(replace(answer, committed=self._out.committed(new.turn, answer.committed)))
        return made

    async def _conflicting(self, new: NewRun, answer: Started, inner: Journal | Within) -> Started:
        """The digest of a start depends on the key that was in use; what it was made of does not.

        So after a key was changed, or codecs were taken into use, the inputs themselves are compared.
        """
        [row] = await inner.load([new.run_id])
        stored = None if row is None or row.machine != new.machine else await self._input(new.run_id)
        if row is None or stored is None or start_digest(new.machine, stored) != new.digest:
            return answer
        return Started(StartOutcome.EXISTS, answer.now, row.status)

    async def _input(self, run_id: UUID) -> bytes | None:
        """The input that a run was started with; None where it cannot be read."""
        found = await self.inspect(run_id)
        for delivery in () if found is None else found.deliveries:
            if delivery.kind is DeliveryKind.START:
                return _start_input(delivery.payload)
        after = 0
        while page := await self.history(run_id, after):
            for record in page:
                payload = _event_payload(record)
                if payload is not None:
                    return _start_input(payload)
            after = page[-1].version
        return None

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        return await self._inner.deliver([self._in.delivery(each) for each in deliveries])

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        answers = await self._inner.commit([self._in.commit(each) for each in commits])
        pairs = zip(commits, answers, strict=True)
        return [self._out.committed(commit, answer) or answer for commit, answer in pairs]

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        answers = await self._inner.finish([self._in.finish(each) for each in finishes])
        return [self._finished(*pair) for pair in zip(finishes, answers, strict=True)]

    def _finished(self, finish: TaskFinish, answer: Finished) -> Finished:
        if answer.committed is None:
            return answer
        return replace(answer, committed=self._out.committed(finish.turn, answer.committed))

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        return await self._inner.heartbeat([self._in.hold(each) for each in tasks], lease)

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        return await self._inner.control([self._in.order(each) for each in orders])

    # --- claiming ---

    async def claim_runs(self, *arguments: Any, **named: Any) -> Claims:
        claims = await self._inner.claim_runs(*arguments, **named)
        runs = [
            replace(
                claim,
                snapshot=await self._snapshot(claim.run_id, claim.version, claim.snapshot),
                deliveries=tuple([self._out.delivery(each) for each in claim.deliveries]),
            )
            for claim in claims.runs
        ]
        return replace(claims, runs=tuple(runs))

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        claims = await self._inner.claim_tasks(claim_id, wants, lease)
        return replace(claims, tasks=tuple([self._out.claim(each) for each in claims.tasks]))

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        answers = await self._inner.reserve(reservations)
        return [self._out.result(*pair) for pair in zip(reservations, answers, strict=True)]

    # --- reading ---

    async def _replies(self, asked: Sequence[Asked]) -> Sequence[Replied]:
        answers = await replying(self._inner).replies(asked)
        return [self._out.replied(*pair) for pair in zip(asked, answers, strict=True)]

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return [None if row is None else await self._run(row) for row in await self._inner.load(runs)]

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        return await self.opened_page(await self._inner.list(query, limit, cursor))

    async def opened_page(self, page: Page) -> Page:
        return replace(page, runs=tuple([await self._run(row) for row in page.runs]))

    async def inspect(self, run: UUID) -> Inspection | None:
        found = await self._inner.inspect(run)
        if found is None:
            return None
        return replace(
            found,
            run=await self._run(found.run),
            deliveries=tuple([self._out.delivery(each) for each in found.deliveries]),
            tasks=tuple([self._out.task(each) for each in found.tasks]),
            dead=tuple([self._out.letter(each) for each in found.dead]),
        )

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> Sequence[Record]:
        return [self._out.record(each) for each in await self._inner.history(run, after, limit)]

    async def _members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> Sequence[Member]:
        inner = crewed(self._inner)
        return [self._out.member(run, each) for each in await inner.members(run, token, after, limit)]

    async def _run(self, row: Run) -> Run:
        snapshot = await self._snapshot(row.run_id, row.version, row.snapshot)
        return replace(self._out.ends(row), snapshot=snapshot)

    async def _snapshot(self, run_id: UUID, version: int, data: bytes) -> bytes:
        """The run's snapshot; Unopened also for one that is not of its last step.

        Orders move a run's version and leave its snapshot: then the records since must be orders', and
        nothing else, or an older snapshot was put in the place of the newest.
        """
        if isinstance(data, Unopened):
            return data
        since = self._pipeline.version(data)
        if since is None and not data and self._pipeline.required:
            since = 0  # before its first step a run has no snapshot
        if since is None:
            return self._out.snapshot(run_id, version, data)
        opened = self._out.snapshot(run_id, since, data)
        if since == version or isinstance(opened, Unopened):
            return opened
        if since < version and await self._only_orders(run_id, since, version):
            return opened
        return Unopened(data, f"a stored snapshot is of version {since}, and the run is at {version}")

    async def _only_orders(self, run_id: UUID, since: int, until: int) -> bool:
        while since < until:
            page = await self._inner.history(run_id, since, min(until - since, 1_000))
            opened = [self._out.record(record) for record in page]
            told = [r for r in opened if r.kind is RecordKind.CONTROL and not isinstance(r.body, Unopened)]
            if not page or len(told) < len(page):
                return False
            since = page[-1].version
        return True

    # --- transactions ---

    async def _within(self, connection: object, patience: float, *, apart: bool = False) -> Within:
        inner: Any = self._inner
        return _SealedWithin(self, await inner.within(connection, patience, apart=apart))

    @contextlib.asynccontextmanager
    async def _transaction(self, kind: object) -> AsyncGenerator[Transaction, None]:
        inner: Any = self._inner
        async with inner.transaction(kind) as transaction:
            yield _SealedTransaction(self, transaction)

    async def start_in(self, within: Within, runs: Sequence[NewRun]) -> Sequence[Started]:
        answers = await within.start([self._in.new_run(new) for new in runs])
        return await self._started(runs, answers, within)

    async def load_in(self, within: Within, runs: Sequence[UUID]) -> Sequence[Run | None]:
        return [None if row is None else await self._run(row) for row in await within.load(runs)]

    async def deliver_in(self, within: Within, deliveries: Sequence[Delivery]) -> Sequence[Delivered]:
        return await within.deliver([self._in.delivery(each) for each in deliveries])

    async def finish_in(self, transaction: Transaction, ending: TaskFinish) -> Finished:
        return self._finished(ending, await transaction.finish(self._in.finish(ending)))


class _SealedSearcher:
    """What is searched is stored in clear; the rows that are found are opened."""

    def __init__(self, journal: _Sealed, inner: Searcher) -> None:
        self._journal = journal
        self._inner = inner

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        return await self._journal.opened_page(await self._inner.search(search, limit, cursor))

    async def count(self, where: Condition, most: int | None = None) -> int:
        return await self._inner.count(where, most)

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        return await self._inner.attributes(runs)


class _SealedWithin:
    def __init__(self, journal: _Sealed, inner: Within) -> None:
        self._journal = journal
        self._inner = inner

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        return list(await self._journal.start_in(self._inner, runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        return list(await self._journal.deliver_in(self._inner, deliveries))

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return list(await self._journal.load_in(self._inner, runs))


class _SealedTransaction:
    def __init__(self, journal: _Sealed, inner: Transaction) -> None:
        self._journal = journal
        self._inner = inner

    @property
    def connection(self) -> Any:
        return self._inner.connection

    async def finish(self, ending: TaskFinish) -> Finished:
        return await self._journal.finish_in(self._inner, ending)


def _start_input(payload: bytes) -> bytes | None:
    try:
        return bytes(read(StartBody, payload).input)
    except UnknownVersion:
        return None


def _event_payload(record: Record) -> bytes | None:
    """The payload of the start that a record tells of; None for other records."""
    if record.kind not in (RecordKind.STEP, RecordKind.GENERATION):
        return None
    try:
        event = decode_step(record).event
    except UnknownVersion:
        return None
    if event.kind != DeliveryKind.START or not isinstance(event.payload, Raw):
        return None
    return bytes(event.payload)
