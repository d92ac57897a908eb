"""Starting runs: idempotent by key, with the first turn where the client knows the machine's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from msgspec.structs import replace

from continuum_core.client.connected import Connected
from continuum_core.client.finding import attributes_given
from continuum_core.client.handle import Handle
from continuum_core.definition.declare import Machine
from continuum_core.errors import AlreadyStarted
from continuum_core.journal.commit import CommitOutcome, NewRun, Started, StartOutcome
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import searcher_of
from continuum_core.registry import Entry
from continuum_core.shape import parse_json
from continuum_core.starting import first_turn, new_run
from continuum_core.turn import Turn
from continuum_core.watch import run_facts

__all__ = ["Starting"]

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class Starting(Connected):
    """The part of a client that starts runs."""

    @overload
    async def start(
        self,
        machine: type[Machine[Any, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        connection: object | None = None,
    ) -> Handle[O]: ...
    @overload
    async def start(
        self,
        machine: str,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
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
        connection: object | None = None,
    ) -> Handle[Any]:
        """Start a run, or find the one that was started with the same key and input.

        :param machine: the class; or a name, and then the input is JSON values.
        :param key: makes the start idempotent in its namespace.
        :param attributes: what the machine declares for clients to set, by name. They come with the run; of a
            run that is there already they are left as they are.
        :param connection: a database connection or session of yours, to the journal's own database: the run
            is there if its transaction is committed, and never was if it is rolled back.

        Raises AlreadyStarted where the key was used with another input, PayloadRefused where the input
        does not fit, UnknownMachine for a name that no stored definition has, UsageError for a connection
        that cannot be joined, JournalUnavailable.
        """
        self._check()
        entry = self._met(machine) if not isinstance(machine, str) else self._registry.look(machine)
        if entry is None:
            definition = await self._definitions.named(machine)
        else:
            definition = await self._definitions.of_entry(entry)
            if isinstance(machine, str):
                input = parse_json(entry.input, input)
        new = new_run(self.namespace, definition, entry, input, key, self._host.new_id)
        if attributes:
            searcher_of(self.journal)  # another journal would drop them
            new = replace(new, attributes=attributes_given(definition, attributes))
        if self.plugins.outgoing_headers is not None:
            new = replace(new, delivery=self._outgoing(new.delivery, new.machine))
        if connection is None:
            started = await self._started(entry, new)
        else:
            within = await self._within(connection)
            unborn, turn = self._unborn(entry, new)
            [started] = await within.start([unborn])
            self._tell_started(entry, unborn, turn, started)
        self._clock.observe(started.now)
        if started.outcome is StartOutcome.CONFLICT:
            raise AlreadyStarted(new.machine, key or "", str(new.run_id))
        return self._held(new.run_id, entry)

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
        watch = self._watch
        began = 0.0 if watch is None else watch.clock()
        claim = self.here.born if self.here is not None and born else None
        turn = first_turn(self.namespace, entry, new, self._clock.estimate(), self._host.new_id, claim)
        return turn if turn is None or watch is None else watch.begun(turn, [new.delivery], began)
