"""One run as a value: everything `step` needs to know of the past.

States and sets of states are numbers and bit masks of the chart that is running; the stored form
(`mapper`) names states by path, so that a chart may gain states between two turns.

`Snapshot` and `Step` are made once per transition, so they are frozen `msgspec` structures: as
immutable, comparable and readable as frozen `attrs` classes, at an eighth of the price of making
one. The garbage collector passes them by (``gc=False``), for nothing that they hold can come to hold
them: a context is a value. A changed copy comes from ``msgspec.structs.replace``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from msgspec import Struct

from continuum_core.interpreter.bounds import Bounds
from continuum_core.interpreter.commands import Command
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.ledger import Ledger

__all__ = ["Disposition", "Outcome", "OutcomeKind", "Renewal", "Reply", "Snapshot", "Step"]


class OutcomeKind(enum.Enum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"  # by its parent, whose end it did not survive; or it did not stop in time
    TIMED_OUT = "timed-out"  # its deadline passed


@frozen
class Outcome:
    """The end of a run: its result, or its verdict and the final state, or why it was cancelled or
    terminated.

    :ivar left: of a run that was stopped: what it had done, or may have done, and has not undone.
    """

    kind: OutcomeKind
    value: Any = (
        None  # COMPLETED: the result; FAILED, TIMED_OUT: the verdict; CANCELLED, TERMINATED: the reason
    )
    state: int | None = None  # the final state entered
    failure: Any = None  # FAILED: the last activity Failure that this macrostep took, if any
    left: tuple[str, ...] = ()
    reason: str = ""  # TIMED_OUT: what failed at the deadline, if anything did


class Snapshot(Struct, frozen=True, gc=False):
    """A run at rest, between two macrosteps. The mappings are never changed in place.

    :ivar version: number of the run's last record; 0 before the first.
    :ivar configuration: bit mask of all active states, ancestors and root included; 0 before the start
        and after a cancellation; the root and the final state alone once the run reached its end.
    :ivar context: the user's value.
    :ivar history: history state number → bit mask of what was recorded.
    :ivar tokens: state number → token of its current entry, for active states with timers or activities.
    :ivar now: `now` of the last record, microseconds.
    :ivar outcome: set once, when the run ended.
    :ivar ledger: what there is to undo; None where nothing ever was.
    :ivar cancelling: the run took an edge because somebody cancelled it.
    :ivar patches: name → whether the run goes the new way; pinned once and for all.
    :ivar generation: how often the run continued as new.
    :ivar crews: token → crew that is not over.
    :ivar bounds: when the run has to be over; None: nothing bounds it.
    """

    version: int
    configuration: int
    context: Any
    history: Mapping[int, int]
    tokens: Mapping[int, int]
    now: int
    outcome: Outcome | None = None
    ledger: Ledger | None = None
    cancelling: str | None = None
    patches: Mapping[str, bool] = {}
    generation: int = 0
    crews: Mapping[int, OpenCrew] = {}
    bounds: Bounds | None = None


class Disposition(enum.Enum):
    """What became of the event."""

    TAKEN = "taken"  # at least one edge was taken (or the run began or was cancelled)
    UNHANDLED = "unhandled"  # no edge wanted it; it is consumed and recorded as such
    DEFERRED = "deferred"  # a state keeps it for later: it stays a delivery, held
    STALE = "stale"  # its state entry is over: consumed without an edge
    COUNTED = "counted"  # a member of a crew ended, and others are left
    SETTLED = "settled"  # no edge wanted it; it told what became of something that is, or may be, undone
    STUCK = "stuck"  # an undo failed for good, or cannot be known to be needed: a human must look


@frozen
class Renewal:
    """The run continued as new: from the final state `state` on, with this input."""

    state: int
    input: Any


class Reply(Struct, frozen=True, gc=False):
    """What an edge said that whoever asked is told: `value`, which may be None."""

    value: Any


class Step(Struct, frozen=True, gc=False):
    """The outcome of one macrostep.

    :ivar snapshot: the run after it; its version is one more than before.
    :ivar edges: numbers of the edges taken, one tuple a microstep.
    :ivar commands: what is asked of the world: closes in exit order, then sends as they were made,
        then timers and activities in entry order, at last timers of the run itself.
    :ivar renewal: set where the run continued as new on the way.
    :ivar reply: what the first of the edges that took the event, and says something, replies to it.
    """

    snapshot: Snapshot
    disposition: Disposition
    edges: tuple[tuple[int, ...], ...]
    commands: tuple[Command, ...]
    renewal: Renewal | None = None
    reply: Reply | None = None
