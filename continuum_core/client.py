"""Start runs, send them events, wait for results, look at them, order them about.

A client speaks to the journal and to nothing else; it needs no worker to be alive. One that knows a
machine's class takes the first turn of a run itself, in the transaction that starts it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, overload
from uuid import UUID

import msgspec
from msgspec.structs import replace

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.clock import from_datetime, span
from continuum_core.codec import codec_for
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import event_name, is_event
from continuum_core.ending import result_of
from continuum_core.errors import (
    AlreadyStarted,
    JournalUnavailable,
    PayloadRefused,
    ResultTimeout,
    RunNotFound,
    RunOver,
    TooManyPending,
    UnexpectedEvent,
    UsageError,
)
from continuum_core.host import Host
from continuum_core.journal.commit import (
    Committed,
    Delivered,
    DeliverOutcome,
    NewRun,
    NewTask,
    Order,
    OrderKind,
    OrderOutcome,
    Pruned,
    PrunePlan,
    Query,
    Started,
    StartOutcome,
)
from continuum_core.journal.connect import Target, connect
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, DeliveryKind, Run, RunStatus
from continuum_core.journal.transactions import Within, transactional
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane, Patience
from continuum_core.mapper import (
    derive_run_id,
    encode_cancel,
    encode_control,
    encode_signal,
    encode_signal_raw,
    encode_termination,
    signal_delivery,
)
from continuum_core.registry import Entry, Registry
from continuum_core.shape import check_event, parse_json
from continuum_core.starting import Definitions, first_turn, new_run
from continuum_core.turn import Turn
from continuum_core.view import RunView, Step, page_views, run_view, step_view
from continuum_core.waiting import Waiting

__all__ = ["Client", "Handle", "Here"]

A = TypeVar("A")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

_FLOORS = 10_000
"""How many runs' last delivery times a client remembers, to keep its sends in order."""


class Here(Protocol):
    """A worker on the same handle: it may take over tasks that a first turn made.

    :ivar on_due: tells it that something may be due. The journal's hints tell of other handles' writes only.
    """

    on_due: Callable[[], None]

    def born(self, task: NewTask) -> NewTask: ...

    def settled(self, turn: Turn, committed: Committed | None) -> None: ...


class Handle(Generic[O]):
    """One run, as its starter or anyone else who knows its id holds it."""

    __slots__ = ("_client", "entry", "id")

    def __init__(self, client: Client, run_id: UUID, entry: Entry | None = None) -> None:
        self.id = run_id
        self._client = client
        self.entry = entry

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    async def send(
        self,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: timedelta | None = None,
        connection: object | None = None,
    ) -> None:
        """Send the run an event; see `Client.send`."""
        await self._client.send(self, event, data, dedupe=dedupe, delay=delay, connection=connection)

    async def result(self, timeout: float | None = None) -> O:
        """Wait for the result; see `Client.result`."""
        result: O = await self._client.result(self, timeout)
        return result

    async def view(self) -> RunView:
        """The run as it is now. Raises RunNotFound."""
        return await self._client.view(self)

    async def history(self, after: int = 0, limit: int = 1_000) -> list[Step]:
        """What happened, oldest first."""
        return await self._client.history(self, after, limit)

    async def cancel(self, reason: str = "", *, who: str = "") -> None:
        """Ask the run to stop; acknowledged, it is not lost. Raises RunOver, RunNotFound."""
        await self._client.cancel(self, reason, who=who)


Ref = Handle[Any] | UUID | str


