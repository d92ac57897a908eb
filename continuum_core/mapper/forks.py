"""The first record of a fork: what a run takes over of another run's past.

A fork begins with a delivery that carries everything: states, context, histories, and what was open. So
it needs nothing of the run it comes from, which may be pruned, and whoever has the code of its machine
can take its first turn. What was open is asked for anew, under tokens of its own: a timer with the time
it had left, an activity from its first attempt, a deferred event as a message of the run to itself. So is
the run's deadline; what it was given to stop is not, for nobody has asked the fork to stop.
"""

from __future__ import annotations

from continuum_core.definition.chart import ROOT
from continuum_core.definition.message import Message
from continuum_core.envelope import ForkBody, OpenActivity, OpenTimer, SignalBody, read, write
from continuum_core.errors import UnknownVersion
from continuum_core.interpreter.bounds import DEADLINE, OWN, Bounds
from continuum_core.interpreter.commands import Command, Send, StartActivity, StartTimer
from continuum_core.interpreter.program import ascending
from continuum_core.interpreter.progress import token_of
from continuum_core.interpreter.snapshot import Disposition, Snapshot, Step
from continuum_core.mapper.images import recorded_histories
from continuum_core.registry import Entry

__all__ = ["decode_fork", "encode_fork", "take_up"]


def encode_fork(body: ForkBody) -> bytes:
    """The payload of a FORK delivery."""
    return write(body)


def decode_fork(payload: bytes) -> ForkBody:
    """Raises UnknownVersion."""
    return read(ForkBody, payload)


def take_up(entry: Entry, before: Snapshot, payload: bytes, now: int, run: str) -> Step:
    """The step that makes a run out of what it takes over; the interpreter has no part in it.

    :param before: the run before its first event.
    :param now: the journal's time in microseconds, from which timers count what they had left.

    Raises UnknownVersion for what this code cannot take over, and for a run that has begun.
    """
    body = decode_fork(payload)
    if before.configuration or before.outcome is not None:
        raise UnknownVersion("a fork begins a run, and this one has begun already")
    version, at = before.version + 1, max(now, before.now)
    configuration = entry.configuration(body.states)
    owners = configuration & entry.program.owners
    tokens = {state: token_of(version, nth) for nth, state in enumerate(ascending(owners), 1)}
    commands: list[Command] = [Send(_again(entry, bytes(raw), run)) for raw in body.deferred]
    for timer in body.timers:
        state = _owner(entry, tokens, timer)
        if timer.slot >= len(entry.chart.states[state].timers):
            raise UnknownVersion(f"{timer.state} has no timer number {timer.slot} any more")
        commands.append(StartTimer(tokens[state], timer.slot, state, at + max(0, timer.left)))
    for open_ in body.activities:
        state = _owner(entry, tokens, open_)
        invoked = entry.invoked.get((state, open_.slot))
        if invoked is None or invoked.activity.name != open_.activity:
            raise UnknownVersion(f"{open_.state} has no activity {open_.activity!r} in place {open_.slot}")
        value = invoked.input.decode(bytes(open_.input))
        commands.append(StartActivity(tokens[state], open_.slot, state, value, open_.key))
    deadline = None if body.deadline is None else at + max(0, body.deadline)
    if deadline is not None:
        commands.append(StartTimer(OWN, DEADLINE, ROOT, deadline))
    snapshot = Snapshot(
        version=version,
        configuration=configuration,
        context=entry.context.decode(bytes(body.context)),
        history=recorded_histories(entry, body.history),
        tokens=tokens,
        now=at,
        patches=body.patches,
        bounds=None if deadline is None else Bounds(deadline),
    )
    return Step(snapshot, Disposition.TAKEN, (), tuple(commands))


def _again(entry: Entry, payload: bytes, run: str) -> Message:
    """A deferred event, on its way to the fork as it once was to the run it comes from."""
    body = read(SignalBody, payload)
    codec = entry.events.get(body.type)
    if codec is None:
        raise UnknownVersion(f"{entry.chart.name} has no event {body.type!r} any more, and one was deferred")
    return Message(codec.decode(bytes(body.data)), run=run)


def _owner(entry: Entry, tokens: dict[int, int], open_: OpenTimer | OpenActivity) -> int:
    state = entry.numbers.get(open_.state)
    if state is None or state not in tokens:
        raise UnknownVersion(f"{entry.chart.name} has nothing that {open_.state!r} could have open")
    return state
