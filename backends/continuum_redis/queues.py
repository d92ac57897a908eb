"""Claims of tasks over several tags, with caps and rates that hold over all of them.

Rule: permits first, leases after: a permit is acquired before a task is claimed, moved before a lease is
renewed, and handed back after the task has ended. Who dies between leaves permits that end by themselves, so
that a cap is never passed. Priority holds over all tags, as far as looking can tell; fairness within a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from attrs import define, evolve, field, frozen
from msgspec.structs import replace

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import TaskClaim, TaskClaims, TaskWant
from continuum_redis import answers
from continuum_redis.arguments import Arguments, packed, task_name
from continuum_redis.spread import sooner, suspects_first, water_filled
from continuum_redis.store import READING, Store

__all__ = ["SKEW", "TaskSpread"]

SKEW = 2_000_000
"""Microseconds by which clocks of a cluster's nodes may differ: permits outlive leases by so much there."""

_SUSPECT = 2


@frozen
class _Permits:
    """What a want may take.

    :ivar name: of those that no task has yet, but for their number.
    :ivar hint: when there will be more.
    """

    want: TaskWant
    name: bytes
    room: int
    hint: int | None = None

    @property
    def limited(self) -> bool:
        return self.want.cap is not None or self.want.rate is not None


@define(eq=False)
class TaskSpread:
    """Claims of tasks by one handle."""

    store: Store
    _suspects: dict[int, None] = field(factory=dict[int, None])

    async def claim(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        def look(to: Arguments) -> None:
            to.uuid(claim_id)
            to.list(to.want, wants)

        def asking(shares: Sequence[int], before: int) -> bytes:
            return packed(_write(claim_id, wants, shares, lease, before))

        looks = await self.store.look("look_tasks", packed(look))
        tags, nothing = list(looks), [0] * len(wants)
        if held := [tag for tag in tags if looks[tag][1]]:
            return _merged(await self._asked([(tag, asking(nothing, 0)) for tag in held]), looks, ())
        # What a claim finds of lost workers is put away whatever it may take, and may be due at once.
        untidy = [tag for tag in tags if looks[tag][4]]
        permits = await self._acquire(claim_id, wants, looks, lease)
        shares = _shares(looks, permits)
        asked = [tag for tag in tags if any(shares[tag]) or tag in untidy]
        first = suspects_first([tag for tag in asked if any(shares[tag])], self._suspects)
        if first is None and sum(1 for tag in asked if any(shares[tag])) == 1:
            first = next(tag for tag in asked if any(shares[tag]))
        replies: dict[int, Any] = {}
        if first is not None:
            replies |= await self._asked([(first, asking(shares[first], 0))])
        others = [tag for tag in asked if tag != first]
        if any(row[0][12] >= _SUSPECT for reply in replies.values() for row in reply[1]):
            others = []
        replies |= await self._asked([(tag, asking(shares[tag], 1)) for tag in others])
        if not any(reply[1] for reply in replies.values()):
            first = suspects_first(asked, self._suspects)  # nothing else was there: it may come now
            if first is not None:
                replies |= await self._asked([(first, asking(shares[first], 0))])
        claims = _merged(replies, looks, permits)
        await self._assign(permits, claims.tasks)
        return claims

    async def _asked(self, asked: list[tuple[int, bytes]]) -> dict[int, Any]:
        told = await self.store.ask_each(READING, "claim_tasks", asked) if asked else []
        replies = {tag: reply for (tag, _), reply in zip(asked, told, strict=True)}
        self._suspects |= {tag: None for tag, reply in replies.items() if reply[3]}
        return replies

    # --- permits

    async def _acquire(
        self, claim_id: UUID, wants: Sequence[TaskWant], looks: dict[int, Any], lease: int
    ) -> list[_Permits]:
        permits: list[_Permits] = []
        for place, want in enumerate(wants):
            there = sum(level[1] for look in looks.values() for level in look[2][place])
            room = max(0, min(want.limit, there))
            asked = _Permits(want, claim_id.bytes + place.to_bytes(2, "big"), room)
            granted = asked if not asked.limited or not room else await self._acquired(asked, lease)
            # When there will be more is of interest to those that are left waiting.
            permits.append(granted if there > granted.room else evolve(granted, hint=None))
        return permits

    async def _acquired(self, asked: _Permits, lease: int) -> _Permits:
        """One want after the other: what one takes counts for the next of its queue."""
        want = asked.want

        def write(to: Arguments) -> None:
            to.text(want.queue)
            to.bytes(asked.name)
            to.number(asked.room)
            to.number(lease + self._skew())
            to.maybe(to.number, want.cap)
            to.maybe(to.rate, want.rate)

        try:
            [[room, hint]] = await self._at_queues("acquire", [(want.queue, packed(write))])
        except JournalUnavailable:  # the node of its permits is down: this queue waits, the others need not
            return _Permits(want, asked.name, 0)
        return _Permits(want, asked.name, room, hint)

    async def _assign(self, permits: Sequence[_Permits], tasks: Sequence[TaskClaim]) -> None:
        """Give each permit the name of its task; those in excess go back."""
        left = [each.task for each in tasks]
        members: list[tuple[str, bytes]] = []
        for granted in permits:
            if not granted.limited or not granted.room:
                continue
            want = granted.want
            used = [t for t in left if t.queue == want.queue and t.activity in want.activities][
                : granted.room
            ]
            left = [task for task in left if task not in used]

            def write(to: Arguments, granted: _Permits = granted, used: list[Any] = used) -> None:
                to.text(granted.want.queue)
                to.bytes(granted.name)
                to.number(granted.room)
                to.flag(granted.want.cap is not None)
                to.maybe(to.rate, granted.want.rate)
                to.number(len(used))
                for task in used:
                    to.bytes(task_name(task.run_id, task.token, task.slot))
                    to.number(task.lease_until + self._skew())

            members.append((want.queue, packed(write)))
        await self._at_queues("assign", members)

    async def extend(self, renewed: Sequence[tuple[str, bytes]], lease: int) -> None:
        """Let the permits of tasks (queue, name) end a lease from now."""

        def write(queue: str, name: bytes) -> bytes:
            return packed(_permit(queue, name, lease + self._skew()))

        await self._at_queues("extend", [(queue, write(queue, name)) for queue, name in renewed])

    async def hand_back(self, ended: Sequence[tuple[str, bytes]]) -> None:
        """The permits of tasks (queue, name) whose leases have ended."""

        def write(queue: str, name: bytes) -> bytes:
            return packed(_permit(queue, name))

        await self._at_queues("hand_back", [(queue, write(queue, name)) for queue, name in ended])

    def _skew(self) -> int:
        return SKEW if self.store.space.nodes.clustered else 0

    async def _at_queues(self, verb: str, members: Sequence[tuple[str, bytes]]) -> list[Any]:
        placed = [(self.store.tags.of(queue.encode()), member) for queue, member in members]
        return await self.store.gather(READING, verb, placed) if placed else []


def _permit(queue: str, name: bytes, lease: int | None = None) -> Callable[[Arguments], None]:
    def write(to: Arguments) -> None:
        to.text(queue)
        to.bytes(name)
        if lease is not None:
            to.number(lease)

    return write


def _write(
    claim_id: UUID, wants: Sequence[TaskWant], shares: Sequence[int], lease: int, before: int
) -> Callable[[Arguments], None]:
    """Arguments of a claim of tasks in one tag: permits stand for caps and rates."""

    def write(to: Arguments) -> None:
        to.uuid(claim_id)
        to.number(lease)
        to.number(before)
        to.number(len(wants))
        for want, share in zip(wants, shares, strict=True):
            to.want(replace(want, limit=share, cap=None, rate=None), permit=want.cap is not None)

    return write


def _shares(looks: dict[int, Any], permits: Sequence[_Permits]) -> dict[int, list[int]]:
    """How many tasks of each want each tag is asked for: the best priority first, of one the longest due."""
    shares = {tag: [0] * len(permits) for tag in looks}
    for place, granted in enumerate(permits):
        room = granted.room
        levels = sorted({level[0] for look in looks.values() for level in look[2][place]})
        for priority in levels:
            there = [
                (level[2], tag, level[1])
                for tag, look in looks.items()
                for level in look[2][place]
                if level[0] == priority
            ]
            there.sort()
            for (_, tag, _), share in zip(
                there, water_filled([each[2] for each in there], room), strict=True
            ):
                shares[tag][place] += share
                room -= share
    return shares


def _merged(replies: dict[int, Any], looks: dict[int, Any], permits: Sequence[_Permits]) -> TaskClaims:
    told = {tag: answers.task_claims(reply) for tag, reply in replies.items()}
    next_due = [told[tag].next_due if tag in told else look[3] for tag, look in looks.items()]
    return TaskClaims(
        max(look[0] for look in chain(looks.values(), replies.values())),
        tuple(chain(*(claims.tasks for claims in told.values()))),
        sooner(*next_due, *(granted.hint for granted in permits)),
    )