class Client:
    """A connection to a journal, for one namespace and one event loop.

    :param journal: a URL such as ``sqlite:///orders.db``, an unopened journal, or an engine or pool that a
        backend takes (see `journal.connect.connect`).
    :param machines: machine classes known from the start; others are met when they are first used.
    :param patience: seconds that a call waits for a journal that is away before it raises
        JournalUnavailable.
    :param poll: seconds after which awaited runs are read though nothing hints at a change.
    """

    def __init__(
        self,
        journal: Target,
        machines: Iterable[type[Machine[Any, Any, Any]]] = (),
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        patience: float = 10.0,
        poll: float = 5.0,
        registry: Registry | None = None,
        host: Host | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self.journal = connect(journal, namespace, self._limits)
        self.namespace = self.journal.namespace
        self._registry = registry if registry is not None else Registry(machines)
        self._seconds = patience
        self._poll = poll
        self._given_host = host
        self._floors: OrderedDict[UUID, int] = OrderedDict()
        self._open = False
        self._borrowed = False
        self.here: Here | None = None
        self.apart = False  # its callers are on other threads than its loop
        self.watch: Callable[[], None] = lambda: None  # raises what broke the worker it belongs to

    # --- life ---

    async def __aenter__(self) -> Client:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> Opened:
        """Open the journal. Raises IncompatibleJournal, JournalUnavailable."""
        opened = await self.journal.open()
        self._ready(self._given_host or AsyncioHost(), opened)
        return opened

    def borrow(self, host: Host, opened: Opened) -> None:
        """For a worker: use its journal, which it opened and will close."""
        self._borrowed = True
        self._ready(host, opened)

    def _ready(self, host: Host, opened: Opened) -> None:
        self._host = host
        self._patience = Patience(host, self._seconds)
        self._definitions = Definitions(self.journal, self._registry, self._patience)
        self._clock = JournalClock(host)
        self._clock.observe(opened.now)
        self.waiting = Waiting(host, self.journal, self._poll)
        self._starts: Lane[NewRun, Started] = Lane(
            host, self.journal.start, "starts", refresh=self._impatient
        )
        self._sends: Lane[Delivery, Delivered] = Lane(
            host, self.journal.deliver, "deliveries", refresh=self._impatient
        )
        self._starts.open()
        self._sends.open()
        self._open = True

    async def close(self) -> None:
        """Give everything back; runs go on without it."""
        if not self._open:
            return
        self._open = False
        await self.waiting.close()
        await self._starts.close()
        await self._sends.close()
        if not self._borrowed:
            await self.journal.close()

    def _unanswered(self) -> JournalUnavailable:
        why = f"no answer within {self._seconds:g} s" if self._open else "the client was closed meanwhile"
        return JournalUnavailable(why, ambiguous=True)

    async def settled(self, seconds: float) -> bool:
        """Wait until the journal answered all starts that are under way; False when that took longer."""
        return await self._starts.settled(seconds)

    def _impatient(self, member: Any, age: float) -> Any:
        return member if age < self._seconds else None

    def _check(self) -> None:
        if not self._open:
            raise UsageError("this client is not open; use `async with Client(...) as client:`")
        self._host.check()
        self.watch()

    # --- start ---

    @overload
    async def start(
        self,
        machine: type[Machine[Any, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        connection: object | None = None,
    ) -> Handle[O]: ...
    @overload
    async def start(
        self, machine: str, input: Any, /, *, key: str | None = None, connection: object | None = None
    ) -> Handle[Any]: ...
    async def start(
        self, machine: Any, input: Any, /, *, key: str | None = None, connection: object | None = None
    ) -> Handle[Any]:
        """Start a run, or find the one that was started with the same key and input.

        :param machine: the class; or a name, and then the input is JSON values.
        :param key: makes the start idempotent in its namespace.
        :param connection: a database connection or session of yours, to the journal's own database: the run
            is there if its transaction is committed, and never was if it is rolled back.

        Raises AlreadyStarted where the key was used with another input, PayloadRefused where the input
        does not fit, UnknownMachine for a name that no stored definition has, UsageError for a connection
        that cannot be joined, JournalUnavailable.
        """
        self._check()
        entry = self._registry.add(machine) if not isinstance(machine, str) else self._registry.look(machine)
        if entry is None:
            definition = await self._definitions.named(machine)
        else:
            definition = await self._definitions.of_entry(entry)
            if isinstance(machine, str):
                input = parse_json(entry.input, input)
        new = new_run(self.namespace, definition, entry, input, key, self._host.new_id)
        if connection is None:
            started = await self._started(entry, new)
        else:
            [started] = await (await self._within(connection)).start([self._unborn(entry, new)])
        self._clock.observe(started.now)
        if started.outcome is StartOutcome.CONFLICT:
            raise AlreadyStarted(new.machine, key or "", str(new.run_id))
        return Handle(self, new.run_id, entry)

    async def _started(self, entry: Entry | None, new: NewRun) -> Started:
        turn = None if entry is None else self._first_turn(entry, new)
        if turn is not None:
            new = replace(new, turn=turn.commit)
        here = self.here  # as it was when it took over tasks: a drain may begin while the journal answers

        def settled(answer: Started | None) -> None:
            # Told even when the caller is cancelled here: the tasks in the turn are this worker's by then.
            if turn is not None and here is not None:
                here.settled(turn, None if answer is None else answer.committed)

        started = await self._starts.ask(new, settled)
        if started is not None and started.outcome is StartOutcome.BUSY:
            # The tasks that were born in this worker's hands were given back above.
            again = self._unborn(entry, replace(new, turn=None))
            started = await self._outwaited(
                lambda: self.journal.start([again]), lambda answer: answer.outcome is StartOutcome.BUSY
            )
            turn = None
        if turn is None:
            self._tell_here()
        if started is None:
            raise self._unanswered()
        return started

    def _unborn(self, entry: Entry | None, new: NewRun) -> NewRun:
        """The run with a first turn of which no task is anybody's: whoever sees it first takes it."""
        if entry is None:
            return new
        turn = first_turn(self.namespace, entry, new, self._clock.estimate(), self._host.new_id, None)
        return new if turn is None else replace(new, turn=turn.commit)

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

    def _first_turn(self, entry: Entry, new: NewRun) -> Turn | None:
        born = None if self.here is None else self.here.born
        return first_turn(self.namespace, entry, new, self._clock.estimate(), self._host.new_id, born)

    # --- find ---

    def handle(self, run: Ref) -> Handle[Any]:
        """A handle on a run by its id. Nothing is read."""
        return run if isinstance(run, Handle) else Handle(self, _run_id(run))

    @overload
    def get(self, machine: type[Machine[Any, Any, O]], key: str) -> Handle[O]: ...
    @overload
    def get(self, machine: str, key: str) -> Handle[Any]: ...
    def get(self, machine: Any, key: str) -> Handle[Any]:
        """A handle on the run that is, or will be, started with this key. Nothing is read."""
        if isinstance(machine, str):
            return Handle(self, derive_run_id(self.namespace, machine, key))
        entry = self._registry.add(machine)
        return Handle(self, derive_run_id(self.namespace, entry.chart.name, key), entry)

    # --- send ---

    async def send(
        self,
        run: Ref,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: timedelta | None = None,
        connection: object | None = None,
    ) -> None:
        """Send a run an event. Events that this client sends to one run arrive in order.

        :param event: an instance of an event class; or an event's name, and then `data` is JSON values.
        :param dedupe: an id under which the run takes the event once, however often it is sent.
        :param delay: deliver it so much later.
        :param connection: as in `start`: the event is sent if the connection's transaction is committed. It
            arrives when it is; events sent meanwhile without that connection may overtake it.

        Raises UnexpectedEvent where the machine's definition never mentions the event, RunNotFound,
        RunOver, TooManyPending, PayloadRefused, JournalUnavailable; UsageError for a connection that cannot
        be joined.
        """
        self._check()
        run_id, entry = self._ref(run)
        within = None if connection is None else await self._within(connection)
        payload = await self._event_payload(run_id, entry, event, data, within)
        id_ = self._host.new_id()
        delivery = signal_delivery(
            id_,
            run_id,
            payload,
            dedupe=dedupe or str(id_),
            due=None if delay is None else self._clock.estimate() + span(delay),
            floor=self._floors.get(run_id, 0),
        )
        if within is None:
            answer = await self._delivered(delivery)
        else:
            [answer] = await within.deliver([delivery])
        if delay is None and answer.outcome is DeliverOutcome.ACCEPTED:
            self._floors[run_id] = answer.due
            self._floors.move_to_end(run_id)
            while len(self._floors) > _FLOORS:
                self._floors.popitem(last=False)
        self._refused(run_id, answer.outcome)

    async def _delivered(self, delivery: Delivery) -> Delivered:
        answer = await self._sends.ask(delivery)
        if answer is not None and answer.outcome is DeliverOutcome.BUSY:
            answer = await self._outwaited(
                lambda: self.journal.deliver([delivery]),
                lambda answer: answer.outcome is DeliverOutcome.BUSY,
            )
        self._tell_here()
        if answer is None:
            raise self._unanswered()
        return answer

    def _refused(self, run_id: UUID, outcome: DeliverOutcome) -> None:
        if outcome is DeliverOutcome.UNKNOWN_RUN:
            raise RunNotFound(str(run_id))
        if outcome is DeliverOutcome.RUN_OVER:
            raise RunOver(str(run_id))
        if outcome is DeliverOutcome.FULL:
            raise TooManyPending(str(run_id), self._limits.pending)

    async def _event_payload(
        self, run_id: UUID, entry: Entry | None, event: Any, data: Any, within: Within | None
    ) -> bytes:
        if isinstance(event, type) and is_event(event):
            raise UsageError(f"send an instance: {event.__name__}(...), not the class")
        if entry is None:
            row = await self._row(run_id, within)
            entry = self._registry.find(row.fingerprint)
            if entry is None:
                definition = await self._definitions.of_run(row.fingerprint, row.machine)
                return _untyped_event(definition, event, data)
        if not isinstance(event, str):
            if data is not None:
                raise UsageError("data= goes with an event's name; an event instance carries its own")
            return encode_signal(entry, event)
        codec = entry.events.get(event)
        if codec is None:
            raise UnexpectedEvent(entry.chart.name, event, sorted(entry.events))
        return encode_signal_raw(event, codec.encode(parse_json(codec, {} if data is None else data)))

    # --- wait ---

    async def result(self, run: Ref, timeout: float | None = None) -> Any:
        """Wait for a run to end and return its result.

        :param timeout: seconds; None waits for ever.

        Raises RunFailed with the typed verdict, RunCancelled, RunTerminated, ResultTimeout, RunNotFound.
        """
        self._check()
        run_id, entry = self._ref(run)
        end = await self.waiting.end(run_id, timeout)
        self.watch()
        if end is None and not self._open:
            raise UsageError("this client was closed while it waited; the run goes on")
        if end is None:
            raise ResultTimeout(str(run_id), timeout or 0.0)
        if end.outcome is None:
            raise RunNotFound(str(run_id))
        if entry is None:
            entry = self._registry.find((await self._row(run_id)).fingerprint)
        return result_of(str(run_id), end.outcome, entry)

    # --- orders ---

    async def cancel(self, run: Ref, reason: str = "", *, who: str = "") -> None:
        """Ask a run to stop. Acknowledged, it is not lost; it overtakes all events that wait."""
        run_id, _ = self._ref(run)
        delivery = Delivery(self._host.new_id(), run_id, DeliveryKind.CANCEL, encode_cancel(reason))
        await self._order(run, OrderKind.CANCEL, who, reason, delivery=delivery)

    async def suspend(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a run rest: it takes no turn until resumed. Activities that run go on.

        False where it rested already, or is parked. Raises RunOver, RunNotFound.
        """
        return await self._order(run, OrderKind.SUSPEND, who, why)

    async def resume(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a suspended run go on. False where it was not suspended. Raises RunOver, RunNotFound."""
        return await self._order(run, OrderKind.RESUME, who, why)

    async def terminate(self, run: Ref, why: str = "", *, who: str = "") -> None:
        """End a run at once, whoever holds it: no exit reducers, no clean-up."""
        await self._order(run, OrderKind.TERMINATE, who, why, outcome=encode_termination(why))

    async def unpark(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a parked run try again, after what parked it was mended. False where it was not parked.

        Raises RunOver, RunNotFound.
        """
        return await self._order(run, OrderKind.UNPARK, who, why)

    async def _order(
        self,
        run: Ref,
        kind: OrderKind,
        who: str,
        why: str,
        *,
        outcome: bytes | None = None,
        delivery: Delivery | None = None,
    ) -> bool:
        self._check()
        run_id, _ = self._ref(run)
        order = Order(
            id=self._host.new_id(),
            run_id=run_id,
            kind=kind,
            body=encode_control(kind.name.lower(), who, why),
            cause=why,
            outcome=outcome,
            delivery=delivery,
        )
        [answer] = await self._patience(lambda: self.journal.control([order]))
        self._tell_here()
        if answer.outcome is OrderOutcome.UNKNOWN_RUN:
            raise RunNotFound(str(run_id))
        if answer.outcome is OrderOutcome.RUN_OVER:
            raise RunOver(str(run_id))
        return answer.outcome is OrderOutcome.DONE

    # --- look ---

    async def view(self, run: Ref) -> RunView:
        """A run as it is now, with what it waits for. Raises RunNotFound."""
        self._check()
        run_id, entry = self._ref(run)
        found = await self._patience(lambda: self.journal.inspect(run_id))
        if found is None:
            raise RunNotFound(str(run_id))
        return run_view(found, self._registry.reader(found.run.fingerprint) or entry)

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
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunView], str | None]:
        """One page of runs, newest first, and the cursor of the next page (None: there is none)."""
        self._check()
        query = Query(
            machine=machine,
            status=status,
            created_from=None if created_from is None else from_datetime(created_from),
            created_to=None if created_to is None else from_datetime(created_to),
        )
        page = await self._patience(lambda: self.journal.list(query, limit, cursor))
        return page_views(page.runs, self._registry), page.cursor

    async def runs(
        self, *, machine: str | None = None, status: RunStatus | None = None
    ) -> AsyncIterator[RunView]:
        """All runs, newest first, page by page: one that is there throughout is given exactly once."""
        cursor: str | None = None
        while True:
            page, cursor = await self.list(machine=machine, status=status, cursor=cursor)
            for run in page:
                yield run
            if cursor is None:
                return

    async def prune(
        self, older_than: timedelta, *, limit: int = 1_000, machine: str | None = None, dry_run: bool = False
    ) -> Pruned:
        """Delete whole ended runs that have not changed for so long, at most `limit` of them."""
        self._check()
        before = await self._patience(self.journal.now) - span(older_than)
        return await self.journal.prune(PrunePlan(before, limit, machine, dry_run=dry_run))

    # --- small things ---

    def _ref(self, run: Ref) -> tuple[UUID, Entry | None]:
        if isinstance(run, Handle):
            return run.id, run.entry
        return _run_id(run), None

    async def _row(self, run_id: UUID, within: Within | None = None) -> Run:
        """The run's row, as the caller's transaction sees it where there is one."""
        if within is None:
            [row] = await self._patience(lambda: self.journal.load([run_id]))
        else:
            [row] = await within.load([run_id])
        if row is None:
            raise RunNotFound(str(run_id))
        return row


def _run_id(run: UUID | str) -> UUID:
    if isinstance(run, UUID):
        return run
    try:
        return UUID(run)
    except ValueError:
        raise PayloadRefused(
            "run", f"{run!r} is not a run id; a run started with a key is found by get()"
        ) from None


def _untyped_event(definition: Definition, event: Any, data: Any) -> bytes:
    """An event for a machine whose code is not here."""
    if not isinstance(event, str):
        cls: Any = event.__class__
        if not is_event(cls):
            raise UnexpectedEvent(definition.machine, cls.__name__, ())
        event, data = event_name(cls), msgspec.json.decode(codec_for(cls).encode(event))
    return encode_signal_raw(event, check_event(definition, event, data))
