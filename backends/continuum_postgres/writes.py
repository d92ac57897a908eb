"""All that one round of a batch writes: gathered while it is decided, sent as one statement a table.

Rule: the statements go in the order of the effects that the port states (consumed, held, released, tasks,
deliveries, closed, ended). Whoever adds to this has locked the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Commit, Member, NewRun, NewTask, Reply
from continuum_core.journal.records import ENDED, Delivery, Held, Record, RunStatus
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.rows import resolved_due
from continuum_postgres.session import Ask
from continuum_postgres.shards import shard
from continuum_postgres.statements import attributes as on_attributes
from continuum_postgres.statements import deliveries as on_deliveries
from continuum_postgres.statements import runs as on_runs
from continuum_postgres.statements import tasks as on_tasks
from continuum_postgres.statements.crews import ADD_MEMBERS

__all__ = ["TaskName", "Writes", "by_run", "delivery_arrays", "described", "names"]

TaskName = tuple[UUID, int, int]
"""(run id, token, slot)."""


def by_run(run_ids: Iterable[UUID]) -> tuple[object, object]:
    """The two arrays that name runs, in the order given."""
    listed = list(run_ids)
    return arrays.smallints([shard(run_id) for run_id in listed]), arrays.uuids(listed)


def names(tasks: list[TaskName]) -> tuple[object, ...]:
    """The four arrays that name tasks, in the order given."""
    return (
        *by_run(name[0] for name in tasks),
        arrays.bigints([name[1] for name in tasks]),
        arrays.integers([name[2] for name in tasks]),
    )


def delivery_arrays(deliveries: list[Delivery], now: Micros) -> tuple[object, ...]:
    """The ten arrays of what is inserted."""
    return (
        *by_run(delivery.run_id for delivery in deliveries),
        arrays.uuids([delivery.id for delivery in deliveries]),
        arrays.bigints([resolved_due(delivery, now) for delivery in deliveries]),
        arrays.smallints([delivery.kind for delivery in deliveries]),
        arrays.bigints([delivery.token for delivery in deliveries]),
        arrays.integers([delivery.slot for delivery in deliveries]),
        arrays.texts([delivery.dedupe for delivery in deliveries]),
        arrays.uuids([delivery.cause for delivery in deliveries]),
        arrays.byteas([delivery.payload for delivery in deliveries]),
    )


@define(eq=False)
class Writes:
    """What is to be written at `now`.

    :ivar forgotten: dedupe ids consumed up to then may be accepted again.
    :ivar left: runs that begin here, whose ids others had before them, and deliveries that came too late.
    :ivar messages: to be inserted unless they were seen.
    :ivar plain: to be inserted, without a dedupe id that could have been seen.
    :ivar silenced: (run, token) whose timers go.
    :ivar eternal: runs that are never pruned from now on.
    :ivar generations: (run, version): with that step a generation of the run begins.
    :ivar closed: (run, token) whose tasks go or are cancelled; the token None closes all that the run has.
    """

    now: Micros
    forgotten: Micros
    started: list[tuple[NewRun, Commit | None]] = field(factory=list["tuple[NewRun, Commit | None]"])
    left: list[UUID] = field(factory=list[UUID])
    turns: list[Commit] = field(factory=list[Commit])
    records: list[Record] = field(factory=list[Record])
    consumed: list[tuple[UUID, UUID]] = field(factory=list["tuple[UUID, UUID]"])
    held: list[tuple[UUID, UUID, Held]] = field(factory=list["tuple[UUID, UUID, Held]"])
    freed: list[tuple[UUID, int]] = field(factory=list["tuple[UUID, int]"])
    plain: list[Delivery] = field(factory=list[Delivery])
    messages: list[Delivery] = field(factory=list[Delivery])
    seen: list[tuple[UUID, str, Micros | None]] = field(factory=list["tuple[UUID, str, Micros | None]"])
    replies: list[tuple[UUID, Reply]] = field(factory=list["tuple[UUID, Reply]"])
    dead: list[tuple[Delivery, str]] = field(factory=list["tuple[Delivery, str]"])
    tasks: list[tuple[UUID, NewTask]] = field(factory=list["tuple[UUID, NewTask]"])
    silenced: list[tuple[UUID, int]] = field(factory=list["tuple[UUID, int]"])
    closed: list[tuple[UUID, int | None]] = field(factory=list["tuple[UUID, int | None]"])
    ended: list[UUID] = field(factory=list[UUID])
    described: list[tuple[UUID, Attribute]] = field(factory=list["tuple[UUID, Attribute]"])
    eternal: list[UUID] = field(factory=list[UUID])
    generations: list[tuple[UUID, int]] = field(factory=list["tuple[UUID, int]"])
    members: list[tuple[UUID, Member]] = field(factory=list["tuple[UUID, Member]"])

    def turn(self, turn: Commit, begins: bool, closes: bool) -> None:
        """All of a turn that stands, but what it sends, and the row of its run.

        :param begins: the run begins with this turn, and has no delivery that it could have consumed.
        :param closes: there are tasks that its end, or that of a token, may concern.
        """
        self.records += turn.records
        self.describe(turn.run_id, turn.attributes)
        if turn.eternal:
            self.eternal.append(turn.run_id)
        if turn.begins:
            self.generations.append((turn.run_id, turn.begins))
        self.keep(turn.run_id, turn.members)
        if not begins:
            self.consumed += [(turn.run_id, delivery_id) for delivery_id in turn.consumed]
        self.replies += [(turn.run_id, reply) for reply in turn.replies]
        self.held += [(turn.run_id, delivery_id, held) for delivery_id, held in turn.hold]
        if turn.release:
            self.free(turn.run_id, Held.DEFERRED)
        self.tasks += [(turn.run_id, new) for new in turn.tasks]
        self.silenced += [(turn.run_id, token) for token in turn.closed]
        if closes:
            self.closed += [(turn.run_id, token) for token in turn.closed]
        if turn.status in ENDED:
            self.end(turn.run_id, closes)

    def describe(self, run_id: UUID, attributes: Iterable[Attribute]) -> None:
        """Let the run have these attributes from now on; others stay."""
        self.described += [(run_id, attribute) for attribute in attributes]

    def keep(self, run_id: UUID, members: Iterable[Member]) -> None:
        """Keep what came of members of crews."""
        self.members += [(run_id, member) for member in members]

    def begin(self, new: NewRun) -> None:
        """A run that is not there yet, by its first delivery."""
        self.started.append((new, None))
        self.plain.append(new.delivery)
        self.describe(new.run_id, new.attributes)

    def free(self, run_id: UUID, *reasons: Held) -> None:
        if reasons:
            self.freed.append((run_id, sum(1 << reason for reason in reasons)))

    def end(self, run_id: UUID, closes: bool = True) -> None:
        self.ended.append(run_id)
        if closes:
            self.closed.append((run_id, None))

    # --- as statements

    def asks(self) -> list[Ask]:
        """The statements, in the order of the effects."""
        return [*self._runs(), *self._out(), *self._in(), *self._closing()]

    def _runs(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.left:
            asks.append((on_deliveries.EMPTY_RUNS, (Bigint(self.now), *by_run(self.left))))
        if self.started:
            asks.append(self._started())
        going = [turn for turn in self.turns if turn.status is RunStatus.RUNNING]
        if going:
            asks.append((on_runs.TURN_RUNS, self._turned(going)))
        if len(going) < len(self.turns):
            ending = [turn for turn in self.turns if turn.status is not RunStatus.RUNNING]
            asks.append((on_runs.END_RUNS, self._turned(ending)))
        if self.records:
            asks.append((on_runs.ADD_RECORDS, _records(self.records)))
        if self.described:
            asks += described(self.described)
        if self.members:
            told = [member for _, member in self.members]
            kept = (
                *by_run(run_id for run_id, _ in self.members),
                arrays.bigints([member.token for member in told]),
                arrays.integers([member.number for member in told]),
                arrays.byteas([member.body for member in told]),
            )
            asks.append((ADD_MEMBERS, kept))
        return [*asks, *self._lasting()]

    def _lasting(self) -> list[Ask]:
        """What is said of generations and of eternity."""
        asks: list[Ask] = []
        if self.eternal:
            named = by_run(self.eternal)
            lasting = (on_runs.MAKE_ETERNAL, on_runs.MARK_ETERNAL, on_runs.FORGET_GENERATIONS)
            asks += [(statement, named) for statement in lasting]
        if self.generations:
            named = by_run(run_id for run_id, _ in self.generations)
            below = arrays.bigints([version for _, version in self.generations])
            over = arrays.bigints([self.now for _ in self.generations])
            asks.append((on_runs.BEGIN_GENERATIONS, named))
            asks.append((on_runs.NOTE_GENERATIONS, (*named, below, over)))
        return asks

    def _started(self) -> Ask:
        news = [new for new, _ in self.started]
        turns = [turn for _, turn in self.started]
        return on_runs.ADD_RUNS, (
            Bigint(self.now),
            *by_run(new.run_id for new in news),
            arrays.texts([new.machine for new in news]),
            arrays.texts([turn.fingerprint if turn else new.fingerprint for new, turn in self.started]),
            arrays.texts([new.key for new in news]),
            arrays.byteas([new.digest for new in news]),
            arrays.uuids([new.parent for new in news]),
            arrays.uuids([new.root for new in news]),
            arrays.bigints([turn.after if turn else 0 for turn in turns]),
            arrays.smallints([turn.status if turn else RunStatus.RUNNING for turn in turns]),
            arrays.texts([turn.cause if turn else "" for turn in turns]),
            arrays.byteas([turn.snapshot if turn else b"" for turn in turns]),
            arrays.byteas([turn.outcome if turn else None for turn in turns]),
            arrays.uuids([turn.commit_id if turn else None for turn in turns]),
            arrays.bigints([self._first_fence(turn) for turn in turns]),
        )

    def _first_fence(self, turn: Commit | None) -> int:
        """Parking bumps the fence, that of a first turn too."""
        return max(1, self.now) if turn is not None and turn.status is RunStatus.PARKED else 0

    def _turned(self, turns: list[Commit]) -> tuple[object, ...]:
        return (
            Bigint(self.now),
            *by_run(turn.run_id for turn in turns),
            arrays.bigints([turn.after for turn in turns]),
            arrays.texts([turn.fingerprint for turn in turns]),
            arrays.texts([turn.cause for turn in turns]),
            arrays.byteas([turn.snapshot for turn in turns]),
            arrays.byteas([turn.outcome for turn in turns]),
            arrays.uuids([turn.commit_id for turn in turns]),
            arrays.smallints([turn.status for turn in turns]),
        )

    def _out(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.consumed:
            gone = (
                *by_run(run for run, _ in self.consumed),
                arrays.uuids([name for _, name in self.consumed]),
            )
            asks.append((on_deliveries.CONSUME, (Bigint(self.now), *gone)))
        if self.seen:
            seen = (
                *by_run(run for run, _, _ in self.seen),
                arrays.texts([dedupe for _, dedupe, _ in self.seen]),
                arrays.bigints([consumed for _, _, consumed in self.seen]),
            )
            asks.append((on_deliveries.SEE_CONSUMED, seen))
        if self.replies:
            told = (
                *by_run(run for run, _ in self.replies),
                arrays.texts([reply.dedupe for _, reply in self.replies]),
                arrays.byteas([reply.body for _, reply in self.replies]),
            )
            asks.append((on_deliveries.REPLY, told))
        if self.held:
            marked = (
                *by_run(run for run, _, _ in self.held),
                arrays.uuids([name for _, name, _ in self.held]),
                arrays.smallints([held for _, _, held in self.held]),
            )
            asks.append((on_deliveries.HOLD, marked))
        if self.freed:
            freed = (
                *by_run(run for run, _ in self.freed),
                arrays.smallints([bits for _, bits in self.freed]),
            )
            asks.append((on_deliveries.UNHOLD, freed))
        return asks

    def _in(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.tasks:
            asks.append((on_tasks.ADD_TASKS, self._tasks()))
        if self.plain:
            asks.append((on_deliveries.ADD_DELIVERIES, delivery_arrays(self.plain, self.now)))
        if self.messages:
            sent = (*delivery_arrays(self.messages, self.now), Bigint(self.forgotten))
            asks.append((on_deliveries.SEND, sent))
        if self.dead:
            buried = delivery_arrays([delivery for delivery, _ in self.dead], self.now)
            reasons = arrays.texts([reason for _, reason in self.dead])
            asks.append((on_deliveries.ADD_DEAD, (*buried, Bigint(self.now), reasons)))
        return asks

    def _tasks(self) -> tuple[object, ...]:
        news = [new for _, new in self.tasks]
        born = [new.lease is not None for new in news]
        return (
            Bigint(self.now),
            *names([(run_id, new.token, new.slot) for run_id, new in self.tasks]),
            arrays.texts([new.activity for new in news]),
            arrays.texts([new.queue for new in news]),
            arrays.integers([new.priority for new in news]),
            arrays.byteas([new.payload for new in news]),
            arrays.texts([new.key for new in news]),
            arrays.booleans([new.undo for new in news]),
            arrays.bigints([max(1, self.now) if claimed else 0 for claimed in born]),
            arrays.bigints([None if new.lease is None else self.now + new.lease for new in news]),
            arrays.uuids(
                [new.claim_id if claimed else None for new, claimed in zip(news, born, strict=True)]
            ),
            arrays.texts([new.fairness for new in news]),
        )

    def _closing(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.silenced:
            tokens = arrays.bigints([token for _, token in self.silenced])
            silenced = (Bigint(self.now), *by_run(run for run, _ in self.silenced), tokens)
            asks.append((on_deliveries.CLOSE_TIMERS, silenced))
        if self.closed:
            ordered = sorted(self.closed, key=_closed_place)
            closed = (*by_run(run for run, _ in ordered), arrays.bigints([token for _, token in ordered]))
            for statement in (on_tasks.LOCK_CLOSED, on_tasks.DROP_UNSTARTED, on_tasks.CANCEL_TASKS):
                asks.append((statement, closed))
        if self.ended:
            asks.append((on_deliveries.EMPTY_RUNS, (Bigint(self.now), *by_run(self.ended))))
        return asks


def _closed_place(closed: tuple[UUID, int | None]) -> tuple[int, int, int]:
    """Where a token's tasks stand in the order in which verbs lock tasks; without one, the whole run's."""
    run_id, token = closed
    return shard(run_id), run_id.int, -1 if token is None else token


def described(attributes: Iterable[tuple[UUID, Attribute]]) -> list[Ask]:
    """The statements that give runs their attributes. What a run keeps of them is not written again."""
    last = {(run_id, attribute.name): attribute.keys for run_id, attribute in attributes}
    kept = [(run_id, name, key) for (run_id, name), keys in last.items() for key in keys]
    rows = (
        *by_run(run_id for run_id, _, _ in kept),
        arrays.texts([name for _, name, _ in kept]),
        arrays.byteas([key for _, _, key in kept]),
    )
    names = (
        *by_run(run_id for run_id, _ in last),
        arrays.texts([name for _, name in last]),
    )
    return [(on_attributes.DROP_OTHERS, (*names, *rows)), (on_attributes.ADD_ATTRIBUTES, rows)]


def _records(records: list[Record]) -> tuple[object, ...]:
    return (
        *by_run(record.run_id for record in records),
        arrays.bigints([record.version for record in records]),
        arrays.smallints([record.kind for record in records]),
        arrays.bigints([record.at for record in records]),
        arrays.uuids([record.cause for record in records]),
        arrays.uuids([record.commit_id for record in records]),
        arrays.byteas([record.body for record in records]),
    )
