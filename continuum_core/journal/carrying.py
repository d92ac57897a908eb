"""Optional: a journal whose runs can be carried whole, to another journal, into a file, and back.

A backend that declares `Capability.CARRIES` gives handles with a `carrier`. Its verbs are for people who
move, archive and count; the engine itself calls none of them.

**No run lives in two journals.** `depart` is the only way out for a run that has not ended, and it is one
transaction: it compares the run with what was dumped, ends it, and writes a record that keeps the whole
image. From then on every verb treats the run as ended, so no worker of this journal can go on with it,
whatever lease it believes to have. Until the image has arrived elsewhere the run's `cause` is `MOVING`, and
pruning passes it over; `settle` says that it has.

**Nobody leaves for nowhere.** Before a run departs, the journal it goes to is asked whether it could hold it:
`rehearse` does what `restore` would, as far as that can be refused, and leaves no trace of it.

**Whoever arrived is known again.** An image that left another journal names its `departure`. `restore` keeps
that name with what it writes, and apart from the run: a repeat is told EXISTS, although the run has taken
steps without a record since, lost those of a past generation, has ended, or was pruned. `forget` drops the
name once the other journal was told of the arrival, and asks no more.

**Leases do not travel.** A lease binds a worker to its own journal: `restore` takes those of an image away,
and counts a task that had one as lost (`unleased`). Fences travel, and go on growing.

**What waited for a run finds it.** Signals that a commit sent to a run which was not here yet lie among the
dead letters ("unknown run"); `restore` delivers those of a run that goes on.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol, cast
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Member
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import ENDED, DeadLetter, Delivery, Record, Run, RunStatus, Task

__all__ = [
    "DAY",
    "MOVING",
    "UNKNOWN_RUN",
    "Arrival",
    "Carrier",
    "DepartOutcome",
    "Departure",
    "Dumped",
    "KeyedResult",
    "RestoreOutcome",
    "ResultPage",
    "RunImage",
    "Tally",
    "Version",
    "carrier_of",
    "check_image",
    "is_moving",
    "mark_of",
    "unleased",
]

MOVING = "moving"
"""The cause of a run that has departed and is not known to have arrived."""

UNKNOWN_RUN = "unknown run"
"""The reason of dead letters whose run was not here."""

DAY = 86_400_000_000
"""Microseconds of a day of the tally, which begins at midnight UTC."""


class RunImage(Struct, frozen=True, omit_defaults=True):
    """All that a journal keeps of one run.

    :ivar deliveries: those that wait, by (due, id), held ones included.
    :ivar tasks: by (token, slot).
    :ivar reported: for each of `tasks`, the fence whose attempt was reported last, 0 for none.
    :ivar dead: by (at, id).
    :ivar seen: dedupe ids and when their deliveries were consumed, None while they wait; by id.
    :ivar replies: dedupe ids and what was replied under them; by id.
    :ivar attributes: by name; a journal that does not search keeps none, and drops those it is given.
    :ivar records: those of the run that are stored, ascending; left out of what `dump` gives.
    :ivar forgotten: how many of the run's versions have no record: none was kept, or it went with a past
        generation.
    :ivar eternal: the run is never pruned.
    :ivar generations: past ones whose records pruning has not taken: the version below which they are, and
        when they were over; ascending.
    :ivar members: what came of members of crews, by (token, number); likewise of one without crews.
    :ivar departure: the `id` of the departure by which it left another journal, for `restore`. None where it
        did not, and in all that `dump` gives.
    """

    run: Run
    deliveries: tuple[Delivery, ...] = ()
    tasks: tuple[Task, ...] = ()
    reported: tuple[int, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    seen: tuple[tuple[str, Micros | None], ...] = ()
    replies: tuple[tuple[str, bytes], ...] = ()
    records: tuple[Record, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    forgotten: int = 0
    eternal: bool = False
    generations: tuple[tuple[int, Micros], ...] = ()
    members: tuple[Member, ...] = ()
    departure: UUID | None = None


class Dumped(Struct, frozen=True):
    """A run as it was at one moment.

    :ivar image: without records, which `history` gives and nothing rewrites.
    :ivar mark: the backend's own; another one when anything of the run has changed since.
    """

    image: RunImage
    mark: bytes


class Departure(Struct, frozen=True):
    """A run is to leave, if it is still what its mark says.

    :ivar id: random; becomes the `commit_id`, by which a repeat is known.
    :ivar body: of the control record, which keeps the image.
    :ivar outcome: of the run as it is left behind, TERMINATED.
    """

    run_id: UUID
    mark: bytes
    id: UUID
    body: bytes
    outcome: bytes


class DepartOutcome(enum.Enum):
    DEPARTED = "departed"
    CHANGED = "changed"  # it is not what was dumped any more: dump it again
    BUSY = "busy"  # a worker has it, or one of its tasks, on a lease that is not over
    RUN_OVER = "run over"
    UNKNOWN_RUN = "unknown run"


class RestoreOutcome(enum.Enum):
    RESTORED = "restored"
    EXISTS = "exists"  # this very run is here, as the image has it or further on; or this departure arrived
    CONFLICT = "conflict"  # another run, or another life of it, has the id: nothing was written


class Arrival(Struct, frozen=True):
    """A run that departed has arrived, and so have these deliveries, which came for it after it had left.

    :ivar waits: others that came for it could not be sent on yet: it is not to be pruned.
    """

    run_id: UUID
    forwarded: tuple[UUID, ...] = ()
    waits: bool = False


class Version(Struct, frozen=True):
    """A run at one version, by the commit that made it."""

    run_id: UUID
    commit_id: UUID | None


class KeyedResult(Struct, frozen=True):
    """The outcome of an activity under a key, told to whoever asks until `until`."""

    activity: str
    key: str
    run_id: UUID
    token: int
    slot: int
    until: Micros
    result: bytes


class ResultPage(Struct, frozen=True):
    """Some keyed results, and the cursor of the next page; None when this is the last."""

    results: tuple[KeyedResult, ...]
    cursor: str | None


class Tally(Struct, frozen=True):
    """What the runs of one machine, in one status, created on one day, take.

    :ivar day: whole days since the Unix epoch.
    :ivar bytes: payloads alone: snapshots, outcomes, records' bodies, waiting deliveries, tasks' inputs,
        what came of members.
        What a backend needs beside them (columns, indexes, free space) is its own affair.
    """

    machine: str
    status: RunStatus
    day: int
    runs: int
    records: int
    bytes: int


class Carrier(Protocol):
    """Verbs on whole runs, of an opened handle and in its namespace. One answer per member, in order."""

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        """Runs as they are, each at one moment; None for those not in the namespace."""
        ...

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        """End runs here, so that they can go on elsewhere; see the module's rules.

        What the image holds, its attributes and members too, goes without a trace: nothing is buried, no
        task is asked to stop. Deliveries that come later find an ended run.
        """
        ...

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        """Write whole runs, each all or nothing, into this handle's namespace.

        EXISTS where the image has a departure by which it was RESTORED before, whatever came of the run
        since, until that is forgotten (`forget`). Otherwise where the run's record of the image's version has
        the image's commit id, or the run itself where it is of that version (version 0: where the digest is
        the same).

        Raises UsageError for an image that is no whole run, PayloadRefused for what this journal cannot hold;
        then nothing of that run was written.
        """
        ...

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        """What `restore` would answer, or raise, to each image by itself; and nothing is written.

        What can be refused only by trying is tried, and taken back.
        """
        ...

    async def forget(self, departures: Sequence[Version]) -> None:
        """Keep these departures in mind no longer. Those of which nothing arrived are passed over.

        :param departures: runs, each with the `id` of the departure by which it came.
        """
        ...

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Drop what was sent on, waiting or buried, and let runs that departed be pruned, but those for which
        something waits.

        Runs that are not TERMINATED are left alone.
        """
        ...

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        """Delete ended runs, whole, like pruning. False for what is another version, goes on, moves
        or is eternal.
        """
        ...

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        """Keyed results inside their window, each at least once over all pages; no reservations."""
        ...

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        """Store keyed results. One that is here within its window stays."""
        ...

    async def tally(self) -> list[Tally]:
        """What is stored, by (machine, status, day). Reads every run once: it is not for polling."""
        ...


