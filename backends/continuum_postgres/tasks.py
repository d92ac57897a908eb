"""Tasks: claimed, kept alive, put away when their workers were lost; each fenced by itself.

Rule: a claim first looks, without a lock, and most often that is all it needs to lease by fence. Where a
queue is limited or has fairness keys, something waits and there seems to be room, claims come one after the
other: the queue's row is locked, and what decides is read again. So a poll that finds nothing, or a queue
that is full, writes and locks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from attrs import define

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskClaim, TaskClaims, TaskHold, TaskWant
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, Rows
from continuum_postgres.queues import Candidate, Queue, candidates, changes, choose, limits, names, queues
from continuum_postgres.rows import task_claim
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.leases import (
    CLAIMED_TASKS,
    DROP_UNNEEDED,
    EXPIRED_TASKS,
    LEASE_TASKS,
    LOSE_TASKS,
    RIPEN_TASKS,
)
from continuum_postgres.statements.queues import (
    ADD_QUEUES,
    DEALT_TASKS,
    LIMITS,
    LOCK_QUEUES,
    NEXT_TASKS,
    READY_TASKS,
    TURNS,
)
from continuum_postgres.statements.tasks import BEAT_TASKS
from continuum_postgres.writes import TaskName
from continuum_postgres.writes import names as task_names

__all__ = ["ClaimTasks", "heartbeat"]

_MOST_SPARE = 500

_Fenced = tuple[TaskName, int]

Lane = tuple[int, str, str]
"""(place of the want, queue, activity)."""


@define(eq=False)
class _Found:
    """What a claim goes by: the candidates of each want, and the queues that it knows.

    :ivar away: what puts away what it met, unless that was sent already.
    :ivar lost: whose lease it found expired: nothing for this claim, however short their backoff is.
    """

    now: Micros
    next_due: Micros | None
    waiting: dict[int, list[Candidate]]
    known: dict[str, Queue]
    away: list[Ask]
    lost: frozenset[tuple[UUID, int, int]]


@define
class ClaimTasks:
    """The verb `claim_tasks`, with its arguments."""

    claim_id: UUID
    wants: Sequence[TaskWant]
    lease: int

    async def carry_out(self, session: Session) -> TaskClaims:
        batch = Batch(session, last=True)
        lanes = [
            (place, want.queue, name) for place, want in enumerate(self.wants) for name in want.activities
        ]
        bound = [want for want in self.wants if want.cap is not None or want.rate is not None]
        rows = await batch.look(
            (CLAIMED_TASKS, (self.claim_id,)),
            (EXPIRED_TASKS, _lanes(lanes)),
            (READY_TASKS, (*_lanes(lanes), self._rooms(lanes, self._spare(session)))),
            (NEXT_TASKS, _lanes(lanes)),
            *([(LIMITS, limits(bound))] if bound else ()),
        )
        now, next_due = batch.at(rows[NEXT_TASKS][0][0]), rows[NEXT_TASKS][0][1]
        if rows[CLAIMED_TASKS]:
            return TaskClaims(now, tuple(map(task_claim, rows[CLAIMED_TASKS])), next_due)
        found = _Found(
            now,
            next_due,
            candidates(rows[READY_TASKS], [place for place, _, _ in lanes], now),
            queues(bound, rows.get(LIMITS, ())),
            _put_away(rows[EXPIRED_TASKS], now, batch.limits.loss_backoff),
            frozenset(row[1:4] for row in rows[EXPIRED_TASKS]),
        )
        contested = self._contested(found, _keyed(rows[READY_TASKS], lanes))
        if contested:
            await self._line_up(batch, found, [lane for lane in lanes if lane[0] in contested])
        spare = [0 if place in contested else more for place, more in enumerate(self._spare(session))]
        return await self._take(batch, found, spare)

    def _contested(self, found: _Found, keyed: set[str]) -> set[int]:
        """Places of the wants that have to come one after the other, as far as there is something to gain."""
        return {
            place
            for place, want in enumerate(self.wants)
            if found.waiting.get(place)
            and (want.queue in keyed or want.cap is not None or want.rate is not None)
            and found.known.get(want.queue, Queue()).room(want, found.now) > 0
        }

    async def _line_up(self, batch: Batch, found: _Found, lanes: Sequence[Lane]) -> None:
        """Wait for the others who claim of these queues, and read again what they may have changed."""
        places = [place for place, _, _ in lanes]
        wants = [self.wants[place] for place in sorted(set(places))]
        locked = arrays.texts(names(wants))
        # What is put away goes first: a lease that ended counts no more, one renewed meanwhile does.
        rows = await batch.read(
            (ADD_QUEUES, (locked,)),
            (LOCK_QUEUES, (locked,)),
            *found.away,
            (LIMITS, limits(wants)),
            (TURNS, (locked,)),
            (DEALT_TASKS, (*_lanes(lanes), self._rooms(lanes, [0] * len(self.wants)))),
        )
        found.away = []
        found.now = batch.now = batch.session.space.at(rows[LIMITS][0][0])  # others may have been long
        found.known |= queues(wants, rows[LIMITS], rows[TURNS])
        read = candidates(rows[DEALT_TASKS], places, found.now)
        found.waiting |= {
            place: [one for one in read.get(place, ()) if _name(one) not in found.lost] for place in places
        }

    async def _take(self, batch: Batch, found: _Found, spare: Sequence[int]) -> TaskClaims:
        """Lease what is chosen, and store what that changes; the transaction ends."""
        wanted = choose(self.wants, found.waiting, found.known, found.now, spare)
        chosen = [one for ones in wanted for one in ones]
        now, asks = found.now, [*found.away]
        taken = {one.name for one in chosen}
        ripe = [one for put in found.waiting.values() for one in put if one.put_off and one.name not in taken]
        if ripe:
            asks.append((RIPEN_TASKS, (*_in_lock_order(ripe), Bigint(now))))
        if chosen:
            leased = (Bigint(now), Bigint(now + self.lease), self.claim_id)
            rooms = arrays.bigints([max(0, want.limit) for want in self.wants])
            places = arrays.bigints([place for place, ones in enumerate(wanted, start=1) for _ in ones])
            fenced = _fenced([(_name(one), one.fence) for one in chosen])
            asks.append((LEASE_TASKS, (*fenced, *leased, rooms, places)))
            asks += changes(found.known)
            asks.append((CLAIMED_TASKS, (self.claim_id,)))
        told: Rows = await batch.write(*asks)
        got = _in_order(told.get(CLAIMED_TASKS, []), chosen)
        self._note_crowd(batch.session, wanted, got)
        return TaskClaims(now, got, self._next_due(found, taken))

    def _spare(self, session: Session) -> list[int]:
        """For each want, how much more to read: none where it is bound, or another one is of its queue."""
        named = [want.queue for want in self.wants]
        return [
            session.spare if want.cap is None and want.rate is None and named.count(want.queue) == 1 else 0
            for want in self.wants
        ]

    def _note_crowd(
        self, session: Session, wanted: Sequence[Sequence[Candidate]], got: Sequence[TaskClaim]
    ) -> None:
        """Where others were faster with all that was read, read more the next time; where with none, less."""
        firsts = [one for want, ones in zip(self.wants, wanted, strict=True) for one in ones[: want.limit]]
        if len(got) < len(firsts):
            session.spare = min(2 * session.spare + len(firsts), _MOST_SPARE)
        elif {_name(one) for one in firsts} == {_task_name(claim) for claim in got}:
            session.spare //= 2

    def _next_due(self, found: _Found, taken: set[tuple[int, int, int]]) -> Micros | None:
        """The hint, or when there is a token for what waits for nothing else."""
        hints = [] if found.next_due is None else [found.next_due]
        for place, want in enumerate(self.wants):
            if any(one.name not in taken for one in found.waiting.get(place, ())):
                token = found.known.get(want.queue, Queue()).next_token(want, found.now)
                hints += [] if token is None else [token]
        return min(hints, default=None)

    def _rooms(self, lanes: Sequence[Lane], spare: Sequence[int]) -> arrays.Bigints:
        """How much to read of each lane: what could be taken, after what other wants take of the queue."""
        rooms: list[int] = []
        spent: dict[str, int] = {}
        for want, more in zip(self.wants, spare, strict=True):
            most = [want.limit, *([] if want.cap is None else [want.cap])]
            most += [] if want.rate is None else [want.rate.burst]
            spent[want.queue] = spent.get(want.queue, 0) + max(0, min(most))
            rooms.append(
                spent[want.queue] + more + (want.rate is not None)
            )  # one more shows that it lacks a token
        return arrays.bigints([rooms[place] for place, _, _ in lanes])


def _lanes(lanes: Sequence[Lane]) -> tuple[object, ...]:
    return arrays.texts([queue for _, queue, _ in lanes]), arrays.texts([name for *_, name in lanes])


def _keyed(rows: Sequence[Row], lanes: Sequence[Lane]) -> set[str]:
    """The queues whose tasks have to be dealt, as READY_TASKS tells."""
    numbers: list[int] = [row[0] for row in rows if row[-1]]
    return {lanes[number - 1][1] for number in numbers}


def _task_name(claim: TaskClaim) -> TaskName:
    return (claim.task.run_id, claim.task.token, claim.task.slot)


def _name(entry: Candidate) -> TaskName:
    return (entry.run_id, entry.name[1], entry.name[2])


def _in_order(rows: Sequence[Row], chosen: Sequence[Candidate]) -> tuple[TaskClaim, ...]:
    """The claims in the order in which they were chosen; others may have been faster with some."""
    claims: dict[TaskName, TaskClaim] = {}
    for row in rows:
        claim = task_claim(row)
        claims[_task_name(claim)] = claim
    return tuple(claims[_name(one)] for one in chosen if _name(one) in claims)


def _in_lock_order(entries: Iterable[Candidate]) -> tuple[object, ...]:
    ordered = sorted(entries, key=lambda one: (shard(one.run_id), one.name))
    return _fenced([(_name(one), one.fence) for one in ordered])


def _fenced(tasks: Sequence[_Fenced]) -> tuple[object, ...]:
    return (*task_names([name for name, _ in tasks]), arrays.bigints([fence for _, fence in tasks]))


def _put_away(rows: Sequence[Row], now: Micros, backoff: int) -> list[Ask]:
    """Count the losses of workers that let a lease expire; what nobody needs any more goes."""
    asks: list[Ask] = []
    expired = [
        ((run, token, slot), fence) for _, run, token, slot, fence, lease, *_ in rows if lease is not None
    ]
    unneeded = [
        ((run, token, slot), fence) for _, run, token, slot, fence, lease, *_ in rows if lease is None
    ]
    if expired:
        asks.append((LOSE_TASKS, (*_fenced(expired), Bigint(now), Bigint(backoff))))
    if unneeded:
        asks.append((DROP_UNNEEDED, _fenced(unneeded)))
    return asks


def _place(held: TaskHold) -> tuple[int, int, int, int]:
    """Where its row stands in the order in which every verb locks tasks."""
    return shard(held.run_id), held.run_id.int, held.token, held.slot


async def heartbeat(session: Session, held: Sequence[TaskHold], lease: int) -> list[bool | None]:
    """The verb: True held, False asked to cancel, None not the caller's any more."""
    at = sorted(range(len(held)), key=lambda i: _place(held[i]))
    fenced = _fenced([((held[i].run_id, held[i].token, held[i].slot), held[i].fence) for i in at])
    details = arrays.byteas([held[i].details for i in at])
    (rows,) = await session.write((BEAT_TASKS, (*fenced, details, Bigint(lease))))
    answers: list[bool | None] = [None] * len(held)
    for order, cancel in rows:
        answers[at[order - 1]] = not cancel
    return answers
