"""What every call of a client needs: an open journal, patience with it, and which run is meant."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from continuum_core.arguments import Length, kept, seconds, suggestion
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.blobs import with_blobs
from continuum_core.client.handle import Handle, Ref, run_meant
from continuum_core.definition.declare import Machine
from continuum_core.errors import JournalUnavailable, RunNotFound, UsageError
from continuum_core.headers import with_headers
from continuum_core.hooks.facts import JournalFacts, Outgoing
from continuum_core.hooks.loading import installed
from continuum_core.hooks.plugins import Plugins
from continuum_core.hooks.sealing import pipeline_of
from continuum_core.host import Host
from continuum_core.journal.commit import Committed, Delivered, NewRun, NewTask, Started
from continuum_core.journal.connect import Target, connect
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Delivery, Run
from continuum_core.journal.transactions import Within, transactional
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane, Patience
from continuum_core.mapper import derive_run_id
from continuum_core.registry import Entry, Registry
from continuum_core.sealed import sealed
from continuum_core.starting import Definitions
from continuum_core.turn import Turn
from continuum_core.waiting import Waiting
from continuum_core.watch import batch_watch, gathered_headers, machine_facts, turn_watch

__all__ = ["Connected", "Here"]

A = TypeVar("A")

_NAMES = 10_000
"""Runs that were asked for by machine and key, and whose names a client remembers."""


class Here(Protocol):
    """A worker on the same handle: it may take over tasks that a first turn made.

    :ivar on_due: tells it that something may be due. The journal's hints tell of other handles' writes only.
    """

    on_due: Callable[[], None]

    def born(self, task: NewTask, claim_id: UUID) -> NewTask: ...

    def settled(self, turn: Turn, committed: Committed | None) -> None: ...


class Connected:
    """A client's life and means; `Client` says what can be asked for."""

    def __init__(
        self,
        journal: Target,
        machines: Iterable[type[Machine[Any, Any, Any]]] = (),
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        patience: Length = 10.0,
        poll: Length = 5.0,
        registry: Registry | None = None,
        host: Host | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        self.plugins = installed() if plugins is None else plugins
        stored = with_blobs(connect(journal, namespace, limits), limits)
        self._limits = Limits() if limits is None else limits
        self.journal = sealed(stored, pipeline_of(self.plugins))
        self.namespace = self.journal.namespace
        self._registry = registry if registry is not None else Registry(machines)
        self._registry.check_forgets(self.journal)
        self._seconds = seconds("patience", patience)
        self._poll = seconds("poll", poll, above=True)
        self._given_host = host
        self._names: OrderedDict[UUID, str] = OrderedDict()  # of runs that were asked for by machine and key
        self._floors: OrderedDict[UUID, int] = OrderedDict()
        self._open = False
        self._borrowed = False
        self._introduced: set[str] = set()  # fingerprints of the machines that plugins were told of
        self.here: Here | None = None
        self.apart = False  # its callers are on other threads than its loop
        self.watch: Callable[[], None] = lambda: None  # raises what broke the worker it belongs to

    async def open(self) -> Opened:
        """Open the journal. Raises IncompatibleJournal, JournalUnavailable."""
        opened = await self.journal.open()
        if self.plugins.journal_opened is not None:
            facts = JournalFacts(self.namespace, opened.backend, opened.durability, opened.schema)
            self.plugins.journal_opened(journal=facts)
        self._ready(self._given_host or AsyncioHost(), opened)
        return opened

    def borrow(self, host: Host, opened: Opened) -> None:
        """For a worker: use its journal, which it opened and will close."""
        self._borrowed = True
        self._introduced.update(entry.fingerprint for entry in self._registry.entries())  # it tells of them
        self._ready(host, opened)

    def _ready(self, host: Host, opened: Opened) -> None:
        self._host = host
        self._patience = Patience(host, self._seconds)
        self._definitions = Definitions(self.journal, self._registry, self._patience)
        self._clock = JournalClock(host)
        self._clock.observe(opened.now)
        self.waiting = Waiting(host, self.journal, self._poll)
        self._watch = turn_watch(self.plugins, self._registry, self.namespace, host.monotonic)
        self._telling = self._watch is not None or self.plugins.implement("run_started")
        self._starts: Lane[NewRun, Started] = Lane(
            host,
            self.journal.start,
            "starts",
            refresh=self._impatient,
            hasty=True,
            watch=batch_watch(self.plugins, self.namespace, "start"),
        )
        self._sends: Lane[Delivery, Delivered] = Lane(
            host, self.journal.deliver, "deliveries", refresh=self._impatient, hasty=True
        )
        self._starts.open()
        self._sends.open()
        self._open = True
        if self.plugins.machine_registered is not None:
            for entry in self._registry.entries():
                self._introduce(entry)

    def _met(self, machine: Any) -> Entry:
        """The machine of a class, which may be new here."""
        entry = self._registry.add(machine)
        if self.plugins.machine_registered is not None:
            self._introduce(entry)
        return entry

    def _name(self, machine: type[Machine[Any, Any, Any]] | str) -> str:
        """The name of a machine that was given as its class or by name. Raises UsageError."""
        return machine if isinstance(machine, str) else self._met(machine).chart.name

    def _introduce(self, entry: Entry) -> None:
        if entry.fingerprint not in self._introduced and self.plugins.machine_registered is not None:
            self._introduced.add(entry.fingerprint)
            self.plugins.machine_registered(machine=machine_facts(entry.chart))

    def _outgoing(self, delivery: Delivery, machine: str = "", event: str = "") -> Delivery:
        """The delivery, with the headers that plugins give it."""
        outgoing = Outgoing(self.namespace, delivery.run_id, delivery.kind, machine, event)
        headers = gathered_headers(self.plugins, self.plugins.outgoing_headers, outgoing=outgoing)
        return replace(delivery, payload=with_headers(delivery.payload, headers))

    async def close(self) -> None:
        """Give everything back; runs go on without it."""
        if not self._open:
            return
        self._open = False
        try:
            await self.waiting.close()
            await self._starts.close()
            await self._sends.close()
        finally:  # also of who is cancelled
            if not self._borrowed:
                await self.journal.close()

    def _unanswered(self) -> JournalUnavailable:
        why = f"no answer within {self._seconds:g} s" if self._open else "the client was closed meanwhile"
        return JournalUnavailable(why, ambiguous=True)

    async def settled(self, seconds: float | None = None) -> bool:
        """Wait until the journal answered all starts that are under way; False when that took longer."""
        return await self._starts.settled(seconds)

    def _impatient(self, member: Any, age: float, _unsure: bool) -> Any:
        return member if age < self._seconds else None

    def _check(self) -> None:
        if not self._open:
            raise UsageError("this client is not open; use `async with Client(...) as client:`")
        self._host.check()
        self.watch()

    async def _outwaited(self, verb: Callable[[], Awaitable[Sequence[A]]], busy: Callable[[A], bool]) -> A:
        """The answer once the transaction has ended that is about to do the same. Only its asker waits."""
        end = self._host.monotonic() + self._seconds
        backoff = Backoff(self._host, first=0.01, cap=0.1)
        while True:
            [answer] = await self._patience(verb)
            if not busy(answer):
                return answer
            if self._host.monotonic() >= end:
                raise JournalUnavailable(
                    f"another transaction, about to do the same, stayed open for {self._seconds:g} s; "
                    "look for one that its owner neither commits nor rolls back"
                )
            await self._host.sleep(backoff.delay())

    async def _within(self, connection: object) -> Within:
        journal = transactional(self.journal)
        if journal is None:
            raise UsageError(
                f"connection=: this journal ({type(self.journal).__name__}) cannot join a transaction of "
                "yours; use one on PostgreSQL, in the same database, or leave connection= out"
            )
        return await journal.within(connection, self._seconds, apart=self.apart)

    def _tell_here(self) -> None:
        if self.here is not None:
            self.here.on_due()

    def _key(self, key: str | None) -> str | None:
        """A key that was given for a new run. Raises UsageError for what is none, or cannot be kept."""
        return None if key is None else kept("key", key, "'o-1'")

    def _ref(self, run: Ref) -> tuple[UUID, Entry | None]:
        if isinstance(run, Handle):
            return run.id, run.entry
        meant = run_meant(run)
        return (meant if isinstance(meant, UUID) else self._keyed(*meant)), None

    def _keyed(self, machine: str, key: str) -> UUID:
        """The id of the run with this key. What it was asked for by is remembered, for errors."""
        try:
            run_id = derive_run_id(self.namespace, machine, key)
        except UnicodeEncodeError as error:
            raise UsageError(
                f"no run has the key {key!r}: it contains half of a surrogate pair, which is no character"
            ) from error
        self._names[run_id] = f"{machine}/{key}"
        self._names.move_to_end(run_id)
        while len(self._names) > _NAMES:
            self._names.popitem(last=False)
        return run_id

    def _missing(self, run_id: UUID) -> RunNotFound:
        """The error for a run that is not there, in the words by which it was asked for."""
        name = self._names.get(run_id)
        if name is None:
            return RunNotFound(str(run_id), self.namespace)
        machine = name.partition("/")[0]
        known = {entry.chart.name for entry in self._registry.entries()}
        hint = "" if machine in known else suggestion(machine, known)
        return RunNotFound(name, self.namespace, str(run_id), hint)

    async def _row(self, run_id: UUID, within: Within | None = None) -> Run:
        """The run's row, as the caller's transaction sees it where there is one."""
        if within is None:
            [row] = await self._patience(lambda: self.journal.load([run_id]))
        else:
            [row] = await within.load([run_id])
        if row is None:
            raise self._missing(run_id)
        return row

    def _held(self, run_id: UUID, entry: Entry | None) -> Handle[Any]:
        """A handle on a run, for who asked for it."""
        raise NotImplementedError