def carrier_of(journal: Journal) -> Carrier:
    """The verbs on whole runs of a journal's handle. Raises UsageError where its backend has none."""
    if not can(journal, Capability.CARRIES):
        raise UsageError(
            "this journal's backend cannot carry whole runs (capability 'carries'), so nothing can be "
            "copied, archived or counted here; its author finds how on the page 'Write a backend'"
        )
    wide: Any = journal
    return cast(Carrier, wide.carrier())


# --- for backends


def mark_of(image: RunImage) -> bytes:
    """A mark that is another one for any other image."""
    return blake2b(msgspec.msgpack.encode(image), digest_size=16).digest()


def is_moving(status: RunStatus, cause: str) -> bool:
    return status is RunStatus.TERMINATED and cause == MOVING


def check_image(image: RunImage) -> None:
    """Raises UsageError for an image that is no whole run, or holds what is another run's."""
    run = image.run
    versions = [record.version for record in image.records]
    ascending = versions == sorted(set(versions)) and all(0 < each <= run.version for each in versions)
    if not ascending or len(versions) + image.forgotten != run.version:
        raise UsageError(f"the image of run {run.run_id} is of version {run.version}; its records are not")
    if image.records and versions[-1] == run.version and image.records[-1].commit_id != run.commit_id:
        raise UsageError(f"the image of run {run.run_id} has a last record of another commit")
    if len(image.reported) != len(image.tasks):
        raise UsageError(f"the image of run {run.run_id} does not say of each task what was reported")
    owners = {
        *(record.run_id for record in image.records),
        *(delivery.run_id for delivery in image.deliveries),
        *(task.run_id for task in image.tasks),
        *(letter.delivery.run_id for letter in image.dead),
    }
    if owners - {run.run_id}:
        raise UsageError(f"the image of run {run.run_id} holds what is another run's")
    if any(delivery.due is None for delivery in image.deliveries):
        raise UsageError(f"the image of run {run.run_id} has a delivery without a due time")
    if run.status in ENDED and (image.deliveries or image.tasks):
        raise UsageError(f"the image of run {run.run_id}, which has ended, has open work")


def unleased(image: RunImage) -> RunImage:
    """The image as it is restored: nobody holds the run, and a task that somebody held is lost once more."""
    tasks = tuple(
        task
        if task.lease_until is None
        else replace(task, lease_until=None, claim_id=None, losses=task.losses + 1)
        for task in image.tasks
    )
    return replace(image, run=replace(image.run, lease_until=None, claim_id=None), tasks=tasks)
