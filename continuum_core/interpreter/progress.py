"""One macrostep while it is made: the only mutable thing of the interpreter, never seen outside.

A `Progress` begins with a snapshot and either becomes a `Step` or is thrown away: no function of a
machine can leave half an effect behind. It calls the machine's functions (guards, actions, inputs,
delays), checks what they return, and turns what they raise into a `MachineFault`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeGuard, cast

from msgspec.structs import replace

from continuum_core.arguments import timed
from continuum_core.clock import span
from continuum_core.definition.chart import (
    MOST_MEMBERS,
    ROOT,
    ActionKind,
    Chart,
    Closing,
    Crew,
    Function,
    Invoke,
    Timer,
    TriggerKind,
)
from continuum_core.definition.event import is_event
from continuum_core.errors import MachineFault, UsageError
from continuum_core.interpreter.bounds import DEADLINE, OWN, STOP, Bounds
from continuum_core.interpreter.commands import (
    Close,
    CloseRuns,
    Command,
    Message,
    Send,
    StartActivity,
    StartRun,
    StartTimer,
)
from continuum_core.interpreter.crews import OpenCrew, ended, results
from continuum_core.interpreter.events import Failed, Failure, Finished, Start
from continuum_core.interpreter.ledger import (
    AGAIN,
    EMPTY,
    UNDO,
    Done,
    Fate,
    Ledger,
    Pending,
    begun,
    left_in,
    retried,
    settled,
    unasked,
)
from continuum_core.interpreter.microstep import Op, Plan
from continuum_core.interpreter.program import Arc, Key, Program, ascending
from continuum_core.interpreter.snapshot import Renewal, Reply, Snapshot
from continuum_core.texts import text_flaw

__all__ = ["Progress", "minted_by", "token_of"]

_TOKEN_SHIFT = 16
_ASSIGN = ActionKind.ASSIGN


def token_of(version: int, ordinal: int) -> int:
    """The token of the `ordinal`-th state entry (from 1) in a record that has timers or activities."""
    return version << _TOKEN_SHIFT | ordinal


def minted_by(token: int) -> int:
    """The version of the record that gave out this token: that record started what bears it."""
    return token >> _TOKEN_SHIFT


class Progress:
    """The state of a macrostep. Attributes with a value here are set on the instance when they change."""

    program: Program
    snapshot: Snapshot
    context: Any
    configuration: int
    payload: Any  # what functions of two arguments get: event, output, failure, or at the start the input
    now: int
    seed: bytes
    version: int  # of the record being made
    drawn = 0  # see `deterministic`
    history: Mapping[int, int]
    tokens: Mapping[int, int]
    patches: Mapping[str, bool]
    crews: Mapping[int, OpenCrew]
    minted = 0  # tokens of this record
    fresh = 0  # mask: states with timers or activities that were entered in this macrostep
    final: int | None = None
    closes: tuple[Command, ...] = ()
    sends: tuple[Command, ...] = ()
    edges: tuple[tuple[int, ...], ...] = ()
    ledger: Ledger | None
    fate: Fate | None = None  # what the event meant for the ledger
    repairs: tuple[Command, ...] = ()  # undos, and activities that are asked again
    cancelling: str | None
    generation: int
    renewal: Renewal | None = None  # the run continued as new
    renewed: Mapping[str, bool] | None = None  # the patches to pin then; None: all that the machine knows
    reply: Reply | None = None
    bounds: Bounds | None
    own: tuple[Command, ...] = ()  # timers of the run itself

    def __init__(self, program: Program, snapshot: Snapshot, payload: Any, now: int, seed: bytes) -> None:
        self.program = program
        self.snapshot = snapshot
        self.context = snapshot.context
        self.configuration = snapshot.configuration
        self.payload = payload
        self.now = now
        self.seed = seed
        self.version = snapshot.version + 1
        self.history = snapshot.history
        self.tokens = snapshot.tokens
        self.ledger = snapshot.ledger
        self.cancelling = snapshot.cancelling
        self.patches = snapshot.patches
        self.generation = snapshot.generation
        self.crews = snapshot.crews
        self.bounds = snapshot.bounds
        self.queue: deque[tuple[Key, Any]] | None = None
        self.starts: dict[int, list[Command]] | None = None
        self.hired: dict[int, list[Command]] | None = None  # crew → its members that begin

    # --- the machine's functions ----------------------------------------------------------------

    def holds(self, arc: Arc) -> bool:
        """Whether the edge's guard (and, of an error edge, its exception class) lets it be taken."""
        if arc.error is not None and not _catches(arc.error, self.payload):
            return False
        guard = arc.guard
        if guard is None:
            return True
        try:
            return bool(_call(guard, self.context, self.payload, self.configuration))
        except Exception as error:
            self._stumble(error, guard, f"guard of edge {arc.number} of {self._name(arc.source)}")
            return False

    def ask(self, site: str, function: Function, *arguments: Any) -> Any:
        """What a function of the chart itself (init, result, verdict) returns."""
        try:
            return function.call(*arguments[: function.arity])
        except Exception as error:
            self.fault(site, function, _told(error), error)

    def take(self, plan: Plan) -> None:
        """Carry out a microstep."""
        if plan.edges:
            self.edges += (plan.edges,)
        if plan.recorded:
            self.history = {**self.history, **dict(plan.recorded)}
        if plan.closed:
            self._close(plan.closed)
        self.fresh |= plan.opened
        self.configuration = plan.configuration
        for op in plan.ops:
            self._run(op)
        if plan.final is not None:
            self.final = plan.final

    def _run(self, op: Op) -> None:
        function = op.function
        if function is None:
            self._complete(op)
            return
        try:
            value = _call(function, self.context, self.payload, op.configuration)
        except Exception as error:
            self._stumble(error, function, op.site)
            return
        if op.kind is _ASSIGN:
            self.context = value
        elif op.kind is ActionKind.REPLY:
            if self.reply is None and len(self.edges) == 1:  # what is raised inside is nobody's question
                self.reply = Reply(value)
        elif value is not None:
            values = _each(value)
            if op.kind is ActionKind.RAISE:
                self._raise(values, op, function)
            else:
                self._send(values, op, function)

    def _raise(self, events: tuple[object, ...], op: Op, function: Function) -> None:
        for event in events:
            if not is_event(type(event)):
                self.fault(op.site, function, f"returned {event!r}, which is no instance of an @event class")
            self.queue_event(event)

    def _send(self, messages: tuple[object, ...], op: Op, function: Function) -> None:
        sends: list[Command] = []
        for message in messages:
            if not isinstance(message, Message):
                self.fault(op.site, function, f"returned {message!r}, which is no Message to send")
            sends.append(Send(message))
        self.sends += tuple(sends)

    def _complete(self, op: Op) -> None:
        dialect = self.program.dialect
        if dialect is None:
            self._queued((TriggerKind.DONE, op.state), None)
            return
        for event in dialect.done(self.context, self.payload, op.state, op.final):
            self.queue_event(event)

    def queue_event(self, event: object) -> None:
        """Put an instance of an event class into the internal queue."""
        self._queued(type(event), event)

    def _queued(self, key: Key, payload: Any) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.append((key, payload))

    # --- patches ----------------------------------------------------------------------------------

    def pin(self, patches: Mapping[str, bool] | None) -> None:
        """Pin, for a run that begins, what was pinned when it began; None: all that the machine knows now."""
        if patches is None and self.program.chart.patches:
            patches = dict.fromkeys(sorted(self.program.chart.patches), True)
        if patches:
            self.patches = patches

    # --- generations ------------------------------------------------------------------------------

    def renew(self, final: int, anew: Function) -> None:
        """Begin again with a new input, all having been exited; what there may be to undo stays."""
        value = self.ask("input of the next generation", anew, self.context, self.payload)
        if self.renewal is None:
            self.generation = self.snapshot.generation + 1
        self.renewal = Renewal(final, value)
        self.queue = None
        self.history, self.patches = {}, {}
        self.configuration, self.fresh, self.final = 0, 0, None
        self.payload = value
        self.pin(self.renewed)
        self.context = self.ask("init", self.program.chart.init, value)

    def patch(self, name: str) -> bool:
        """Whether the run goes the new way, see `deterministic.patched`."""
        pinned = self.patches.get(name)
        if pinned is None:
            if name not in self.program.chart.patches:
                raise UsageError(
                    f"patched({name!r}) was not seen in the machine's code, so that no run was told of it at "
                    "its beginning; write its name out, in functions of the machine's own package"
                )
            pinned = False
            self.patches = {**self.patches, name: pinned}
        return pinned

    # --- how long it may take ---------------------------------------------------------------------

    def bound(self, start: Start) -> bool:
        """Give a run that begins its deadline, if it has one; True where that is over already."""
        declared, due = self.program.chart.deadline, start.deadline
        if due is None:
            if declared is None:
                return False
            due = (start.begun or self.now) + self._length("deadline()", declared)
        self.bounds = Bounds(due)
        if due <= self.now:
            return True
        self.own = (StartTimer(OWN, DEADLINE, ROOT, due),)
        return False

    def let_pass(self, *, passed: bool) -> None:
        """The deadline is behind the run. :param passed: it only goes on to clean up."""
        bounds = self.bounds or Bounds()
        self.bounds = replace(bounds, deadline=None, passed=bounds.passed or passed)

    def stop_within(self, arcs: tuple[Arc, ...], edges: tuple[int, ...]) -> None:
        """Bound what these edges led to, those of `arcs` that were taken; the earliest instant stays."""
        for arc in arcs:
            within = arc.edge.within
            if within is None or arc.number not in edges:
                continue
            site = f"within= of edge {arc.number} of {self._name(arc.source)}"
            due, bounds = self.now + self._length(site, within), self.bounds or Bounds()
            if bounds.stop_by is None or due < bounds.stop_by:
                self.bounds = replace(bounds, stop_by=due)
                self.own = (StartTimer(OWN, STOP, ROOT, due),)

    def _length(self, site: str, length: timedelta | Function) -> int:
        """A length of time in microseconds, never less than none."""
        if isinstance(length, Function):
            given = timed(self.ask(site, length, self.context, self.payload))
            if not isinstance(given, timedelta):
                self.fault(site, length, f"returned {given!r}, which is no length of time")
            length = given
        return max(0, span(length))

    @property
    def left(self) -> tuple[str, ...]:
        """What the run has done, or may have done, and has not undone, where it can undo."""
        return left_in(self.ledger) if self.ledger is not None else ()

    # --- timers and activities ------------------------------------------------------------------

    def _close(self, states: tuple[int, ...]) -> None:
        tokens = dict(self.tokens)
        for state in states:
            self.fresh &= ~(1 << state)
            token = tokens.pop(state, None)
            if token is None:  # it was left before anything of it began
                continue
            if self.starts is None or self.starts.pop(state, None) is None:
                self.closes += (Close(token),)
            elif self.ledger is not None:
                self.ledger = unasked(self.ledger, token)
        self.tokens = tokens
        if self.crews:
            self._close_crews(states)

    def open(self) -> None:
        """Give every state entered, and still active, its token, and start its timers and activities."""
        if self.starts is None:
            self.starts = {}
        tokens = dict(self.tokens)
        for number in ascending(self.fresh):
            self.minted += 1
            token = tokens[number] = token_of(self.version, self.minted)
            self.starts[number] = self._opening(number, token, 0, 0)
        self.tokens = tokens
        fresh, self.fresh = self.fresh, 0
        for number in ascending(fresh):
            for crew in self.program.chart.states[number].crews:
                self._assemble(crew, number)

    def _opening(self, number: int, token: int, timers: int, invokes: int) -> list[Command]:
        """What begins with an entry into a state, beyond the timers and invokes that have begun already."""
        state = self.program.chart.states[number]
        commands: list[Command] = [self._timer(timer, number, token) for timer in state.timers[timers:]]
        for invoke in state.invokes[invokes:]:
            start = self._activity(invoke, number, token)
            if start is not None:
                commands.append(start)
        return commands

    # --- crews --------------------------------------------------------------------------------------

    def _assemble(self, crew: Crew, state: int) -> None:
        """Begin a crew of a state that was just entered."""
        site, call = f"{crew.word}({crew.work.name}) of {self._name(state)}", crew.input
        self.minted += 1
        token = token_of(self.version, self.minted)
        if crew.each:
            members = self._collection(site, call, self.context)
        else:
            members = (self.ask(f"input of {site}", call, self.context),)
        closing = crew.closing.value
        if not crew.awaited and crew.closing is Closing.ABANDON:
            self._hire(token, self._member(token, 0, state, crew, members[0]))
            return  # nothing will ever be asked about it
        opened = OpenCrew(state, crew.slot, crew.runs, closing, len(members), 0, (), self.context, members)
        self.crews = {**self.crews, token: self._advance(token, opened, crew)}
        if not members:
            self._queued(self._over(token), ())

    def _collection(self, site: str, function: Function, context: Any) -> Sequence[Any]:
        members = self.ask(f"members of {site}", function, context)
        if not _is_sequence(members):
            self.fault(site, function, f"gave {_kind(members)}, which is no sequence of members")
        if len(members) > MOST_MEMBERS:
            what = f"gave {len(members):,} members; a crew has at most {MOST_MEMBERS:,}"
            self.fault(site, function, what)
        return members

    def _advance(self, token: int, opened: OpenCrew, crew: Crew) -> OpenCrew:
        """Begin members that wait, as many as there is room for."""
        first = opened.next
        last = min(opened.total, first + max(0, (crew.limit if crew.each else 1) - len(opened.open)))
        if first == last:
            return opened
        members = opened.members
        if members is None:
            site = f"{crew.word}({crew.work.name}) of {self._name(opened.state)}"
            members = self._collection(site, crew.input, opened.context)
            if len(members) != opened.total:
                what = f"gave {len(members):,} members, and {opened.total:,} when the crew began"
                self.fault(site, crew.input, what)
        for number in range(first, last):
            self._hire(token, self._member(token, number, opened.state, crew, members[number]))
        return replace(opened, next=last, open=(*opened.open, *range(first, last)), members=members)

    def _member(self, token: int, number: int, state: int, crew: Crew, value: Any) -> Command:
        if isinstance(crew.work, Chart):
            return StartRun(token, number, state, crew.slot, value, crew.awaited)
        if self.program.compensators and crew.work.undo is not None:
            self.ledger = begun(self.ledger or EMPTY, (token, number), Pending(crew.work.name, value))
        return StartActivity(token, number, state, value, activity=crew.work.name)

    def _hire(self, token: int, start: Command) -> None:
        if self.hired is None:
            self.hired = {}
        self.hired.setdefault(token, []).append(start)

    def has_member(self, token: int, number: int) -> bool:
        """Whether that member of that crew is under way."""
        crew = self.crews.get(token)
        return crew is not None and number in crew.open

    def member_ended(self, event: Finished | Failed) -> Key | None:
        """Count a member that was under way. What edges wait for where its crew is over with it."""
        opened = self.crews[event.token]
        crew = self.program.chart.states[opened.state].crews[opened.slot]
        failed = isinstance(event, Failed)
        if failed and not crew.collect:
            self._disband(event.token, ended(opened, event.slot, None))
            return (TriggerKind.CREW_ERROR, opened.state, opened.slot)
        result = event.failure if isinstance(event, Failed) else event.output
        opened = self._advance(event.token, ended(opened, event.slot, result), crew)
        self.crews = {**self.crews, event.token: opened}
        if not opened.done:
            return None
        self.payload = self._results(opened) if crew.each else result
        return self._over(event.token)

    def _results(self, opened: OpenCrew) -> tuple[Any, ...]:
        if opened.knows_all:
            return results(opened)
        if self.program.wants(opened.state, opened.slot):
            raise UsageError("what came of the crew's members is kept beside the run, and was not read")
        return ()

    def _over(self, token: int) -> Key:
        crews = dict(self.crews)
        opened = crews.pop(token)
        self.crews = crews
        return (TriggerKind.CREW_DONE, opened.state, opened.slot)

    def _disband(self, token: int, opened: OpenCrew) -> None:
        """End a crew: what it has under way is closed."""
        self.crews = {each: crew for each, crew in self.crews.items() if each != token}
        hired = [] if self.hired is None else self.hired.pop(token, [])
        if minted_by(token) == self.version:
            if self.ledger is not None:
                self.ledger = unasked(self.ledger, token)
            return  # nothing of it was ever asked for
        if not opened.runs:
            self.closes += (Close(token),)
            return
        new = {start.number for start in hired if isinstance(start, StartRun)}
        numbers = tuple(each for each in opened.open if each not in new)
        if numbers and opened.closing != "abandon":
            self.closes += (CloseRuns(token, numbers, opened.closing),)

    def _close_crews(self, states: tuple[int, ...]) -> None:
        for token, opened in tuple(self.crews.items()):
            if opened.state in states:
                self._disband(token, opened)

    def close_all(self) -> None:
        """Close all that is open, as the end of the run does; nothing of the machine's is run."""
        self._close(tuple(self.tokens))
        self.configuration = 0

    def close_tokens(self, tokens: tuple[int, ...]) -> None:
        """End entries into states that this machine may not even have."""
        self.closes += tuple(Close(token) for token in tokens)

    def go_on_with(
        self, crews: Mapping[int, OpenCrew], states: Mapping[int, int], over: tuple[Command, ...]
    ) -> None:
        """Take crews over from another machine; those of states that do not go on are closed."""
        self.closes += over
        self.crews = crews
        self._close_crews(tuple({crew.state for crew in crews.values() if crew.state not in states}))

    def extend(self, entries: Mapping[int, int], begun: Mapping[int, tuple[int, int]]) -> None:
        """Begin what states have gained since they were entered. :param entries: state → token."""
        self.starts = {} if self.starts is None else self.starts
        for number, token in entries.items():
            more = self._opening(number, token, *begun[number])
            if more:
                self.starts[number] = more

    def _timer(self, timer: Timer, state: int, token: int) -> Command:
        site = f"delay of timer {timer.slot} of {self._name(state)}"
        return StartTimer(token, timer.slot, state, self.now + self._length(site, timer.delay))

    def _activity(self, invoke: Invoke, state: int, token: int) -> Command | None:
        function = invoke.input
        try:
            value = _call(function, self.context, self.payload, self.configuration)
        except Exception as error:
            self._stumble(error, function, f"input of {self._site(invoke, state)}")
            return None
        key = None
        if invoke.key is not None:
            site = f"key of {self._site(invoke, state)}"
            key = self.ask(site, invoke.key, self.context, self.payload)
            if not isinstance(key, str | None):
                self.fault(site, invoke.key, f"returned {key!r}, which is no text")
            if key is not None and (flaw := text_flaw(key)):
                self.fault(site, invoke.key, f"returned {key[:50]!r}: it {flaw}")
        if self.program.compensators and invoke.activity.undo is not None:
            pending = Pending(invoke.activity.name, value, key)
            self.ledger = begun(self.ledger or EMPTY, (token, invoke.slot), pending)
        return StartActivity(token, invoke.slot, state, value, key)

    # --- undoing ----------------------------------------------------------------------------------

    def settle(self, event: Finished | Failed) -> None:
        """Note what an outcome means for what there is to undo."""
        if self.ledger is not None:
            self.ledger, self.fate = settled(self.ledger, event)

    def retry(self) -> None:
        """Try again what is stuck."""
        if self.ledger is not None:
            self.ledger = retried(self.ledger)

    def compensate(self, state: int) -> bool:
        """Ask for what the active state needs to undo next; True where nothing is left and it was told."""
        ledger = self.ledger or EMPTY
        token = self.tokens[state]
        if ledger.pending:
            self._ask_again(ledger, state)
            return False
        if not ledger.done:
            self._queued((TriggerKind.COMPENSATED, state), None)
            return True
        wanted = ledger.done if self._undoes_at_once(state) else ledger.done[-1:]
        entries: list[Done] = []
        for done in ledger.done:
            if done.undo != token and done in wanted:
                self._undo(done, state, token)
                done = replace(done, undo=token, stuck=False)
            entries.append(done)
        self.ledger = replace(ledger, done=tuple(entries))
        return False

    def _undoes_at_once(self, state: int) -> bool:
        compensation = self.program.chart.states[state].compensation
        return compensation is not None and compensation.parallel

    def _undo(self, done: Done, state: int, token: int) -> None:
        undo = self.program.chart.activities[done.activity].undo
        assert undo is not None, "only what has an undo is in the ledger"
        command = StartActivity(token, done.number | UNDO, state, done.output, activity=undo.name)
        self.repairs = (command, *self.repairs)

    def _ask_again(self, ledger: Ledger, state: int) -> None:
        """What ended without telling whether it was done is asked again, under its own key."""
        asked: dict[tuple[int, int], Pending] = {}
        for (token, slot), each in ledger.pending.items():
            if each.unknown and not each.asked:
                command = StartActivity(token, slot | AGAIN, state, each.input, each.key, each.activity)
                self.repairs += (command,)
                asked[token, slot] = replace(each, asked=True)
        if asked:
            self.ledger = replace(ledger, pending={**ledger.pending, **asked})

    def _site(self, invoke: Invoke, state: int) -> str:
        return f"activity {invoke.activity.name} of {self._name(state)}"

    def commands(self) -> tuple[Command, ...]:
        """What is asked of the world: closes, sends, starts, timers of the run itself."""
        asked = self.closes + self.sends
        if self.starts:
            for starts in self.starts.values():
                asked += tuple(starts)
        if self.hired:
            for starts in self.hired.values():
                asked += tuple(starts)
        return asked + self.repairs + self.own

    # --- faults ---------------------------------------------------------------------------------

    def _stumble(self, error: Exception, function: Function, site: str) -> None:
        dialect = self.program.dialect
        if dialect is None:
            self.fault(site, function, _told(error), error)
        self.queue_event(dialect.error(self.context, error))

    def fault(
        self, site: str, function: Function | None, what: str, cause: BaseException | None = None
    ) -> NoReturn:
        """Give the macrostep up."""
        place = None if function is None else function.place
        where = site if place is None else f"{site} ({place})"
        raise MachineFault(self.program.chart.name, where, what) from cause

    def _name(self, state: int) -> str:
        return self.program.chart.states[state].path or self.program.chart.name


def _call(function: Function, context: Any, payload: Any, configuration: int) -> Any:
    call: Callable[..., Any] = function.call
    if function.arity == 1:
        return call(context)
    if function.arity == 2:
        return call(context, payload)
    return call(context, payload, configuration)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _kind(value: Any) -> str:
    return type(value).__name__


def _each(value: Any) -> tuple[object, ...]:
    return cast("tuple[object, ...]", value) if type(value) is tuple else (value,)


def _catches(error: str, payload: Any) -> bool:
    return isinstance(payload, Failure) and (payload.type == error or error in payload.bases)


def _told(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # an error that cannot even be printed must not hide where it happened
        return type(error).__name__
