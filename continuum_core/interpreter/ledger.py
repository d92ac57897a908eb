"""What a run has done and may have to undo, and which of it is still under way. Pure values.

An activity with an undo is *pending* from the step that starts it until its outcome is known, whatever
becomes of the state that asked for it; then, if it succeeded, it is *done* and stands in the ledger until
its undo has succeeded. A failure that does not tell whether the work was done (`Failure.unknown`) leaves it
pending: whoever undoes asks it again, under its own idempotency key, until it is known.

Tasks of undos and of repeated questions belong to no invoke of a state. Their slots have a bit of their own,
so that no edge takes their outcomes for those of an invoke.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.interpreter.events import Failed, Finished

__all__ = [
    "AGAIN",
    "EMPTY",
    "UNDO",
    "Done",
    "Fate",
    "Ledger",
    "Pending",
    "begun",
    "left_in",
    "retried",
    "settled",
    "unasked",
]

UNDO = 1 << 20
"""Added to the number of an entry: the slot of its undo's task."""

AGAIN = 1 << 21
"""Added to the slot of an activity that is asked again; the idempotency key does without."""

Name = tuple[int, int]
"""(token, slot) of an activity's task, without `AGAIN`."""


class Pending(Struct, frozen=True, gc=False):
    """An activity with an undo whose outcome is not known yet.

    :ivar unknown: it ended without telling whether the work was done.
    :ivar asked: so it was asked again, and that is under way.
    :ivar stuck: so did that, and the run is parked.
    """

    activity: str
    input: Any
    key: str | None = None
    unknown: bool = False
    asked: bool = False
    stuck: bool = False


class Done(Struct, frozen=True, gc=False):
    """An activity that succeeded and is not undone yet.

    :ivar number: counts the run's entries, from 1; the order in which they became known.
    :ivar undo: the token of the state entry that undoes it now; 0: none does.
    :ivar stuck: its undo failed for good, and the run is parked.
    """

    number: int
    activity: str
    output: Any
    undo: int = 0
    stuck: bool = False


class Ledger(Struct, frozen=True, gc=False):
    """What is pending, by name; what is done, oldest first; and how many entries there ever were."""

    pending: Mapping[Name, Pending]
    done: tuple[Done, ...]
    count: int = 0


EMPTY = Ledger({}, ())


class Fate(enum.Enum):
    """What an outcome meant for the ledger."""

    SETTLED = "settled"  # it is known now, or an undo is done: the rest may go on
    STUCK = "stuck"  # a human must look
    AGAIN = "again"  # a human has looked: what was stuck is to be tried again


def begun(ledger: Ledger, name: Name, pending: Pending) -> Ledger:
    """An activity with an undo is started."""
    return replace(ledger, pending={**ledger.pending, name: pending})


def unasked(ledger: Ledger, token: int) -> Ledger:
    """What a state entry started in this very macrostep is not asked for after all."""
    kept = {name: each for name, each in ledger.pending.items() if name[0] != token}
    return ledger if len(kept) == len(ledger.pending) else replace(ledger, pending=kept)


def retried(ledger: Ledger) -> Ledger:
    """Whoever lifts a parking by other means has looked, too: what was stuck is to be tried again."""
    pending = {
        name: replace(each, asked=False, stuck=False) if each.stuck else each
        for name, each in ledger.pending.items()
    }
    done = tuple(replace(each, undo=0, stuck=False) if each.stuck else each for each in ledger.done)
    return Ledger(pending, done, ledger.count)


def left_in(ledger: Ledger) -> tuple[str, ...]:
    """What is not undone, for people: activities that were done, oldest first, and that may have been."""
    done = [each.activity for each in ledger.done]
    return (*done, *(f"{each.activity} (not known)" for each in ledger.pending.values()))


def settled(ledger: Ledger, event: Finished | Failed) -> tuple[Ledger, Fate | None]:
    """The ledger after an outcome; None where it is about nothing in it."""
    name = (event.token, event.slot & ~AGAIN)
    pending = ledger.pending.get(name)
    if pending is not None:
        return _known(ledger, name, pending, event)
    for done in ledger.done:
        if done.undo == event.token and done.number | UNDO == event.slot:
            return _undone(ledger, done, event)
    return ledger, None


def _known(
    ledger: Ledger, name: Name, pending: Pending, event: Finished | Failed
) -> tuple[Ledger, Fate | None]:
    rest = {other: each for other, each in ledger.pending.items() if other != name}
    if isinstance(event, Finished):
        count = ledger.count + 1
        done = Done(count, pending.activity, event.output)
        return Ledger(rest, (*ledger.done, done), count), Fate.SETTLED
    if not event.failure.unknown:
        return replace(ledger, pending=rest), Fate.SETTLED
    if pending.stuck:
        again, fate = replace(pending, asked=False, stuck=False), Fate.AGAIN
    elif pending.asked:
        again, fate = replace(pending, stuck=True), Fate.STUCK
    else:
        again, fate = replace(pending, unknown=True), Fate.SETTLED
    return replace(ledger, pending={**ledger.pending, name: again}), fate


def _undone(ledger: Ledger, done: Done, event: Finished | Failed) -> tuple[Ledger, Fate | None]:
    if isinstance(event, Finished):
        left = tuple(each for each in ledger.done if each is not done)
        return replace(ledger, done=left), Fate.SETTLED
    after = replace(done, undo=0, stuck=False) if done.stuck else replace(done, stuck=True)
    entries = tuple(after if each is done else each for each in ledger.done)
    return replace(ledger, done=entries), Fate.AGAIN if done.stuck else Fate.STUCK
