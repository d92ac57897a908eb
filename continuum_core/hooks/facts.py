"""What hooks are told: values, which only ever gain fields.

Times are the journal's, in microseconds since the epoch (`continuum_core.clock`); lengths that end in
`seconds` are a worker's own monotonic clock, which no journal's is compared with. Payloads in them are plain,
as the machine sees them, whatever payload codecs make of them in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.records import DeliveryKind, Record, RunStatus

__all__ = [
    "AttemptFacts",
    "BatchFacts",
    "Headers",
    "HealthSection",
    "JournalFacts",
    "MachineFacts",
    "Outgoing",
    "ReportFacts",
    "RunFacts",
    "TurnFacts",
    "WorkerFacts",
]

Headers = Mapping[str, str]
"""Small texts that travel beside a payload, such as a W3C ``traceparent``; see `envelope.with_headers`."""


class MachineFacts(Struct, frozen=True, gc=False):
    """A version of a machine that this process knows.

    :ivar types: of its input, context, events, result and verdict, and of what its activities take and give.
    """

    machine: str
    version: int
    fingerprint: str
    activities: tuple[str, ...]
    types: tuple[object, ...] = ()


class JournalFacts(Struct, frozen=True, gc=False):
    """A journal as it was opened. `durability` is one sentence for people."""

    namespace: str
    backend: str
    durability: str
    schema: int


class WorkerFacts(Struct, frozen=True, gc=False):
    """A worker. `queues` are (name, activities at once)."""

    namespace: str
    machines: tuple[str, ...]
    queues: tuple[tuple[str, int], ...]


class RunFacts(Struct, frozen=True, gc=False):
    """A run, as what happened to it left it.

    :ivar machine: "" where the teller knows no more of the run than its id.
    :ivar machine_version: of the definition that runs it; 0 where that is not known.
    :ivar version: the number of its last record; 0 where that is not known.
    :ivar cause: why it is parked, or what the canceller said.
    """

    namespace: str
    run_id: UUID
    machine: str
    machine_version: int
    fingerprint: str
    status: RunStatus
    version: int = 0
    cause: str = ""
    key: str | None = None


class TurnFacts(Struct, frozen=True, gc=False):
    """One turn of one run.

    :ivar turn_id: names the turn: the commit id that its records carry.
    :ivar version: the number of the run's last record once the turn stands.
    :ivar status: of the run then.
    :ivar events: what it took, in order; the first `len(headers)` deliveries of the claim.
    :ivar headers: of each of these, {} where it carried none.
    :ivar activities: those that it asks for.
    :ivar messages: how many events it sends to runs.
    :ivar due: since when the first of its events was due; None where the journal has not told.
    :ivar now: the journal's time that the turn was given.
    :ivar fused: it rides on the start of its run or on the outcome of an activity.
    :ivar seconds: from when it was taken to when the journal had answered; 0 before that.
    """

    namespace: str
    run_id: UUID
    turn_id: UUID
    machine: str
    machine_version: int
    fingerprint: str
    version: int
    status: RunStatus
    events: tuple[DeliveryKind, ...]
    headers: tuple[Headers, ...]
    activities: tuple[str, ...]
    messages: int
    due: Micros | None
    now: Micros
    fused: bool
    seconds: float = 0.0


class BatchFacts(Struct, frozen=True, gc=False):
    """What one call of the journal wrote.

    :ivar verb: ``start``, ``commit`` or ``finish``.
    :ivar members: how many starts, turns or outcomes were in the batch, those that were refused included.
    :ivar records: of the turns that stand, in the order of the batch.
    :ivar seconds: until the journal had answered.
    """

    namespace: str
    verb: str
    members: int
    records: tuple[Record, ...]
    seconds: float


class AttemptFacts(Struct):
    """One attempt of one task; the same object from its beginning to its report.

    :ivar number: 1 for the first try, one more for each reported failure.
    :ivar losses: workers that died, or stood still, in the middle of earlier tries.
    :ivar key: the idempotency key that the body is given.
    :ivar scheduled: when the task was asked for.
    :ivar due: since when it could be claimed: later than `scheduled` where it is tried again.
    :ivar headers: what the turn that asked for it sent along.
    :ivar ended: how the body ended: ``succeeded``, ``raised`` or ``cancelled``; "" while it has not. Set
        before the context manager of `around_attempt` is left.
    :ivar failure: the type of what it raised, by its full name, else "".
    :ivar seconds: how long the body took.
    """

    namespace: str
    run_id: UUID
    machine: str
    fingerprint: str
    activity: str
    queue: str
    token: int
    slot: int
    number: int
    losses: int
    key: str
    scheduled: Micros
    due: Micros
    headers: Headers
    ended: str = ""
    failure: str = ""
    seconds: float = 0.0


class ReportFacts(Struct, frozen=True, gc=False):
    """What the journal said to the outcome of an attempt.

    :ivar kind: what was reported. DONE and FAILED are for good: the attempt's `losses` are all that the
        task has had then. RETRY is tried again after `delay` microseconds.
    :ivar outcome: FINISHED; GONE or LOST where the run had no use for it, or another worker has the task.
    """

    attempt: AttemptFacts
    kind: FinishKind
    outcome: FinishOutcome
    delay: int = 0


class Outgoing(Struct, frozen=True, gc=False):
    """Something that a client is about to send: a start, an event, an order to cancel.

    :ivar machine: "" where the client does not know it.
    :ivar event: the event's name, else "".
    """

    namespace: str
    run_id: UUID
    kind: DeliveryKind
    machine: str = ""
    event: str = ""


class HealthSection(Struct, frozen=True):
    """A part of what `continuum health` and `Worker.health` tell.

    :ivar ok: False makes the whole unhealthy.
    :ivar facts: names and JSON values.
    """

    name: str
    ok: bool
    facts: Mapping[str, object]
