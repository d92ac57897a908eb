"""The rules of the parity machine that are about runs: started, sent to, claimed, committed, given back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from msgspec.structs import replace

from continuum_core.journal.commit import (
    FIRST_DUE,
    Commit,
    DueEntry,
    NewRun,
    RunClaim,
)
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.choices import (
    dedupes,
    effects,
    fingerprints,
    latest,
    leases,
    messages,
    now_and_then,
    places,
    takes,
)
from continuum_core.testing.conformance.given import FAR, HOUR, fused, hold_run, new_id, new_run, turn
from continuum_core.testing.conformance.operating import operation
from continuum_core.testing.conformance.parity import Pair
from continuum_core.testing.conformance.twins import Twins

__all__ = ["RunRules"]


def _unclaimed(new: NewRun) -> RunClaim:
    """What the first turn of a run is computed from, before there is a run."""
    return RunClaim(
        run_id=new.run_id,
        machine=new.machine,
        fingerprint=new.fingerprint,
        generation=0,
        version=0,
        fence=0,
        base=None,
        snapshot=b"",
        tries=0,
        lease_until=0,
        deliveries=(new.delivery,),
    )


class RunRules(Twins):
    """Every verb on runs."""

    @operation(
        weight=3,
        when=lambda self: len(self.news) < 6,
        count=st.integers(1, 2),
        fingerprint=fingerprints,
        dedupe=dedupes,
        early=st.booleans(),
        chosen=effects,
    )
    def start(
        self, count: int, fingerprint: str, dedupe: str | None, early: bool, chosen: dict[str, Any]
    ) -> None:
        news = [new_run(fingerprint=fingerprint) for _ in range(count)]
        news = [replace(new, delivery=replace(new.delivery, dedupe=dedupe)) for new in news]
        self.runs += [new.run_id for new in news]
        changes = [self.changes(new.run_id, chosen, (new.delivery,)) for new in news] if early else []

        turns: list[Commit] = []

        async def work(journal: Journal, _: int) -> Any:
            if not early:
                return await journal.start(news)
            now = await journal.now()
            turns[:] = [
                self.shaped(turn(_unclaimed(new), now, **fields, fence=None), chosen)
                for new, fields in zip(news, changes, strict=True)
            ]
            return await journal.start(
                [replace(new, turn=first) for new, first in zip(news, turns, strict=True)]
            )

        answers = self.sides.ask(work)
        self.news += news  # repeated without their turn: that is what a client does
        for first, mine, theirs in zip(turns, answers.mine, answers.theirs, strict=bool(turns)):
            if mine.committed is not None:
                self.keep_born(first, mine.committed, theirs.committed)

    @operation(when=lambda self: self.news, place=places, other=st.booleans())
    def start_again(self, place: int, other: bool) -> None:
        new = self.news[place % len(self.news)]
        again = replace(new, digest=b"other") if other else new
        self.sides.ask(lambda journal, _: journal.start([again]))
        if new.run_id not in self.runs:
            self.runs.append(new.run_id)

    @operation(
        weight=3, choices=st.lists(messages, min_size=1, max_size=4), floor=st.sampled_from([0, 0, FAR])
    )
    def deliver(self, choices: list[Any], floor: int) -> None:
        deliveries = [replace(self.message(choice), floor=floor) for choice in choices]
        self.sent += deliveries
        self.sides.ask(lambda journal, _: journal.deliver(deliveries))

    @operation(when=lambda self: self.sent, place=st.integers(0, 100))
    def deliver_again(self, place: int) -> None:
        delivery = self.sent[place % len(self.sent)]
        self.sides.ask(lambda journal, _: journal.deliver([delivery]))

    @operation(
        weight=6,
        limit=st.integers(1, 4),
        lease=leases,
        takes=takes,
        after=st.sampled_from(["all", "all", "two", "reached"]),
        scan=st.sampled_from([1, 2, 1_000, 1_000]),
    )
    def claim_runs(self, limit: int, lease: int, takes: frozenset[str], after: str, scan: int) -> None:
        claim_id = new_id()
        begins = {
            "all": (FIRST_DUE, FIRST_DUE),
            "two": (DueEntry(2, UUID(int=0)), DueEntry(2, UUID(int=0))),
            "reached": self.reached,
        }[after]
        claims = self.sides.ask(
            lambda journal, side: journal.claim_runs(claim_id, limit, lease, takes, begins[side], scan)
        )
        self.reached = (claims.mine.reached or FIRST_DUE, claims.theirs.reached or FIRST_DUE)
        for pair in zip(claims.mine.runs, claims.theirs.runs, strict=True):
            self.held.append(Pair(*pair))
            for side, claim in enumerate(pair):
                assert claim.fence > self.fences.get((side, claim.run_id), 0)
                self.fences[side, claim.run_id] = claim.fence
        self.claim_ids.append(claim_id)

    @operation(when=lambda self: self.claim_ids, place=st.integers(0, 3))
    def claim_runs_again(self, place: int) -> None:
        claim_id = self.claim_ids[-1 - place % len(self.claim_ids)]
        self.sides.ask(lambda journal, _: journal.claim_runs(claim_id, 3, HOUR, frozenset({"v1", "v2"})))

    @operation(
        weight=8,
        when=lambda self: self.held,
        place=latest,
        chosen=effects,
        count=st.sampled_from([1, 1, 2, 2, 5]),
        stale=now_and_then,
        twice=now_and_then,
    )
    def commit(self, place: int, chosen: dict[str, Any], count: int, stale: bool, twice: bool) -> None:
        count = min(count, len(self.held))
        pairs = [self.held[-1 - (place + more) % len(self.held)] for more in range(count + twice)]
        fields = [self.changes(pair.mine.run_id, chosen, pair.mine.deliveries) for pair in pairs]
        if stale:
            fields[0]["base"] = new_id()
        turns: list[list[Commit]] = [[], []]

        async def work(journal: Journal, side: int) -> Any:
            now = await journal.now()
            claims = [pair.theirs if side else pair.mine for pair in pairs]
            turns[side] = [
                self.shaped(turn(claim, now, **one), chosen)
                for claim, one in zip(claims, fields, strict=True)
            ]
            return await journal.commit(turns[side])

        answers = self.sides.ask(work)
        self.commits += [Pair(*pair) for pair in zip(*turns, strict=True)]
        for made, mine, theirs in zip(turns[0], answers.mine, answers.theirs, strict=True):
            self.keep_born(made, mine, theirs)

    @operation(when=lambda self: self.commits, place=st.integers(0, 3))
    def commit_again(self, place: int) -> None:
        pair = self.commits[-1 - place % len(self.commits)]
        self.sides.ask(lambda journal, side: journal.commit([pair.theirs if side else pair.mine]))

    @operation(
        weight=3, when=lambda self: self.runs, place=st.integers(0, 6), chosen=effects, ahead=now_and_then
    )
    def commit_fused(self, place: int, chosen: dict[str, Any], ahead: bool) -> None:
        run_id = self.some_run(place)
        known = self.kit.run(self.mine.inspect(run_id))
        fields = self.changes(run_id, chosen, () if known is None else known.deliveries)
        turns: list[Commit] = []

        async def work(journal: Journal, _: int) -> Any:
            (run,) = await journal.load([run_id])
            if run is None:
                return None
            now = await journal.now() + (HOUR if ahead else 0)
            turns.append(self.shaped(fused(run, now, **fields), chosen))
            return await journal.commit(turns[-1:])

        answers = self.sides.ask(work)
        if answers.mine is not None:
            self.commits.append(Pair(*turns))
            self.keep_born(turns[0], answers.mine[0], answers.theirs[0])

    @operation(when=lambda self: self.held, place=latest, lease=leases)
    def renew(self, place: int, lease: int) -> None:
        pair = self.held[-1 - place % len(self.held)]
        self.sides.ask(
            lambda journal, side: journal.renew([hold_run(pair.theirs if side else pair.mine)], lease)
        )

    @operation(when=lambda self: self.held, place=latest)
    def release(self, place: int) -> None:
        pair = self.held[-1 - place % len(self.held)]
        self.sides.ask(lambda journal, side: journal.release([hold_run(pair.theirs if side else pair.mine)]))
