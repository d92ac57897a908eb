"""A machine driven by hand: no engine, no journal, no event loop, no activity's body.

    run = Drive(Order, PlaceOrder("o-1", 500))
    run.send(Authorised("tok", 500))
    assert run.input(charge) == Charge("tok", 500)
    run.complete(charge, "ch-1")
    run.advance(timedelta(minutes=30))
    assert run.states == {"undoing"}

Each call is one event, and what follows from it at once: events kept with `defer` are tried again after
every change of the configuration, in their old order, as the engine does. Messages for other runs are
kept in `sent` and go nowhere. Events, outputs, contexts and inputs of activities pass through the codec on
their way, so that a test finds what could not be stored.
"""

from __future__ import annotations

from collections.abc import Hashable
from copy import copy
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, overload
from uuid import UUID

from continuum_core.arguments import NONE, Length, micros, moment
from continuum_core.clock import from_datetime, to_datetime
from continuum_core.definition.declare import Machine, Target
from continuum_core.definition.event import Question, is_event
from continuum_core.definition.failure import Failure
from continuum_core.definition.message import Message
from continuum_core.ending import result_of
from continuum_core.errors import UsageError
from continuum_core.interpreter.events import Signal
from continuum_core.journal.records import DeliveryKind, RunStatus
from continuum_core.mapper import (
    ASK,
    decode_outcome,
    encode_cancel,
    encode_failed,
    encode_outcome,
    encode_output,
    encode_signal,
    encode_start,
    signal_delivery,
)
from continuum_core.registry import Registry
from continuum_core.replied import question, reply_of
from continuum_core.runtime.attempt import failure_of
from continuum_core.testing.clock import START
from continuum_core.testing.lone import LoneRun
from continuum_core.testing.opened import OpenActivity, OpenTimer, Work
from continuum_core.view import Step, outcome_view, step_view

__all__ = ["Drive"]

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


