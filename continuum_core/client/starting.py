"""Starting runs: idempotent by key, with the first turn where the client knows the machine's code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, overload

from msgspec.structs import replace

from continuum_core.arguments import NONE, Length, kept_time, length, micros, moment
from continuum_core.client.connected import Connected
from continuum_core.client.finding import attributes_given
from continuum_core.client.handle import Handle
from continuum_core.definition.declare import Machine
from continuum_core.errors import AlreadyStarted, UsageError
from continuum_core.journal.commit import (
    CommitOutcome,
    NewRun,
    Order,
    OrderKind,
    OrderOutcome,
    Started,
    StartOutcome,
)
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import searcher_of
from continuum_core.mapper import encode_control, with_deadline
from continuum_core.registry import Entry
from continuum_core.shape import parse_json
from continuum_core.starting import first_turn, new_run
from continuum_core.turn import Turn
from continuum_core.watch import run_facts

__all__ = ["Starting"]

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class Starting(Connected):
    """The part of a client that starts runs."""

    @overload
    async def start(
        self,
        machine: type[Machine[C, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
        connection: object | None = None,
    ) -> Handle[O, C]: ...
    @overload
    async def start(
        self,
        machine: str,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
        connection: object | None = None,
    ) -> Handle[Any]: ...
    async def start(
        self,
        machine: Any,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
        connection: object | None = None,
    ) -> Handle[Any]:
        """Start a run, or find the one that was started with the same key and input.

        :param machine: the class; or a name, and then the input is JSON values.
        :param key: makes the start idempotent in its namespace.
        :param attributes: what the machine declares for clients to set, by name. They come with the run; of a
            run that is there already they are left as they are.
        :param at: when the run begins, no earlier; until then it is there, waits, and can be cancelled. A
            time that is over is now. Of a run that is there already it changes nothing.
        :param after: the same as a length of time from now: a `timedelta`, or seconds, as the others here.
        :param debounce: the run begins so long after the last start with its key: each start before it began
            replaces the input and puts the beginning off. Needs a key.
        :param debounce_max: but no later than so long after the first of these starts.
        :param deadline: when the run has to be over, whatever its machine declares; a length of time counts
            from when it is to begin. Of a run that is there already it changes nothing.
        :param connection: a database connection or session of yours, to the journal's own database: the run
            is there if its transaction is committed, and never was if it is rolled back.

        Raises AlreadyStarted where the key was used with another input, PayloadRefused where the input
        does not fit, UnknownMachine for a name that no stored definition has, UsageError for a connection
        that cannot be joined and for times that contradict one another, JournalUnavailable.
        """
        self._check()
        begins = self._begins(at, after, debounce)
        if debounce is not None:
            _check_debounce(key, debounce, debounce_max, attributes, connection)
        due = self._deadline(deadline, begins)
        entry, new = await self._new(machine, input, key, attributes, due)
        if begins is not None:
            new = replace(new, delivery=replace(new.delivery, due=begins))
        if connection is None:
            started = await self._started(entry, new)
        else:
            within = await self._within(connection)
            unborn, turn = self._unborn(entry, new)
            [started] = await within.start([unborn])
            self._tell_started(entry, unborn, turn, started)
        self._clock.observe(started.now)
        there = started.outcome is not StartOutcome.STARTED
        counted = None if isinstance(deadline, datetime) else deadline
        if debounce is not None and there and await self._postponed(new, debounce, debounce_max, counted):
            return self._held(new.run_id, entry)
        if started.outcome is StartOutcome.CONFLICT:
            raise AlreadyStarted(new.machine, key or "", str(new.run_id))
        return self._held(new.run_id, entry)

    async def _new(
        self,
        machine: Any,
        input: Any,
        key: str | None,
        attributes: Mapping[str, Any] | None,
        deadline: int | None,
    ) -> tuple[Entry | None, NewRun]:
        """The run to be created, without a first turn; the machine's code, where it is here."""
        entry = self._met(machine) if not isinstance(machine, str) else self._registry.look(machine)
        key = self._key(key)
        if entry is None:
            definition = await self._definitions.named(machine)
        else:
            definition = await self._definitions.of_entry(entry)
            if isinstance(machine, str):
                input = parse_json(entry.input, input)
        new = new_run(self.namespace, definition, entry, input, key, self._host.new_id, deadline)
        if attributes:
            searcher_of(self.journal)  # another journal would drop them
            new = replace(new, attributes=attributes_given(definition, attributes))
        if self.plugins.outgoing_headers is not None:
            new = replace(new, delivery=self._outgoing(new.delivery, new.machine))
        return entry, new

    def _begins(self, at: datetime | None, after: Length | None, debounce: Length | None) -> int | None:
        """When the run is to begin, if not at once. Raises UsageError."""
        if (at, after, debounce).count(None) < 2:
            raise UsageError("at=, after= and debounce= each say when the run begins; give one of them")
        if at is not None:
            return kept_time("at", at, moment("at", at))
        if after is not None:
            return kept_time("after", after, self._clock.estimate() + max(0, micros("after", after)))
        if debounce is None:
            return None
        begins = self._clock.estimate() + micros("debounce", debounce, least=NONE)
        return kept_time("debounce", debounce, begins)

    def _deadline(self, deadline: Length | datetime | None, begins: int | None) -> int | None:
        """When the run has to be over, if that was said. Raises UsageError."""
        if deadline is None:
            return None
        if isinstance(deadline, datetime):
            due = kept_time("deadline", deadline, moment("deadline", deadline))
            if begins is not None and due <= begins:
                raise UsageError(f"deadline={deadline} is not after the time at which the run is to begin")
            return due
        counted = micros("deadline", deadline, least=NONE, above=True)
        due = (self._clock.estimate() if begins is None else begins) + counted
        return kept_time("deadline", deadline, due)

    async def _postponed(
        self, new: NewRun, wait: Length, most: Length | None, deadline: Length | None
    ) -> bool:
        """Put a run off that has not begun, with another input; False where it has begun."""
        row = await self._row(new.run_id)
        due = await self._patience(self.journal.now) + micros("debounce", wait)
        if most is not None:
            due = min(due, row.created + micros("debounce_max", most))
        payload = new.delivery.payload
        if deadline is not None:  # it counts from when the run begins
            payload = with_deadline(payload, due + micros("deadline", deadline))
        id_ = self._host.new_id()
        order = Order(
            id=id_,
            run_id=new.run_id,
            kind=OrderKind.POSTPONE,
            body=encode_control("postpone", "", ""),
            delivery=replace(new.delivery, id=self._host.new_id(), due=due, payload=payload),
            digest=new.digest,
        )
        [answer] = await self._patience(lambda: self.journal.control([order]))
        self._tell_here()
        return answer.outcome is OrderOutcome.DONE

    async def _started(self, entry: Entry | None, new: NewRun) -> Started:
        turn = None if entry is None else self._first_turn(entry, new)
        if turn is not None:
            new = replace(new, turn=turn.commit)
        here = self.here  # as it was when it took over tasks: a drain may begin while the journal answers

        def settled(answer: Started | None) -> None:
            # Told even when the caller is cancelled here: the tasks in the turn are this worker's by then.
            if turn is not None and here is not None:
                here.settled(turn, None if answer is None else answer.committed)
            if self._telling:
                self._tell_started(entry, new, turn if here is None else None, answer)

        started = await self._starts.ask(new, settled)
        if started is not None and started.outcome is StartOutcome.BUSY:
            # The tasks that were born in this worker's hands were given back above.
            again, unborn_turn = self._unborn(entry, replace(new, turn=None))
            started = await self._outwaited(
                lambda: self.journal.start([again]), lambda answer: answer.outcome is StartOutcome.BUSY
            )
            self._tell_started(entry, again, unborn_turn, started)
            turn = None
        if turn is None:
            self._tell_here()
        if started is None:
            raise self._unanswered()
        return started

    def _unborn(self, entry: Entry | None, new: NewRun) -> tuple[NewRun, Turn | None]:
        """The run with a first turn of which no task is anybody's: whoever sees it first takes it."""
        if entry is None:
            return new, None
        turn = self._first_turn(entry, new, born=False)
        return (new if turn is None else replace(new, turn=turn.commit)), turn

    def _tell_started(
        self, entry: Entry | None, new: NewRun, turn: Turn | None, answer: Started | None
    ) -> None:
        """Tell plugins what became of a start, and of its first turn unless a worker here tells that."""
        made = answer is not None and answer.outcome is StartOutcome.STARTED
        if made and self.plugins.run_started is not None:
            status = RunStatus.RUNNING if answer is None else answer.status
            self.plugins.run_started(run=run_facts(self.namespace, new, entry, status))
        if turn is not None and self._watch is not None:
            committed = None if answer is None else answer.committed
            self._watch.settled(turn, committed is not None and committed.outcome is CommitOutcome.COMMITTED)

    def _first_turn(self, entry: Entry, new: NewRun, *, born: bool = True) -> Turn | None:
        if new.delivery.due is not None:
            return None  # it begins later
        watch = self._watch
        began = 0.0 if watch is None else watch.clock()
        claim = self.here.born if self.here is not None and born else None
        turn = first_turn(self.namespace, entry, new, self._clock.estimate(), self._host.new_id, claim)
        return turn if turn is None or watch is None else watch.begun(turn, [new.delivery], began)


def _check_debounce(
    key: str | None,
    wait: Length,
    most: Length | None,
    attributes: Mapping[str, Any] | None,
    connection: object | None,
) -> None:
    """Raises UsageError."""
    if key is None:
        raise UsageError("debounce= puts the start of one key off; give key= as well")
    if most is not None and length("debounce_max", most) < length("debounce", wait):
        raise UsageError(f"debounce_max={most} is shorter than debounce={wait}: nothing could be put off")
    if attributes or connection is not None:
        raise UsageError("debounce= goes with neither attributes= nor connection=; leave them out")
