"""Starting runs: idempotent by key, with the first turn where the client knows the machine's code."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from msgspec.structs import replace

from continuum_core.client.connected import Connected
from continuum_core.client.handle import Handle
from continuum_core.definition.declare import Machine
from continuum_core.errors import AlreadyStarted
from continuum_core.journal.commit import NewRun, Started, StartOutcome
from continuum_core.registry import Entry
from continuum_core.shape import parse_json
from continuum_core.starting import first_turn, new_run
from continuum_core.turn import Turn

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

    def _first_turn(self, entry: Entry, new: NewRun) -> Turn | None:
        born = None if self.here is None else self.here.born
        return first_turn(self.namespace, entry, new, self._clock.estimate(), self._host.new_id, born)