class Drive(Generic[C, I, O]):
    """One run of a machine, begun with `input`.

    :param start: when the test takes place.
    :param deadline: of the run, as `Client.start` takes it.
    :param run_id: what `random` and `uuid4` of the machine's functions derive from.

    Every method that makes the run take an event raises MachineFault where the machine's own code
    raises (the run is as it was before that event), PayloadRefused for what cannot be stored, and
    RunOver when the run has ended.
    """

    def __init__(
        self,
        machine: type[Machine[C, I, O]],
        input: I,
        /,
        *,
        start: datetime = START,
        deadline: Length | datetime | None = None,
        run_id: UUID = UUID(int=0),  # noqa: B008  # a value, and frozen
    ) -> None:
        cls: Any = machine  # the cache wants to see that a class is hashable, and mypy does not
        self._registry = _registry(cls)
        self._entry = self._registry.add(machine)
        self.id = run_id
        self._run = LoneRun(self._entry, run_id, moment("start", start))
        due = None if deadline is None else _deadline(start, deadline)
        self._run.take(self._run.delivery(DeliveryKind.START, encode_start(self._entry, input, due)))

    def __repr__(self) -> str:
        return f"<{self._entry.chart.name}: {self._whereabouts()}>"

    # --- what happens to it ---

    def send(self, event: object) -> None:
        """Send it an event. Raises UnexpectedEvent where the machine never mentions the class."""
        if isinstance(event, type) and is_event(event):
            raise UsageError(f"send an instance: {event.__name__}(...), not the class")
        self._run.arrive(signal_delivery(self._run.new_id(), self.id, encode_signal(self._entry, event)))

    def ask(self, event: Question[R]) -> R:
        """Send it a question, and give what it replies.

        Raises AskRejected where it takes the question and has no reply to it, UsageError for an event that is
        no question, and where the run keeps the question for later: `send` it then.
        """
        name, reply = question(event)
        new_id = self._run.new_id()
        payload, asked = encode_signal(self._entry, event), f"{ASK}{new_id}"
        self._run.arrive(signal_delivery(new_id, self.id, payload, dedupe=asked))
        if asked not in self._run.replies:
            raise UsageError(f"{name} waits for a state that takes it: {self._whereabouts()}")
        return cast("R", reply_of(str(self.id), name, self._run.replies[asked], reply))

    @overload
    def complete(
        self,
        activity: Work[Any, None],
        /,
        *,
        state: Target[Any] | str | None = None,
        number: int | None = None,
        key: str | None = None,
    ) -> None: ...
    @overload
    def complete(
        self,
        activity: Work[Any, B],
        output: B,
        /,
        *,
        state: Target[Any] | str | None = None,
        number: int | None = None,
        key: str | None = None,
    ) -> None: ...
    def complete(
        self,
        activity: Work[Any, Any],
        output: Any = None,
        /,
        *,
        state: Target[Any] | str | None = None,
        number: int | None = None,
        key: str | None = None,
    ) -> None:
        """Let an activity that is open succeed, or a child run complete: of several members the first.

        :param state: which one, where several states have invoked it: the state or its path.
        :param number: which member of `each` or `collect`, by its number among the members.
        :param key: which one, by what `key=` gave.

        Raises UsageError where none is open, and says what is.
        """
        found = self._found(activity, state, number, key)
        data = self._run.work.output(found, self._run.image.snapshot).encode(output)
        self._finish(found, encode_output(data, activity=found.activity))

    def fail(
        self,
        activity: Work[Any, Any],
        error: BaseException | Failure,
        /,
        *,
        state: Target[Any] | str | None = None,
        number: int | None = None,
        key: str | None = None,
    ) -> None:
        """Let an activity that is open fail for good: all the tries of its policy are used up.

        A child run, given by its machine, fails with what waiting for it would raise: RunFailed,
        RunCancelled, RunTerminated. Which one: as `complete` has it.

        Raises UsageError where none is open, and says what is.
        """
        found = self._found(activity, state, number, key)
        failure = error if isinstance(error, Failure) else failure_of(error)
        self._finish(found, encode_failed(failure, activity=found.activity))

    def advance(self, length: Length) -> None:
        """Let time pass; timers that come due on the way fire in order, each at its own time.

        :param length: a `timedelta`, or seconds; time does not go back.
        """
        end = self._run.now + micros("length", length, least=NONE)
        while self._run.work.timers and from_datetime((first := self.timers[0]).due) <= end:
            self._run.now = max(self._run.now, from_datetime(first.due))
            self._run.arrive(self._run.delivery(DeliveryKind.TIMER, b"", first.token, first.slot))
            if first in self._run.work.timers:
                self._run.work.timers.remove(first)
        self._run.now = end

    def cancel(self, why: str = "") -> None:
        """Ask it to stop."""
        self._run.arrive(self._run.delivery(DeliveryKind.CANCEL, encode_cancel(why)))

    def unpark(self) -> None:
        """Have it try again what is stuck: an undo that failed. Raises UsageError where nothing is."""
        if not self._run.stuck:
            raise UsageError(f"nothing is stuck: {self._whereabouts()}")
        stuck, self._run.stuck = self._run.stuck, []
        for delivery in stuck:
            self._run.arrive(delivery)

    # --- what it is ---

    @property
    def states(self) -> set[str]:
        """The paths of the active states, innermost only."""
        return set(self._entry.leaves(self._run.image.snapshot.configuration))

    @property
    def context(self) -> C:
        """The context."""
        return cast("C", self._run.image.snapshot.context)

    @property
    def now(self) -> datetime:
        """The test's time."""
        return to_datetime(self._run.now)

    @property
    def status(self) -> RunStatus:
        """Running, or how it ended; parked while an undo that failed is stuck."""
        return self._run.status

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How it ended, as JSON values; None while it has not."""
        outcome = self._run.image.snapshot.outcome
        return None if outcome is None else outcome_view(decode_outcome(encode_outcome(self._entry, outcome)))

    def result(self) -> O:
        """The result.

        Raises RunFailed with the typed verdict, RunTimedOut, RunCancelled, RunTerminated; UsageError while it
        has not ended.
        """
        outcome = self._run.image.snapshot.outcome
        if outcome is None:
            raise UsageError(f"the run has not ended: {self._whereabouts()}")
        return cast("O", result_of(str(self.id), encode_outcome(self._entry, outcome), self._entry))

    @property
    def open(self) -> list[OpenActivity]:
        """The activities it waits for, in the order in which they were started, with their typed inputs."""
        return list(self._run.work.activities)

    def input(
        self,
        activity: Work[A, Any],
        /,
        *,
        state: Target[Any] | str | None = None,
        number: int | None = None,
        key: str | None = None,
    ) -> A:
        """What an open activity, or a child run, was given. Which one: as `complete` has it.

        Raises UsageError where none is open, and says what is.
        """
        return cast("A", self._found(activity, state, number, key).input)

    def members(self, activity: Work[A, Any], /, *, state: Target[Any] | str | None = None) -> dict[int, A]:
        """What the members of `each` or `collect` that are under way were given, by their numbers."""
        return {
            each.number: cast("A", each.input)
            for each in self._run.work.all(activity, state)
            if each.number is not None
        }

    @property
    def timers(self) -> list[OpenTimer]:
        """The timers that run, the next one to fire first."""
        return sorted(self._run.work.timers, key=lambda timer: timer.due)  # stable: equal ones in their order

    @property
    def deferred(self) -> list[object]:
        """The events it keeps for later, oldest first."""
        events = [self._run.decoded(delivery) for delivery in self._run.kept]
        return [event.event for event in events if isinstance(event, Signal)]

    @property
    def steps(self) -> list[Step]:
        """Its history, as `Engine.history` gives it."""
        return [step_view(record, self._registry) for record in self._run.records]

    @property
    def path(self) -> list[tuple[str, tuple[str, ...]]]:
        """Its history in short: each event, and the states after it."""
        return [(each.event, each.states) for each in self.steps]

    @property
    def taken(self) -> list[int]:
        """The numbers of the edges it took, in order, as the machine's chart counts them."""
        return list(self._run.taken)

    @property
    def sent(self) -> list[Message]:
        """The messages for other runs that it asked for, oldest first."""
        return self._run.sent

    # --- two ways on from here ---

    def fork(self) -> Drive[C, I, O]:
        """The same run once more, as it is now: what happens to one of the two the other never sees."""
        other = copy(self)
        other._run = self._run.fork()
        return other

    @property
    def situation(self) -> Hashable:
        """What decides how it can go on: two runs of one machine in equal situations go on alike.

        Unless its functions ask for the time, or for chance.
        """
        return self._run.situation

    # --- small things ---

    def _found(
        self,
        activity: Work[Any, Any],
        state: Target[Any] | str | None,
        number: int | None,
        key: str | None,
    ) -> OpenActivity:
        return self._run.work.find(activity, state, number, key, self._whereabouts)

    def _finish(self, found: OpenActivity, payload: bytes) -> None:
        self._run.arrive(self._run.delivery(DeliveryKind.OUTCOME, payload, found.token, found.slot))
        if found in self._run.work.activities:
            self._run.work.activities.remove(found)

    def _whereabouts(self) -> str:
        outcome = self.outcome
        if outcome is not None:
            where = f" in {outcome['state']}" if "state" in outcome else ""
            return f"the run is over ({outcome['kind']}{where})"
        states = ", ".join(sorted(self.states)) or "no state"
        return f"the run is in {states}, with {self._run.work} open"


def _deadline(start: datetime, deadline: Length | datetime) -> int:
    if isinstance(deadline, datetime):
        return moment("deadline", deadline)
    return moment("start", start) + micros("deadline", deadline, least=NONE, above=True)


@lru_cache(maxsize=256)
def _registry(machine: Any) -> Registry:
    """Codecs and tables are made once a machine: property tests drive thousands of runs."""
    return Registry([machine])
