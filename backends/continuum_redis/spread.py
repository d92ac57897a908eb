"""Claims over several tags: look at all, then ask each for its share of what is due.

Rule: looking writes nothing, and every claim looks at every tag, so that no hint is ever needed and a claim
that is repeated finds what it holds wherever that is; tags of a node that is down are left out. The oldest go
first (of tasks, those of the best priority), as far as looking can tell; a suspect comes alone, and a tag
that was seen to have one behind others is asked first the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

from continuum_core.clock import Micros
from continuum_core.journal.commit import Claims, DueEntry, RunClaim
from continuum_redis import answers
from continuum_redis.arguments import Arguments, packed
from continuum_redis.relay import Relay
from continuum_redis.store import READING, Store

__all__ = ["RunSpread", "sooner", "suspects_first", "water_filled", "write_claim"]

_SUSPECT = 2


def sooner(*moments: Micros | None) -> Micros | None:
    return min((moment for moment in moments if moment is not None), default=None)


def water_filled(counts: Sequence[int], room: int) -> list[int]:
    """How much of `room` each gets: in turn, no more than it has. Those in front are served first.

    >>> water_filled([1, 5, 3], 6)
    [1, 3, 2]
    """
    shares = [0] * len(counts)
    while room > 0:
        open_places = [place for place, count in enumerate(counts) if shares[place] < count]
        if not open_places:
            break
        each = max(1, room // len(open_places))
        for place in open_places:
            given = min(each, counts[place] - shares[place], room)
            shares[place] += given
            room -= given
    return shares


def suspects_first(tags: list[int], suspects: dict[int, None]) -> int | None:
    """One of `tags` that was seen to have a suspect in front, longest ago; it is seen anew from here on."""
    for tag in list(suspects):
        if tag in tags:
            del suspects[tag]
            return tag
    return None


@frozen
class _Ask:
    """What a claim of runs asks of every tag."""

    claim_id: UUID
    lease: int
    takes: frozenset[str]
    after: DueEntry
    scan: int


@define(eq=False)
class _Found:
    """What a claim has of one tag so far.

    :ivar more: there may be more.
    """

    runs: dict[UUID, RunClaim] = field(factory=dict[UUID, RunClaim])
    reached: DueEntry | None = None
    next_due: Micros | None = None
    now: Micros = 0
    more: bool = True


@define(eq=False)
class _Round:
    """One claim of runs over all tags.

    :ivar looks: what each tag said when it was looked at: see `look_runs` in `scripts/`.
    """

    store: Store
    ask: _Ask
    looks: dict[int, Any]
    suspects: dict[int, None]
    found: dict[int, _Found] = field(factory=dict[int, _Found])

    @property
    def count(self) -> int:
        return sum(len(found.runs) for found in self.found.values())

    async def claim(self, shares: dict[int, int], before: int) -> None:
        """Ask tags for so many runs each, beyond what the claim has of them."""
        asked = [
            (tag, packed(self._write(share, before, len(self._of(tag).runs))))
            for tag, share in shares.items()
        ]
        for (tag, share), reply in zip(
            shares.items(), await self.store.ask_each(READING, "claim_runs", asked), strict=True
        ):
            told, found = answers.claims(reply), self._of(tag)
            found.runs |= {claim.run_id: claim for claim in told.runs}
            found.reached, found.next_due, found.now = told.reached, told.next_due, told.now
            found.more = len(told.runs) >= share and told.reached is not None
            if reply[4]:
                self.suspects[tag] = None

    def _of(self, tag: int) -> _Found:
        return self.found.setdefault(tag, _Found())

    def _write(self, share: int, before: int, known: int) -> Callable[[Arguments], None]:
        ask = self.ask
        return write_claim(ask.claim_id, share, ask.lease, ask.after, ask.scan, ask.takes, before, known)

    def merged(self, due: Sequence[int]) -> Claims:
        """The answer. `due`: tags that had something due, whether they were asked or not."""
        runs = chain(*(found.runs.values() for found in self.found.values()))
        unasked = [answers.due_entry(self.looks[tag][3]) for tag in due if tag not in self.found]
        ends = [each.reached for each in self.found.values()] + unasked
        coming = [look[4] for look in self.looks.values()] + [each.next_due for each in self.found.values()]
        return Claims(
            now=max([look[0] for look in self.looks.values()] + [each.now for each in self.found.values()]),
            runs=tuple(sorted(runs, key=answers.first_due)),
            reached=min((end for end in ends if end is not None), default=None),
            next_due=sooner(*coming),
        )


@define(eq=False)
class RunSpread:
    """Claims of runs by one handle."""

    store: Store
    relay: Relay
    _suspects: dict[int, None] = field(factory=dict[int, None])

    async def claim(
        self, claim_id: UUID, limit: int, lease: int, takes: frozenset[str], after: DueEntry, scan: int
    ) -> Claims:
        looks = await self._look(claim_id, after)
        await self._tidy(looks)
        this = _Round(self.store, _Ask(claim_id, lease, takes, after, scan), looks, self._suspects)
        if held := [tag for tag, look in looks.items() if look[1]]:
            await this.claim(dict.fromkeys(held, 0), 0)
            return this.merged(())
        due = sorted((tag for tag, look in looks.items() if look[2]), key=lambda tag: (looks[tag][3], tag))
        oldest = due[0] if due and looks[due[0]][7] else None
        first = suspects_first(due, self._suspects) if oldest is None else oldest
        if first is not None and limit > 0:
            await this.claim({first: limit}, 0)
            if any(claim.tries > _SUSPECT for claim in this.merged(()).runs):
                return this.merged(due)
        # What is due may be leased, or not for this caller: then those that were left out have their turn.
        while (room := limit - this.count) > 0:
            others = [tag for tag in due if tag not in this.found or this.found[tag].more]
            filled = water_filled([looks[tag][2] for tag in others], room)
            shares = {tag: share for tag, share in zip(others, filled, strict=True) if share > 0}
            if not shares:
                break
            await this.claim(shares, 1 if len(shares) > 1 or this.count else 0)
        if not this.count:
            first = suspects_first(due, self._suspects)  # nothing else was there: it may come now
            if first is not None and limit > 0:
                await this.claim({first: limit}, 0)
        return this.merged(due)

    async def _look(self, claim_id: UUID, after: DueEntry) -> dict[int, Any]:
        def look(to: Arguments) -> None:
            to.uuid(claim_id)
            _write_entry(to, after)

        return await self.store.look("look_runs", packed(look))

    async def _tidy(self, looks: dict[int, Any]) -> None:
        """What others left undone in the outboxes; what waited in vain."""
        await self.relay.sent(tag for tag, look in looks.items() if look[5])
        for tag, look in looks.items():
            if look[6]:
                await self.relay.give_up(tag)


def _write_entry(to: Arguments, entry: DueEntry) -> None:
    to.number(entry.due)
    to.uuid(entry.id)


def write_claim(
    claim_id: UUID,
    limit: int,
    lease: int,
    after: DueEntry,
    scan: int,
    takes: frozenset[str],
    before: int = 0,
    known: int = 0,
) -> Callable[[Arguments], None]:
    """Arguments of a claim of runs in one tag.

    :param before: how many the claim has of other tags.
    :param known: how many it has of this one; while it holds more, the answer is these.
    """

    def write(to: Arguments) -> None:
        to.uuid(claim_id)
        to.number(limit)
        to.number(lease)
        _write_entry(to, after)
        to.number(max(scan, 1))
        to.number(before)
        to.number(known)
        to.list(to.text, takes)

    return write
