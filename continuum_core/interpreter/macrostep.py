"""`step`: what one event does to one run. Pure: the same arguments give the same `Step`, always.

SCXML, appendix D: mainEventLoop, for one external event. Eventless edges first, then the internal
queue, until neither has anything left; then timers and activities of the states entered start.
One call is one macrostep and one record: between two calls the internal queue is empty and the
configuration legal, which is why a run can be stored there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from continuum_core.definition.chart import ROOT, TriggerKind
from continuum_core.deterministic import drawing
from continuum_core.errors import UsageError
from continuum_core.interpreter.bounds import DEADLINE, OWN, STOP
from continuum_core.interpreter.events import (
    Cancel,
    Event,
    Failed,
    Finished,
    Signal,
    Start,
    TimedOut,
    Undeclared,
)
from continuum_core.interpreter.layout import Layout, layout_of, within_deferral
from continuum_core.interpreter.ledger import Fate
from continuum_core.interpreter.microstep import Plan, birth, farewell, plan_of
from continuum_core.interpreter.program import Arc, Key, Program, program_of
from continuum_core.interpreter.progress import Progress
from continuum_core.interpreter.select import enabled
from continuum_core.interpreter.snapshot import Disposition, Outcome, OutcomeKind, Snapshot, Step

__all__ = ["arrive", "awaits", "step", "unborn"]

_TAKEN = Disposition.TAKEN
_Ending = Finished, Failed  # a pair made once: `Finished | Failed` would be put together at every step
_Unasked = Signal, Undeclared


def unborn(machine: Any) -> Snapshot:
    """The run before its first event, which must be a `Start`. Raises UsageError for what is no machine."""
    program_of(machine)
    return Snapshot(version=0, configuration=0, context=None, history={}, tokens={}, now=0)


def step(
    machine: Any,
    snapshot: Snapshot,
    event: Event,
    now: int,
    seed: bytes = b"",
    *,
    max_microsteps: int = 1000,
    renewed: Mapping[str, bool] | None = None,
) -> Step:
    """The run after one event, and what it asks of the world.

    :param machine: a Program, a Chart, or a class whose `chart` is one.
    :param now: the journal's time in microseconds; the record keeps the later of it and the last one.
    :param seed: what this run's chance is derived from (see `continuum_core.deterministic`).
    :param max_microsteps: beyond this many the machine is taken to run in circles.
    :param renewed: the patches to pin where the run continues as new; None: all that the machine knows.

    Raises MachineFault where the machine's own code fails: nothing has changed then. Raises
    UsageError for a run that has ended, or whose first event is no `Start`.
    """
    program = machine if type(machine) is Program else program_of(machine)
    if snapshot.outcome is not None or snapshot.configuration == 0 or type(event) is Start:
        _check(snapshot, event)
    at = snapshot.now if now < snapshot.now else now
    key, payload = _arrival(event, snapshot)
    progress = Progress(program, snapshot, payload, at, seed)
    if renewed is not None:
        progress.renewed = renewed
    if snapshot.ledger is not None:
        if isinstance(event, _Ending):
            progress.settle(event)
        elif isinstance(event, Cancel) or _is_deadline(event):
            progress.retry()  # a cancel lifts a parking, and so does the deadline
    reset = drawing.set(progress)
    try:
        if snapshot.crews and isinstance(event, _Ending) and progress.has_member(event.token, event.slot):
            key = progress.member_ended(event)
            if key is None:
                return _counted(progress, max_microsteps)
        return _macrostep(progress, event, key, max_microsteps)
    finally:
        drawing.reset(reset)


def awaits(program: Program, snapshot: Snapshot, cls: type) -> bool:
    """Whether some edge from where the run is waits for events of this class, be it guarded."""
    return bool(layout_of(program, snapshot.configuration).candidates(program, cls))


def arrive(
    progress: Progress,
    plan: Plan,
    begin: int,
    begun: Mapping[int, tuple[int, int]],
    max_microsteps: int = 1000,
) -> Step:
    """Take a plan that no edge led to, and all that follows from it, as one macrostep.

    :param begin: mask of the states whose timers and activities begin.
    :param begun: state → how many of its timers and activities are open; those beyond begin.

    Raises MachineFault.
    """
    going_on = progress.tokens
    progress.take(plan)
    progress.fresh = begin
    _complete(progress, max_microsteps)
    if progress.final is not None:
        return _ended(progress, progress.final, Undeclared(""))
    if progress.renewal is not None:
        return _step(progress, _TAKEN)
    progress.extend({n: t for n, t in going_on.items() if progress.tokens.get(n) == t}, begun)
    return _step(progress, _TAKEN)


def _check(snapshot: Snapshot, event: Event) -> None:
    if snapshot.outcome is not None:
        raise UsageError(f"the run is over ({snapshot.outcome.kind.value}) and takes no more events")
    begins = isinstance(event, Start)
    # Not by the version: orders (suspend, resume) are records too, and may come before the start.
    unborn_ = snapshot.configuration == 0
    if begins != unborn_ and not (unborn_ and isinstance(event, Cancel | Signal | Undeclared)):
        what = "it has begun already" if begins else "its first event must be a Start"
        raise UsageError(f"a run cannot take {type(event).__name__} here: {what}")


def _arrival(event: Event, snapshot: Snapshot) -> tuple[Key | None, Any]:
    """What edges know the event by (None: nothing can want it), and what functions get of it."""
    match event:
        case Signal():
            signal: object = event.event
            return type(signal), signal
        case TimedOut():
            if event.token == OWN:
                return TriggerKind.DEADLINE, None
            return _owned(TriggerKind.AFTER, event.token, event.slot, snapshot), None
        case Finished():
            # What members of crews tell is counted first: `_member`.
            return _owned(TriggerKind.INVOKE_DONE, event.token, event.slot, snapshot), event.output
        case Failed():
            return _owned(TriggerKind.INVOKE_ERROR, event.token, event.slot, snapshot), event.failure
        case Start():
            return None, event.input
        case Cancel():
            asked = snapshot.configuration and not event.terminate
            return TriggerKind.CANCEL if asked else None, event
        case Undeclared():
            return None, None


def _owned(kind: TriggerKind, token: int, slot: int, snapshot: Snapshot) -> Key | None:
    for state, live in snapshot.tokens.items():
        if live == token:
            return (kind, state, slot)
    return None


def _macrostep(progress: Progress, event: Event, key: Key | None, max_microsteps: int) -> Step:
    program = progress.program
    if not progress.configuration and isinstance(event, _Unasked):
        return _step(progress, Disposition.DEFERRED)  # until the run has begun
    if progress.fate is Fate.STUCK:
        return _step(progress, Disposition.STUCK)
    if key is TriggerKind.DEADLINE and isinstance(event, TimedOut):
        return _ran_out(progress, event, max_microsteps)
    if key is not None:
        layout = layout_of(program, progress.configuration)
        if isinstance(key, type) and key in layout.deferred:
            chosen = enabled(within_deferral(program, layout, key), progress)
        else:
            chosen = enabled(layout.candidates(program, key), progress)
        if chosen:
            cancel = event if isinstance(event, Cancel) else None
            if cancel is not None and any(arc.edge.targets for arc in chosen):
                progress.cancelling = cancel.reason
            plan = plan_of(program, layout, chosen, progress.history)
            progress.take(plan)
            if cancel is not None:
                progress.stop_within(chosen, plan.edges)
        elif isinstance(event, Cancel):
            return _cancelled(progress, event)
        elif progress.fate is not None:
            return _settled(progress, max_microsteps)
        elif program.dialect is None:
            return _step(progress, _unwanted(layout, event))
    elif isinstance(event, Start):
        progress.pin(event.patches)
        progress.context = progress.ask("init", program.chart.init, event.input)
        if progress.bound(event):
            progress.context = None  # as of a run that was cancelled before it began
            return _step(progress, _TAKEN, Outcome(OutcomeKind.TIMED_OUT))
        progress.take(birth(program, layout_of(program, 0)))
    elif isinstance(event, Cancel):
        return _terminated(progress, event) if event.terminate else _cancelled(progress, event)
    elif isinstance(event, Undeclared):
        return _step(progress, Disposition.UNHANDLED)
    elif progress.fate is not None:
        return _settled(progress, max_microsteps)
    else:
        return _step(progress, Disposition.STALE)
    _complete(progress, max_microsteps)
    if progress.final is not None:
        return _ended(progress, progress.final, event)
    return _step(progress, _TAKEN)


def _is_deadline(event: Event) -> bool:
    return isinstance(event, TimedOut) and event.token == OWN and event.slot == DEADLINE


def _ran_out(progress: Progress, event: TimedOut, max_microsteps: int) -> Step:
    """A time of the run itself is over: its deadline, or what it was given to stop.

    At the deadline an edge for it is taken; else what the machine does when it is cancelled; else the run is
    over at once. What was given to stop has no such edges, and nothing of the machine's is run then; nor is
    at a deadline at which that failed before.
    """
    program, bounds = progress.program, progress.bounds
    if bounds is None or (bounds.stop_by if event.slot == STOP else bounds.deadline) is None:
        return _step(progress, Disposition.STALE)
    if event.slot == STOP:
        progress.close_all()
        reason = "it had not stopped in the time that it was given"
        return _step(progress, _TAKEN, Outcome(OutcomeKind.TERMINATED, reason, left=progress.left))
    if event.slot != DEADLINE:
        progress.close_all()
        ended = Outcome(OutcomeKind.TIMED_OUT, left=progress.left, reason=event.reason)
        return _step(progress, _TAKEN, ended)
    layout = layout_of(program, progress.configuration)
    chosen: tuple[Arc, ...] = ()
    for key in (TriggerKind.DEADLINE, TriggerKind.CANCEL):
        chosen = chosen or enabled(layout.candidates(program, key), progress)
    if not chosen:
        progress.take(farewell(program, layout))
        return _step(progress, _TAKEN, Outcome(OutcomeKind.TIMED_OUT, left=progress.left))
    progress.let_pass(passed=progress.cancelling is None and any(arc.edge.targets for arc in chosen))
    plan = plan_of(program, layout, chosen, progress.history)
    progress.take(plan)
    progress.stop_within(chosen, plan.edges)
    _complete(progress, max_microsteps)
    if progress.final is not None:
        return _ended(progress, progress.final, event)
    return _step(progress, _TAKEN)


def _counted(progress: Progress, max_microsteps: int) -> Step:
    """A member of a crew ended and others are left. It may also be what an undoing state waits for."""
    if progress.fate is Fate.STUCK:
        return _step(progress, Disposition.STUCK)
    if progress.fate is not None:
        return _settled(progress, max_microsteps)
    return _step(progress, Disposition.COUNTED)


def _settled(progress: Progress, max_microsteps: int) -> Step:
    """An outcome that no edge wants tells what is to be undone, which may be what the run waits for."""
    _complete(progress, max_microsteps)
    if progress.final is not None:
        return replace(_ended(progress, progress.final, None), disposition=Disposition.SETTLED)
    return _step(progress, Disposition.SETTLED)


def _complete(progress: Progress, max_microsteps: int) -> None:
    """Take microsteps until nothing is enabled and the internal queue is empty."""
    program = progress.program
    while progress.final is None or _renewed(progress, progress.final, max_microsteps):
        layout = layout_of(program, progress.configuration)
        chosen = enabled(layout.always, progress) if layout.always else ()
        if not chosen:
            if layout.choice is not None:
                name = program.chart.states[layout.choice].path
                progress.fault(f"choice {name}", None, "none of its edges is enabled; give it a default")
            if not progress.queue:
                if progress.fresh:
                    progress.open()
                elif not (program.compensators and _compensated(progress)):
                    return
                continue
            key, progress.payload = progress.queue.popleft()
            chosen = enabled(layout.candidates(program, key), progress)
            if not chosen:
                continue
        if len(progress.edges) >= max_microsteps:
            progress.fault("macrostep", None, f"more than {max_microsteps} microsteps: it runs in circles")
        progress.take(plan_of(program, layout, chosen, progress.history))


def _renewed(progress: Progress, final: int, max_microsteps: int) -> bool:
    """Whether the run, which has reached its end, continues as new, and is at its beginning again."""
    program = progress.program
    anew = program.chart.states[final].anew
    if anew is None or progress.cancelling is not None or _is_late(progress):  # a cancel is never lost
        return False
    if len(progress.edges) >= max_microsteps:
        progress.fault("macrostep", None, f"more than {max_microsteps} microsteps: it runs in circles")
    progress.take(farewell(program, layout_of(program, progress.configuration)))
    progress.renew(final, anew)
    progress.take(birth(program, layout_of(program, 0)))
    progress.edges += ((),)  # a microstep without an edge, which counts as one
    return True


def _is_late(progress: Progress) -> bool:
    """Whether it only goes on to clean up, since its deadline passed."""
    return progress.bounds is not None and progress.bounds.passed


def _compensated(progress: Progress) -> bool:
    """Whether an active state has nothing left to undo, which it has just told."""
    undoing = progress.program.compensators & progress.configuration
    return bool(undoing) and progress.compensate(undoing.bit_length() - 1)


def _unwanted(layout: Layout, event: Event) -> Disposition:
    if isinstance(event, Signal) and type(event.event) in layout.deferred:
        return Disposition.DEFERRED
    return Disposition.UNHANDLED


def _ended(progress: Progress, final: int, event: Event | None) -> Step:
    program = progress.program
    state = program.chart.states[final]
    progress.take(farewell(program, layout_of(program, progress.configuration)))
    progress.configuration = 1 << final | 1 << ROOT
    failure = event.failure if isinstance(event, Failed) else None
    if state.ok and state.anew is None:
        result = progress.ask("result", program.chart.result, progress.context, progress.payload)
        return _step(progress, _TAKEN, Outcome(OutcomeKind.COMPLETED, result, final))
    if progress.cancelling is not None:
        stopped = Outcome(OutcomeKind.CANCELLED, progress.cancelling, final, left=progress.left)
        return _step(progress, _TAKEN, stopped)
    verdict = program.chart.verdict if state.anew is None else None
    value = None if verdict is None else progress.ask("verdict", verdict, progress.context, progress.payload)
    if _is_late(progress):
        late = Outcome(OutcomeKind.TIMED_OUT, value, final, failure, progress.left)
        return _step(progress, _TAKEN, late)
    return _step(progress, _TAKEN, Outcome(OutcomeKind.FAILED, value, final, failure))


def _cancelled(progress: Progress, event: Cancel) -> Step:
    if progress.configuration:
        progress.take(farewell(progress.program, layout_of(progress.program, progress.configuration)))
    return _step(progress, _TAKEN, Outcome(OutcomeKind.CANCELLED, event.reason, left=progress.left))


def _terminated(progress: Progress, event: Cancel) -> Step:
    """The parent's word is final: nothing of the machine's is run any more, but what it opened is closed."""
    progress.close_all()
    return _step(progress, _TAKEN, Outcome(OutcomeKind.TERMINATED, event.reason, left=progress.left))


def _step(progress: Progress, disposition: Disposition, outcome: Outcome | None = None) -> Step:
    after = Snapshot(
        progress.version,
        progress.configuration,
        progress.context,
        progress.history,
        progress.tokens,
        progress.now,
        outcome,
        progress.ledger,
        progress.cancelling,
        progress.patches,
        progress.generation,
        progress.crews,
        progress.bounds,
    )
    commands = progress.commands()
    return Step(after, disposition, progress.edges, commands, progress.renewal, progress.reply)
