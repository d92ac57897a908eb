"""What one turn writes, while it gathers: each step's share of a commit.

Rule: a step that raises leaves the fold as it was, so that the steps before it can be committed. What a step
gives to be stored (context, wishes, outcome, reply) is therefore made into bytes before anything is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import MappingProxyType
from uuid import UUID

from msgspec.structs import replace

from continuum_core.definition.memory import Memory, keeps, memory_of
from continuum_core.definition.upgrade import Way
from continuum_core.due import SUSPECT, Born, Due
from continuum_core.errors import UnknownVersion
from continuum_core.interpreter.events import Event
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition, Snapshot, Step
from continuum_core.journal.attributes import Attribute, changes
from continuum_core.journal.commit import Commit, Member, NewRun, NewTask, Reply
from continuum_core.journal.records import Delivery, DeliveryKind, Held, Record, RecordKind, RunStatus
from continuum_core.mapper import (
    Asked,
    Described,
    Image,
    ask,
    decode_event,
    decode_start,
    described,
    encode_control,
    encode_image,
    encode_migration,
    encode_reply,
    encode_step,
    ending,
    imaged,
    is_asked,
    migrated,
    origin_of_start,
    record_kind,
    rewritten,
    take_up,
    told_parent,
)
from continuum_core.registry import Entry

__all__ = ["Fold", "storable"]


class Fold:
    """The writes of one turn while they gather. What most turns have nothing of is set when there is some."""

    deferred: tuple[UUID, ...] = ()
    release = False
    tasks: tuple[NewTask, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    closed: tuple[int, ...] = ()
    replies: tuple[Reply, ...] = ()
    starts: tuple[NewRun, ...] = ()
    members: tuple[Member, ...] = ()
    doing = ""
    stuck = False
    begins = 0
    before: Described = MappingProxyType({})
    after: Described | None = None
    eternal = False
    end: bytes | None = None

    def __init__(self, entry: Entry, due: Due, new_id: Callable[[], UUID], born: Born) -> None:
        self.entry = entry
        self.born = born
        self.due = due
        self.new_id = new_id
        self.commit_id = new_id()
        self.image = due.image
        self.records: list[Record] = []
        self.consumed: list[UUID] = []
        if (
            not due.image.snapshot.configuration
            and due.deliveries
            and due.deliveries[0].kind is not DeliveryKind.START
        ):
            self._trace()

    def _trace(self) -> None:
        """Note where a run comes from whose start is not what it takes first: it may end before that."""
        for delivery in self.due.deliveries:
            if delivery.kind is DeliveryKind.START:
                try:
                    origin = origin_of_start(delivery.payload)
                except UnknownVersion:
                    return  # the run parks on it
                self.image = replace(self.image, origin=origin)

    def take(self, delivery: Delivery) -> bool:
        """Fold one delivery in; True when the fold may go on."""
        made = self._step(delivery)
        entry, before = self.entry, self.image
        self.doing = "context cannot be stored"
        after = imaged(entry, before, made.snapshot)
        self.doing = "cannot be asked for"
        due = self.due
        # Only bytes of this very step: what was stored before may be spelled as another release spells it.
        encoded = None if after.context is before.context else after.context
        origin = before.origin
        asked = ask(entry, due.namespace, due.run_id, made, delivery.id, self.new_id, encoded, origin)
        self.doing = "outcome cannot be stored"
        end = ending(entry, made.snapshot)
        told = None if end is None else self._told_parent(after, end)
        memory = _memory(entry, before, made)
        kept = memory is None or delivery.kind is DeliveryKind.FORK or _keeps(entry, memory, before, made)
        body = encode_step(entry, before, after, made, delivery, asked, end) if kept else b""
        self.doing = "reply cannot be stored"
        reply = encode_reply(entry, before.snapshot, delivery, made) if is_asked(delivery) else None
        self.doing = "attributes"
        if entry.described:  # the last that may raise, for it is noted at once
            self._describe(after)
        # Nothing above has touched this fold: a step that raises leaves it as it was.
        if memory is None and not after.unrecorded:
            self.image = after
        else:
            self._remember(after, memory, kept=kept)
        if kept:
            self.records.append(
                Record(
                    run_id=due.run_id,
                    version=made.snapshot.version,
                    kind=record_kind(delivery.kind, made),
                    at=made.snapshot.now,
                    cause=delivery.id,
                    commit_id=self.commit_id,
                    body=body,
                )
            )
        if reply is not None:
            self.replies += (reply,)
        self._ask(asked)
        if before.snapshot.crews:
            self._count(before.snapshot, delivery)
        if made.disposition is Disposition.STUCK:  # the delivery stays, as the poison to unpark
            self.stuck = True
            return False
        if made.disposition is Disposition.DEFERRED:
            self.deferred += (delivery.id,)
        else:
            self.consumed.append(delivery.id)
        if end is not None:
            self._end(end, told)
            return False
        return self._goes_on(before.snapshot, made)

    def _goes_on(self, before: Snapshot, made: Step) -> bool:
        """Whether the fold may, after a step of a run that does."""
        renewed = made.renewal is not None
        if renewed:
            self.begins = made.snapshot.version
        changed = renewed or made.snapshot.configuration != before.configuration
        if changed and (self.due.has_deferred or self.deferred):
            self.release = True
            self.deferred = ()
            return False
        return self.due.tries < SUSPECT and not renewed

    def _remember(self, after: Image, memory: Memory | None, *, kept: bool) -> None:
        """The run after a step, with what is kept of it."""
        if memory is Memory.ETERNAL and not after.eternal:
            self.eternal = True
        unrecorded = 0 if kept else after.unrecorded + 1
        eternal = after.eternal or self.eternal
        self.image = replace(after, unrecorded=unrecorded, eternal=eternal)

    def _told_parent(self, image: Image, end: bytes) -> Delivery | None:
        """What a child run that is over tells its parent, if that waits."""
        origin = image.origin
        if origin is None or not origin.awaited:
            return None
        return told_parent(self.new_id(), self.due.run_id, self.entry.chart.name, origin, end)

    def _end(self, end: bytes, told: Delivery | None) -> None:
        self.end = end
        if told is not None:
            self.deliveries += (told,)

    def migrate(self, way: Way) -> bool:
        """Put the run into this definition; True when the fold may go on."""
        entry, due = self.entry, self.due
        made = migrated(entry, way, due.run_id, due.image.snapshot.version, due.stored, due.now)
        self.image = replace(made.image, eternal=made.eternal)
        origin = self.image.origin
        asked = ask(entry, due.namespace, due.run_id, made.step, self.commit_id, self.new_id, origin=origin)
        end = ending(entry, made.image.snapshot)
        told = None if end is None else self._told_parent(self.image, end)
        body = encode_migration(entry, way, due.stored, made, asked, end)
        if made.step.renewal is not None:
            self.begins = made.image.snapshot.version
        self.records.append(
            Record(
                run_id=due.run_id,
                version=made.image.snapshot.version,
                kind=RecordKind.MIGRATION,
                at=made.image.snapshot.now,
                cause=self.commit_id,
                commit_id=self.commit_id,
                body=body,
            )
        )
        self._ask(asked)
        self.release = due.has_deferred
        self._describe(self.image)
        if end is not None:
            self._end(end, told)
            return False
        # What came of a crew's members may have to be read before its last one is counted.
        return not (due.has_deferred or self.begins or made.image.snapshot.crews)

    def _describe(self, image: Image) -> None:
        """Tell what the run is found by from here on."""
        if not self.entry.described:
            return
        after = described(self.entry, image)
        if self.after is None and not self._fresh:
            self.before = described(self.entry, self.due.image)
        self.after = after

    @property
    def _fresh(self) -> bool:
        """Nothing was written by this definition before."""
        return self.due.former != "" or self.due.way is not None or not self.due.image.context

    def _attributes(self) -> tuple[Attribute, ...]:
        if self.after is None:
            return ()
        if self._fresh and self.due.image.snapshot.version > 0:
            return rewritten(self.entry, self.after)
        return changes(self.before, self.after)

    def _step(self, delivery: Delivery) -> Step:
        entry, snapshot, due = self.entry, self.image.snapshot, self.due
        self.doing = "unreadable event"
        if delivery.kind is DeliveryKind.FORK:
            return take_up(entry, snapshot, delivery.payload, due.now, str(due.run_id))
        kind, payload, token, slot = delivery.kind, delivery.payload, delivery.token, delivery.slot
        event: Event
        if kind is DeliveryKind.START:
            event, origin = decode_start(entry, payload, delivery.due)
            if origin is not None:
                self.image = replace(self.image, origin=origin)
        else:
            event = decode_event(entry, snapshot, kind, payload, token, slot, delivery.due)
        self.doing = "fault"
        return step(entry.program, snapshot, event, due.now, due.run_id.bytes)

    def _count(self, before: Snapshot, delivery: Delivery) -> None:
        """Keep what came of a member of a crew beside the run."""
        crew = before.crews.get(delivery.token) if delivery.kind is DeliveryKind.OUTCOME else None
        if crew is not None and delivery.slot in crew.open and crew.total > 1:
            self.members += (Member(delivery.token, delivery.slot, delivery.payload),)

    def _ask(self, asked: Asked) -> None:
        closed, deliveries = asked.closed, asked.deliveries
        if closed:
            if self.tasks or self.deliveries:
                self._forget(set(closed))
            self.closed += tuple(closed)
        if self.starts and deliveries:
            # Nor do child runs that are closed before anybody has heard of them.
            told = {each.run_id for each in deliveries if each.kind is DeliveryKind.CANCEL}
            unheard = {new.run_id for new in self.starts if new.run_id in told}
            self.starts = tuple([new for new in self.starts if new.run_id not in unheard])
            deliveries = [each for each in deliveries if each.run_id not in unheard]
        if asked.tasks:
            self.tasks += tuple(asked.tasks)
        if asked.starts:
            self.starts += tuple(asked.starts)
        if deliveries:
            self.deliveries += tuple(deliveries)

    def _forget(self, gone: Collection[int]) -> None:
        """What was opened and closed within this fold never reaches the journal."""
        self.tasks = tuple([task for task in self.tasks if task.token not in gone])
        mine = self.due.run_id
        self.deliveries = tuple([d for d in self.deliveries if d.run_id != mine or d.token not in gone])

    def commit(self, status: RunStatus, cause: str = "", poison: UUID | None = None) -> Commit:
        entry, due, image = self.entry, self.due, self.image
        last = self.records[-1].version if self.records else 0
        steps = max(image.snapshot.version, last) - due.image.snapshot.version
        # Before tasks are born: these take places, which nobody would give back if this raised.
        snapshot = encode_image(entry, image) if image.context else b""
        commit_id, born = self.commit_id, self.born
        made = Commit(
            run_id=due.run_id,
            fence=due.fence,
            version=due.image.snapshot.version,
            base=due.base,
            commit_id=commit_id,
            fingerprint=self._ran_on if due.former else entry.fingerprint,
            status=status,
            snapshot=snapshot,
            records=tuple(self.records),
            now=max(due.now if last == 0 else self.records[-1].at, image.snapshot.now),
            cause=cause,
            outcome=self.end,
            consumed=tuple(self.consumed),
            tasks=tuple([born(task, commit_id) for task in self.tasks]) if self.tasks else (),
            closed=self.closed,
        )
        if steps == len(self.records) and poison is None and self._is_usual:
            return made
        return replace(
            made,
            hold=self._hold(poison),
            release=self.release,
            deliveries=self.deliveries,
            steps=0 if steps == len(self.records) else steps,
            begins=self.begins,
            attributes=self._attributes(),
            replies=self.replies,
            eternal=self.eternal,
            starts=self.starts,
            members=self.members,
        )

    @property
    def _ran_on(self) -> str:
        """Of a run that parks before it has taken a step in this definition, the one that it came from.

        Else what it is found by would never be told anew: only the first turn in a definition tells it whole.
        """
        return self.due.former if self.image is self.due.image else self.entry.fingerprint

    @property
    def _is_usual(self) -> bool:
        """It has nothing of what most turns have nothing of: naming that all the same takes its time."""
        return not (
            self.deliveries
            or self.deferred
            or self.after is not None
            or self.release
            or self.begins
            or self.replies
            or self.eternal
            or self.starts
            or self.members
        )

    def _hold(self, poison: UUID | None) -> tuple[tuple[UUID, Held], ...]:
        deferred = tuple([(id_, Held.DEFERRED) for id_ in self.deferred])
        return deferred if poison is None else (*deferred, (poison, Held.POISON))

    def park(self, poison: Delivery | None, cause: str, fault: Exception | None) -> Commit:
        """Park the run where the fold has come to.

        :param poison: the delivery that it parks on, if it is one's fault.
        """
        version = self.image.snapshot.version + 1
        at = max(self.due.now, self.image.snapshot.now)
        why = storable(cause if fault is None else f"{cause}: {fault}")
        self.records.append(
            Record(
                run_id=self.due.run_id,
                version=version,
                kind=RecordKind.CONTROL,
                at=at,
                cause=self.commit_id if poison is None else poison.id,
                commit_id=self.commit_id,
                body=encode_control("park", "engine", why, poison=poison),
            )
        )
        return self.commit(RunStatus.PARKED, why, None if poison is None else poison.id)


def _memory(entry: Entry, before: Image, made: Step) -> Memory | None:
    """The most that the states before and after a step ask for; None where none says anything."""
    if not entry.remembers:
        return None
    after = memory_of(entry.chart, made.snapshot.configuration)
    return max(after, memory_of(entry.chart, before.snapshot.configuration))


def _keeps(entry: Entry, memory: Memory, before: Image, made: Step) -> bool:
    ends = made.snapshot.outcome is not None or made.renewal is not None
    earlier, later = before.snapshot.configuration, made.snapshot.configuration
    return keeps(entry.chart, memory, earlier, later, made.edges, ends=ends)


def storable(words: str) -> str:
    """Words that every journal can keep: an error may tell of the very text that could not be stored."""
    return words.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
