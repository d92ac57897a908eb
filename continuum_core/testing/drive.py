"""A machine driven by hand: no engine, no journal, no event loop, no activity's body.

    run = Drive(Order, PlaceOrder("o-1", 500))
    run.send(Authorised("tok", 500))
    assert run.input(charge) == Charge("tok", 500)
    run.complete(charge, "ch-1")
    run.advance(timedelta(minutes=30))
    assert run.states == {"undoing"}

Each call is one event, and what follows from it at once: events kept with `defer` are tried again after
every change of the configuration, in their old order, as the engine does. Messages for other runs are
kept in `sent` and go nowhere. `step` decides everything; the rest is the bookkeeping of a journal with
one run. Events, outputs, contexts and inputs of activities pass through the codec on their way, so that
a test finds what could not be stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from copy import copy
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, overload
from uuid import UUID

from attrs import frozen
from msgspec.structs import replace

from continuum_core.clock import Micros, from_datetime, span, to_datetime
from continuum_core.codec import Codec
from continuum_core.definition.activity import Activity
from continuum_core.definition.declare import Machine, Target
from continuum_core.definition.event import is_event
from continuum_core.definition.failure import Failure
from continuum_core.definition.message import Message
from continuum_core.ending import result_of
from continuum_core.errors import RunOver, UsageError
from continuum_core.headers import task_input
from continuum_core.interpreter.commands import Close, CloseRuns, Send, StartActivity, StartRun, StartTimer
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.events import Signal
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.interpreter.snapshot import Step as Made
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind, Record, RunStatus
from continuum_core.mapper import (
    Asked,
    Image,
    ask,
    decode_event,
    decode_image,
    decode_outcome,
    encode_cancel,
    encode_failed,
    encode_image,
    encode_outcome,
    encode_output,
    encode_signal,
    encode_start,
    encode_step,
    imaged,
    record_kind,
    signal_delivery,
    status_of,
    unborn,
)
from continuum_core.registry import Registry
from continuum_core.runtime.attempt import failure_of
from continuum_core.testing.clock import START
from continuum_core.view import Step, outcome_view, step_view

__all__ = ["Drive", "OpenActivity", "OpenTimer", "Work", "work_name"]

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")

_NAMESPACE = "drive"


Work = Activity[A, B] | type[Machine[Any, A, B]]
"""What a run waits for: an activity, or a child run, given by its machine."""


@frozen
class OpenActivity:
    """An activity, or a child run, that the run waits for.

    :ivar activity: its name, or the name of the child run's machine.
    :ivar state: the path of the state that invoked it.
    :ivar key: what `key=` of the invoke gave, if anything.
    :ivar number: of a member of `each` or `collect`, its number among the members; else None.
    """

    activity: str
    state: str
    input: Any
    key: str | None
    token: int
    slot: int
    number: int | None = None


@frozen
class OpenTimer:
    """A timer that runs, and the path of the state that waits for it; "" also for the run's deadline."""

    state: str
    due: datetime
    token: int
    slot: int


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
        deadline: timedelta | datetime | None = None,
        run_id: UUID = UUID(int=0),  # noqa: B008  # a value, and frozen
    ) -> None:
        cls: Any = machine  # the cache wants to see that a class is hashable, and mypy does not
        self._registry = _registry(cls)
        self._entry = self._registry.add(machine)
        self.id = run_id
        self._now: Micros = from_datetime(start)
        self._ids = 0
        self._image = unborn()
        self._kept: list[Delivery] = []
        self._stuck: list[Delivery] = []
        self._activities: list[OpenActivity] = []
        self._timers: list[OpenTimer] = []
        self._records: list[Record] = []
        self._taken: list[int] = []
        self.sent: list[Message] = []
        if isinstance(deadline, timedelta):
            deadline = start + deadline
        due = None if deadline is None else from_datetime(deadline)
        self._take(self._delivery(DeliveryKind.START, encode_start(self._entry, input, due)))

    def __repr__(self) -> str:
        return f"<{self._entry.chart.name}: {self._whereabouts()}>"

    # --- what happens to it ---

    def send(self, event: object) -> None:
        """Send it an event. Raises UnexpectedEvent where the machine never mentions the class."""
        if isinstance(event, type) and is_event(event):
            raise UsageError(f"send an instance: {event.__name__}(...), not the class")
        self._arrive(signal_delivery(self._new_id(), self.id, encode_signal(self._entry, event)))

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
        found = self._find(activity, state, number, key)
        data = self._output(found).encode(output)
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
        found = self._find(activity, state, number, key)
        failure = error if isinstance(error, Failure) else failure_of(error)
        self._finish(found, encode_failed(failure, activity=found.activity))

    def advance(self, length: timedelta) -> None:
        """Let time pass; timers that come due on the way fire in order, each at its own time."""
        if length < timedelta():
            raise UsageError(f"time does not go back: {length}")
        end = self._now + span(length)
        while self._timers and from_datetime((first := self.timers[0]).due) <= end:
            self._now = max(self._now, from_datetime(first.due))
            self._arrive(self._delivery(DeliveryKind.TIMER, b"", first.token, first.slot))
            if first in self._timers:
                self._timers.remove(first)
        self._now = end

    def cancel(self, reason: str = "") -> None:
        """Ask it to stop."""
        self._arrive(self._delivery(DeliveryKind.CANCEL, encode_cancel(reason)))

    def unpark(self) -> None:
        """Have it try again what is stuck: an undo that failed. Raises UsageError where nothing is."""
        if not self._stuck:
            raise UsageError(f"nothing is stuck: {self._whereabouts()}")
        stuck, self._stuck = self._stuck, []
        for delivery in stuck:
            self._arrive(delivery)

    # --- what it is ---

    @property
    def states(self) -> set[str]:
        """The paths of the active states, innermost only."""
        return set(self._entry.leaves(self._image.snapshot.configuration))

    @property
    def context(self) -> C:
        """The context."""
        return cast("C", self._image.snapshot.context)

    @property
    def now(self) -> datetime:
        """The test's time."""
        return to_datetime(self._now)

    @property
    def status(self) -> RunStatus:
        """Running, or how it ended; parked while an undo that failed is stuck."""
        return RunStatus.PARKED if self._stuck else status_of(self._image.snapshot.outcome)

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How it ended, as JSON values; None while it has not."""
        outcome = self._image.snapshot.outcome
        return None if outcome is None else outcome_view(decode_outcome(encode_outcome(self._entry, outcome)))

    def result(self) -> O:
        """The result.

        Raises RunFailed with the typed verdict, RunTimedOut, RunCancelled, RunTerminated; UsageError while it
        has not ended.
        """
        outcome = self._image.snapshot.outcome
        if outcome is None:
            raise UsageError(f"the run has not ended: {self._whereabouts()}")
        return cast("O", result_of(str(self.id), encode_outcome(self._entry, outcome), self._entry))

    @property
    def open(self) -> list[OpenActivity]:
        """The activities it waits for, in the order in which they were started, with their typed inputs."""
        return list(self._activities)

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
        return cast("A", self._find(activity, state, number, key).input)

    def members(self, activity: Work[A, Any], /, *, state: Target[Any] | str | None = None) -> dict[int, A]:
        """What the members of `each` or `collect` that are under way were given, by their numbers."""
        return {
            each.number: cast("A", each.input)
            for each in self._all(activity, state)
            if each.number is not None
        }

    @property
    def timers(self) -> list[OpenTimer]:
        """The timers that run, the next one to fire first."""
        return sorted(self._timers, key=lambda timer: timer.due)  # stable: equal ones in their order

    @property
    def deferred(self) -> list[object]:
        """The events it keeps for later, oldest first."""
        events = [self._decoded(delivery) for delivery in self._kept]
        return [event.event for event in events if isinstance(event, Signal)]

    @property
    def steps(self) -> list[Step]:
        """Its history, as `Engine.history` gives it."""
        return [step_view(record, self._registry) for record in self._records]

    @property
    def path(self) -> list[tuple[str, tuple[str, ...]]]:
        """Its history in short: each event, and the states after it."""
        return [(each.event, each.states) for each in self.steps]

    @property
    def taken(self) -> list[int]:
        """The numbers of the edges it took, in order, as the machine's chart counts them."""
        return list(self._taken)

    # --- two ways on from here ---

    def fork(self) -> Drive[C, I, O]:
        """The same run once more, as it is now: what happens to one of the two the other never sees."""
        other = copy(self)
        for name in ("_kept", "_activities", "_timers", "_records", "_taken", "sent"):
            setattr(other, name, list(getattr(self, name)))
        return other

    @property
    def situation(self) -> Hashable:
        """What decides how it can go on: two runs of one machine in equal situations go on alike.

        Unless its functions ask for the time, or for chance.
        """
        snapshot = self._image.snapshot
        return (
            snapshot.configuration,
            bytes(self._image.context),
            tuple(sorted(snapshot.history.items())),
            tuple((each.activity, each.state, each.slot) for each in self._activities),
            tuple((each.state, each.slot, each.due - self.now) for each in self.timers),
            tuple((each.kind, each.payload) for each in self._kept),
            tuple(self._crew(crew) for crew in snapshot.crews.values()),
        )

    def _crew(self, crew: OpenCrew) -> Hashable:
        """How a crew can go on."""
        ended: list[tuple[int, str]] = []
        chain = crew.results
        while chain is not None:
            chain, number, result = chain
            ended.append((number, repr(result)))
        waiting = self._entry.context.encode(crew.context) if crew.next < crew.total else b""
        return (crew.state, crew.slot, crew.next, crew.open, tuple(sorted(ended)), waiting)

    # --- one event ---

    def _arrive(self, delivery: Delivery) -> None:
        """Take a delivery in, and what a change of configuration releases."""
        before = self._image.snapshot.configuration
        disposition = self._take(delivery)
        if disposition is Disposition.DEFERRED:
            self._kept.append(delivery)
        elif disposition is Disposition.STUCK:
            self._stuck.append(delivery)
        elif self._image.snapshot.configuration != before:
            self._retry()

    def _retry(self) -> None:
        index = 0
        while index < len(self._kept):
            before = self._image.snapshot.configuration
            if self._take(self._kept[index]) is Disposition.DEFERRED:
                index += 1
                continue
            if self._kept:  # the end of a run clears them
                del self._kept[index]
            if self._image.snapshot.configuration != before:
                index = 0  # the oldest first, again

    def _take(self, delivery: Delivery) -> Disposition:
        if self.status in ENDED:
            raise RunOver(str(self.id))
        entry, before = self._entry, self._image
        made = step(entry.program, before.snapshot, self._decoded(delivery), self._now, self.id.bytes)
        after = imaged(entry, before, made.snapshot)
        asked = ask(entry, _NAMESPACE, self.id, made, delivery.id, self._new_id)
        body = encode_step(entry, before, after, made, delivery, asked)
        stored = _with_results(decode_image(entry, made.snapshot.version, encode_image(entry, after)), after)
        opened = self._opened(made, asked)
        # Nothing above has changed this run: what raises leaves it as it was.
        outcome = made.snapshot.outcome
        self._image = after if outcome is not None else stored
        self._records.append(
            Record(
                run_id=self.id,
                version=made.snapshot.version,
                kind=record_kind(delivery.kind, made),
                at=made.snapshot.now,
                cause=delivery.id,
                commit_id=delivery.id,
                body=body,
            )
        )
        self._taken.extend(number for microstep in made.edges for number in microstep)
        self._carry_out(made, opened)
        return made.disposition

    def _opened(self, made: Made, asked: Asked) -> list[OpenActivity]:
        starts = [command for command in made.commands if isinstance(command, StartActivity)]
        opened = [
            OpenActivity(
                activity=task.activity,
                state=self._entry.chart.states[start.state].path,
                input=self._entry.activities[task.activity].input.decode(task_input(task.payload)),
                key=task.key,
                token=task.token,
                slot=task.slot,
                number=self._number(made.snapshot.crews.get(task.token), task.slot),
            )
            for start, task in zip(starts, asked.tasks, strict=True)
        ]
        runs = [command for command in made.commands if isinstance(command, StartRun) and command.awaited]
        return opened + [self._opened_run(command) for command in runs]

    def _opened_run(self, start: StartRun) -> OpenActivity:
        crew = self._entry.crews[start.state, start.slot]
        assert crew.child is not None, "only child runs are started as runs"
        return OpenActivity(
            activity=crew.child.machine,
            state=self._entry.chart.states[start.state].path,
            input=crew.input.decode(crew.input.encode(start.input)),
            key=None,
            token=start.token,
            slot=start.number,
            number=start.number if self._is_each(start.state, start.slot) else None,
        )

    def _number(self, crew: OpenCrew | None, number: int) -> int | None:
        """The number of a member; None of an activity that is none."""
        return number if crew is not None and self._is_each(crew.state, crew.slot) else None

    def _is_each(self, state: int, slot: int) -> bool:
        return any(crew.each for crew in self._entry.chart.states[state].crews if crew.slot == slot)

    def _output(self, found: OpenActivity) -> Codec[Any]:
        """What stores what comes of it."""
        crew = self._image.snapshot.crews.get(found.token)
        if crew is not None:
            return self._entry.crews[crew.state, crew.slot].output
        return self._entry.activities[found.activity].output

    def _carry_out(self, made: Made, opened: Sequence[OpenActivity]) -> None:
        ledger = made.snapshot.ledger
        pending = () if ledger is None else tuple(ledger.pending)
        for command in made.commands:
            if isinstance(command, Close):
                # What may be undone is not stopped: its outcome must become known.
                self._activities = [
                    each
                    for each in self._activities
                    if each.token != command.token or (each.token, each.slot) in pending
                ]
                self._timers = [each for each in self._timers if each.token != command.token]
            elif isinstance(command, CloseRuns):
                self._activities = [each for each in self._activities if each.token != command.token]
            elif isinstance(command, StartTimer):
                state = self._entry.chart.states[command.state].path
                self._timers.append(OpenTimer(state, to_datetime(command.due), command.token, command.slot))
            elif isinstance(command, Send):
                self.sent.append(command.message)
        self._activities.extend(opened)
        if made.snapshot.outcome is not None:
            self._activities.clear()
            self._timers.clear()
            self._kept.clear()
            self._stuck.clear()

    def _finish(self, found: OpenActivity, payload: bytes) -> None:
        self._arrive(self._delivery(DeliveryKind.OUTCOME, payload, found.token, found.slot))
        if found in self._activities:
            self._activities.remove(found)

    # --- small things ---

    def _all(self, activity: Work[Any, Any], state: Target[Any] | str | None) -> list[OpenActivity]:
        path = state.path if isinstance(state, Target) else state
        return [
            each
            for each in self._activities
            if each.activity == work_name(activity) and (path is None or each.state == path)
        ]

    def _find(
        self,
        activity: Work[Any, Any],
        state: Target[Any] | str | None,
        number: int | None,
        key: str | None,
    ) -> OpenActivity:
        name = work_name(activity)
        known = self._all(activity, state)
        found = [
            each
            for each in known
            if (number is None or each.number == number) and (key is None or each.key == key)
        ]
        if not found:
            path = state.path if isinstance(state, Target) else state
            where = "" if path is None else f" in {path}"
            which = "" if number is None else f" number {number}"
            which += "" if key is None else f" with key {key!r}"
            under_way = ", ".join(str(each.number) for each in known if each.number is not None)
            said = f" (numbers {under_way} are)" if which and under_way else ""
            raise UsageError(f"{name}{which} is not open{where}{said}: {self._whereabouts()}")
        states = list(dict.fromkeys(each.state for each in found))
        if len(states) > 1:
            raise UsageError(
                f"{name} is open in {' and in '.join(states)}: say which one, state={states[0]!r}"
            )
        return found[0]

    def _whereabouts(self) -> str:
        outcome = self.outcome
        if outcome is not None:
            where = f" in {outcome['state']}" if "state" in outcome else ""
            return f"the run is over ({outcome['kind']}{where})"
        states = ", ".join(sorted(self.states)) or "no state"
        count = Counter((each.activity, each.state or "the root") for each in self._activities)
        work = ", ".join(
            f"{name} (of {state})" + (f" × {many}" if many > 1 else "")
            for (name, state), many in count.items()
        )
        return f"the run is in {states}, with {work or 'no activity'} open"

    def _decoded(self, delivery: Delivery) -> Any:
        snapshot = self._image.snapshot
        return decode_event(
            self._entry, snapshot, delivery.kind, delivery.payload, delivery.token, delivery.slot
        )

    def _delivery(self, kind: DeliveryKind, payload: bytes, token: int = 0, slot: int = 0) -> Delivery:
        return Delivery(self._new_id(), self.id, kind, payload, token=token, slot=slot)

    def _new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)


@lru_cache(maxsize=256)
def _registry(machine: Any) -> Registry:
    """Codecs and tables are made once a machine: property tests drive thousands of runs."""
    return Registry([machine])


def work_name(work: Any) -> str:
    """The name of an activity, or of a machine whose child runs are waited for."""
    name: str = getattr(work, "chart", work).name
    return name


def _with_results(stored: Image, after: Image) -> Image:
    """The run as it is stored, with what a journal keeps beside it."""
    if not stored.snapshot.crews:
        return stored
    known = after.snapshot.crews
    crews = {
        token: replace(crew, results=known[token].results, known=known[token].known)
        for token, crew in stored.snapshot.crews.items()
    }
    return replace(stored, snapshot=replace(stored.snapshot, crews=crews))
