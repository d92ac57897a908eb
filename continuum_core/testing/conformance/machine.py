"""The state machine of promise 22: every verb, in any order, on two journals at once.

What a rule chooses is the same for both; what depends on a journal's own clock (fences, `now`) is made
on each side from what that side has told.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace

from continuum_core.journal.commit import (
    Commit,
    Finished,
    FinishKind,
    NewRun,
    NewTask,
    Order,
    OrderKind,
    PrunePlan,
    Query,
    RunClaim,
    TaskClaim,
    TaskFinish,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Delivery, DeliveryKind, Held, RunStatus
from continuum_core.journal.searching import Search, Sort, searcher_of
from continuum_core.testing.conformance.choices import (
    activities,
    caps,
    dedupes,
    effects,
    fingerprints,
    leases,
    limits,
    messages,
    now_and_then,
    places,
    rates,
    results,
    takes,
)
from continuum_core.testing.conformance.differing import check_alike
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MACHINE,
    finish,
    fused,
    hold_run,
    hold_task,
    new_id,
    new_run,
    order,
    reservation,
    signal,
    timer,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import Kit
from continuum_core.testing.conformance.parity import Pair, Sides
from continuum_core.testing.conformance.searches import attribute, having

_REFERENCE = "memory://"


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


class Parity(RuleBasedStateMachine):
    """Operations on both journals; `kit` is set by the test."""

    kit: Kit

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[UUID] = []
        self.news: list[NewRun] = []
        self.sent: list[Delivery] = []
        self.given: list[Order] = []
        self.claim_ids: list[UUID] = []
        self.held: list[Pair[RunClaim]] = []
        self.tasks: list[Pair[TaskClaim]] = []
        self.commits: list[Pair[Commit]] = []
        self.ends: list[Pair[TaskFinish]] = []
        self.fences: dict[tuple[int, UUID], int] = {}

    @initialize(limits=limits)
    def begin(self, limits: Limits) -> None:
        namespace = f"parity-{new_id().hex}"
        self.theirs = self.kit.clocked(namespace, limits)
        self.kit.run(self.theirs.open())
        self.clock = self.kit.clock
        if self.clock is not None and self.kit.run(self.theirs.now()) != self.clock.at:
            self.clock = None  # a store that somebody opened before has the clock that it was given then
        self.mine = connect(_REFERENCE, namespace, limits, clock=self.clock)
        self.kit.run(self.mine.open())
        self.sides = Sides(self.kit.run, self.mine, self.theirs, self.clock)

    def teardown(self) -> None:
        if hasattr(self, "theirs"):
            self.kit.run(self.mine.close())
            self.kit.run(self.theirs.close())

    # --- choosing

    def some_run(self, place: int) -> UUID:
        """A run that was started, or now and then an id that no run has."""
        if not self.runs or place == 7:
            return new_id()
        return self.runs[place % len(self.runs)]

    def message(self, choice: tuple[int, str, int | None, str | None, int]) -> Delivery:
        place, kind, due, dedupe, token = choice
        run_id = self.some_run(place)
        if kind == "timer":
            return timer(run_id, FAR if due is None else due, token)
        return signal(run_id, due=due, dedupe=dedupe, token=token)

    def changes(self, chosen: dict[str, Any], deliveries: tuple[Delivery, ...]) -> dict[str, Any]:
        """The fields of a turn that are the same on both sides."""
        consumed = chosen["consume"]
        hold: tuple[tuple[UUID, Held], ...] = ()
        if chosen["hold"] is not None:
            hold = tuple((delivery.id, chosen["hold"]) for delivery in deliveries[consumed : consumed + 1])
        claim_id = new_id()
        born: list[NewTask] = [
            replace(task, claim_id=None if task.lease is None else claim_id) for task in chosen["tasks"]
        ]
        return {
            "bodies": [b"step;"] * chosen["steps"],
            "status": chosen["status"],
            "outcome": b"over" if chosen["status"] in (RunStatus.COMPLETED, RunStatus.CANCELLED) else None,
            "cause": "parked" if chosen["status"] is RunStatus.PARKED else "",
            "deliveries": tuple(self.message(choice) for choice in chosen["sends"]),
            "tasks": tuple(born),
            "closed": chosen["closed"],
            "consumed": tuple(delivery.id for delivery in deliveries[:consumed]),
            "hold": hold,
            "release": chosen["release"],
            "fingerprint": chosen["fingerprint"],
            "commit_id": new_id(),
            "attributes": (attribute("made", consumed, chosen["steps"]),) if chosen["release"] else (),
        }

    def keep_tasks(self, mine: tuple[TaskClaim, ...], theirs: tuple[TaskClaim, ...]) -> None:
        self.tasks += [Pair(*pair) for pair in zip(mine, theirs, strict=True)]

    # --- runs

    @precondition(lambda self: len(self.runs) < 6)
    @rule(
        count=st.integers(1, 2), fingerprint=fingerprints, dedupe=dedupes, early=st.booleans(), chosen=effects
    )
    def start(
        self, count: int, fingerprint: str, dedupe: str | None, early: bool, chosen: dict[str, Any]
    ) -> None:
        news = [new_run(fingerprint=fingerprint) for _ in range(count)]
        news = [replace(new, delivery=replace(new.delivery, dedupe=dedupe)) for new in news]
        self.runs += [new.run_id for new in news]
        changes = [self.changes(chosen, (new.delivery,)) for new in news] if early else []

        async def work(journal: Journal, _: int) -> Any:
            if not early:
                return await journal.start(news)
            now = await journal.now()
            turns = [
                turn(_unclaimed(new), now, **fields, fence=None)
                for new, fields in zip(news, changes, strict=True)
            ]
            return await journal.start(
                [replace(new, turn=first) for new, first in zip(news, turns, strict=True)]
            )

        answers = self.sides.ask(work)
        self.news += news  # repeated without their turn: that is what a client does
        for mine, theirs in zip(answers.mine, answers.theirs, strict=True):
            if mine.committed is not None:
                self.keep_tasks(mine.committed.tasks, theirs.committed.tasks)

    @precondition(lambda self: self.news)
    @rule(place=places, other=st.booleans())
    def start_again(self, place: int, other: bool) -> None:
        new = self.news[place % len(self.news)]
        again = replace(new, digest=b"other") if other else new
        self.sides.ask(lambda journal, _: journal.start([again]))
        if new.run_id not in self.runs:
            self.runs.append(new.run_id)

    @rule(choices=st.lists(messages, min_size=1, max_size=4), floor=st.sampled_from([0, 0, FAR]))
    def deliver(self, choices: list[Any], floor: int) -> None:
        deliveries = [replace(self.message(choice), floor=floor) for choice in choices]
        self.sent += deliveries
        self.sides.ask(lambda journal, _: journal.deliver(deliveries))

    @precondition(lambda self: self.sent)
    @rule(place=st.integers(0, 100))
    def deliver_again(self, place: int) -> None:
        delivery = self.sent[place % len(self.sent)]
        self.sides.ask(lambda journal, _: journal.deliver([delivery]))

    @rule(
        limit=st.integers(1, 4),
        lease=leases,
        takes=takes,
        after=st.sampled_from([0, 0, 0, 2]),
        scan=st.sampled_from([1, 2, 1_000, 1_000]),
    )
    def claim_runs(self, limit: int, lease: int, takes: frozenset[str], after: int, scan: int) -> None:
        claim_id = new_id()
        claims = self.sides.ask(
            lambda journal, _: journal.claim_runs(claim_id, limit, lease, takes, after, scan)
        )
        for pair in zip(claims.mine.runs, claims.theirs.runs, strict=True):
            self.held.append(Pair(*pair))
            for side, claim in enumerate(pair):
                assert claim.fence > self.fences.get((side, claim.run_id), 0)
                self.fences[side, claim.run_id] = claim.fence
        self.claim_ids.append(claim_id)

    @precondition(lambda self: self.claim_ids)
    @rule(place=st.integers(0, 3))
    def claim_runs_again(self, place: int) -> None:
        claim_id = self.claim_ids[-1 - place % len(self.claim_ids)]
        self.sides.ask(lambda journal, _: journal.claim_runs(claim_id, 3, HOUR, frozenset({"v1", "v2"})))

    @precondition(lambda self: self.held)
    @rule(place=places, chosen=effects, count=st.integers(1, 2), stale=now_and_then)
    def commit(self, place: int, chosen: dict[str, Any], count: int, stale: bool) -> None:
        pairs = [self.held[-1 - (place + more) % len(self.held)] for more in range(count)]
        fields = [self.changes(chosen, pair.mine.deliveries) for pair in pairs]
        if stale:
            fields[0]["base"] = new_id()
        turns: list[list[Commit]] = [[], []]

        async def work(journal: Journal, side: int) -> Any:
            now = await journal.now()
            claims = [pair.theirs if side else pair.mine for pair in pairs]
            turns[side] = [turn(claim, now, **one) for claim, one in zip(claims, fields, strict=True)]
            return await journal.commit(turns[side])

        answers = self.sides.ask(work)
        self.commits += [Pair(*pair) for pair in zip(*turns, strict=True)]
        for mine, theirs in zip(answers.mine, answers.theirs, strict=True):
            self.keep_tasks(mine.tasks, theirs.tasks)

    @precondition(lambda self: self.commits)
    @rule(place=st.integers(0, 3))
    def commit_again(self, place: int) -> None:
        pair = self.commits[-1 - place % len(self.commits)]
        self.sides.ask(lambda journal, side: journal.commit([pair.theirs if side else pair.mine]))

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 6), chosen=effects, ahead=now_and_then)
    def commit_fused(self, place: int, chosen: dict[str, Any], ahead: bool) -> None:
        run_id = self.some_run(place)
        known = self.kit.run(self.mine.inspect(run_id))
        fields = self.changes(chosen, () if known is None else known.deliveries)
        turns: list[Commit] = []

        async def work(journal: Journal, _: int) -> Any:
            (run,) = await journal.load([run_id])
            if run is None:
                return None
            now = await journal.now() + (HOUR if ahead else 0)
            turns.append(fused(run, now, **fields))
            return await journal.commit(turns[-1:])

        answers = self.sides.ask(work)
        if answers.mine is not None:
            self.commits.append(Pair(*turns))
            self.keep_tasks(answers.mine[0].tasks, answers.theirs[0].tasks)

    @precondition(lambda self: self.held)
    @rule(place=places, lease=leases)
    def renew(self, place: int, lease: int) -> None:
        pair = self.held[-1 - place % len(self.held)]
        self.sides.ask(
            lambda journal, side: journal.renew([hold_run(pair.theirs if side else pair.mine)], lease)
        )

    @precondition(lambda self: self.held)
    @rule(place=places)
    def release(self, place: int) -> None:
        pair = self.held[-1 - place % len(self.held)]
        self.sides.ask(lambda journal, side: journal.release([hold_run(pair.theirs if side else pair.mine)]))

    # --- tasks

    @rule(
        limit=st.integers(0, 3),
        lease=leases,
        wanted=st.sets(activities),
        queues=st.sampled_from([("queue",), ("queue", "slow"), ("queue", "queue")]),
        cap=caps,
        rate=rates,
    )
    def claim_tasks(
        self,
        limit: int,
        lease: int,
        wanted: set[str],
        queues: tuple[str, ...],
        cap: int | None,
        rate: Rate | None,
    ) -> None:
        claim_id = new_id()
        wants = [want(limit, queue, sorted(wanted), cap, rate) for queue in queues]
        claims = self.sides.ask(lambda journal, _: journal.claim_tasks(claim_id, wants, lease))
        self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)
        self.claim_ids.append(claim_id)

    @precondition(lambda self: self.claim_ids)
    @rule(place=st.integers(0, 3))
    def claim_tasks_again(self, place: int) -> None:
        claim_id = self.claim_ids[-1 - place % len(self.claim_ids)]
        wants = [want(3, activities=("act", "other"))]
        claims = self.sides.ask(lambda journal, _: journal.claim_tasks(claim_id, wants, HOUR))
        self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)

    @precondition(lambda self: self.tasks)
    @rule(place=places, lease=leases, details=results)
    def heartbeat(self, place: int, lease: int, details: bytes | None) -> None:
        pair = self.tasks[-1 - place % len(self.tasks)]
        self.sides.ask(
            lambda journal, side: journal.heartbeat(
                [hold_task(pair.theirs if side else pair.mine, details)], lease
            )
        )

    @precondition(lambda self: self.tasks)
    @rule(
        place=places,
        kind=st.sampled_from(FinishKind),
        delay=st.sampled_from([0, HOUR]),
        result=results,
        onward=st.booleans(),
        chosen=effects,
    )
    def finish(
        self,
        place: int,
        kind: FinishKind,
        delay: int,
        result: bytes | None,
        onward: bool,
        chosen: dict[str, Any],
    ) -> None:
        pair = self.tasks[-1 - place % len(self.tasks)]
        run_id = pair.mine.task.run_id
        delivery = finish(pair.mine, kind).delivery
        fields = self.changes(chosen, () if delivery is None else (delivery,))
        ends: list[TaskFinish] = []

        async def work(journal: Journal, side: int) -> list[Finished]:
            end = finish(
                pair.theirs if side else pair.mine, kind, delay=delay, result=result, delivery=delivery
            )
            (run,) = await journal.load([run_id])
            if onward and run is not None and delivery is not None:
                end = replace(end, turn=fused(run, await journal.now(), **fields))
            ends.append(end)
            return await journal.finish([end])

        answers = self.sides.ask(work)
        self.ends.append(Pair(*ends))
        mine, theirs = answers.mine[0].committed, answers.theirs[0].committed
        if mine is not None and theirs is not None:
            self.keep_tasks(mine.tasks, theirs.tasks)

    @precondition(lambda self: self.ends)
    @rule(place=st.integers(0, 3))
    def finish_again(self, place: int) -> None:
        pair = self.ends[-1 - place % len(self.ends)]
        self.sides.ask(lambda journal, side: journal.finish([pair.theirs if side else pair.mine]))

    @precondition(lambda self: self.tasks)
    @rule(first=places, second=places, lease=leases)
    def reserve(self, first: int, second: int, lease: int) -> None:
        asked = [
            reservation(self.tasks[-1 - place % len(self.tasks)].mine.task, lease)
            for place in (first, second)
        ]
        self.sides.ask(lambda journal, _: journal.reserve(asked))

    # --- time

    @precondition(lambda self: self.clock is not None)
    @rule(length=st.sampled_from([1_000, 1_000_000, HOUR]))
    def time_passes(self, length: int) -> None:
        assert self.clock is not None
        self.clock.at += length

    # --- operators and readers

    @rule(kind=st.sampled_from(OrderKind), place=places)
    def control(self, kind: OrderKind, place: int) -> None:
        if kind is OrderKind.SET and Capability.SEARCH not in self.kit.capabilities:
            return
        set_ = (attribute("given", place),) if kind is OrderKind.SET else ()
        run_id = self.some_run(place)
        one = order(kind, run_id, cause="cause", outcome=b"over", attributes=set_)
        if kind is OrderKind.POSTPONE:
            due = FAR if self.clock is None or place % 2 else self.clock.at + HOUR
            start = Delivery(new_id(), run_id, DeliveryKind.START, b"later", due=due)
            one = replace(one, delivery=start, digest=b"later")
        self.given.append(one)
        self.sides.ask(lambda journal, _: journal.control([one]))

    @precondition(lambda self: self.given)
    @rule(place=st.integers(0, 3))
    def control_again(self, place: int) -> None:
        one = self.given[-1 - place % len(self.given)]
        self.sides.ask(lambda journal, _: journal.control([one]))

    @rule(
        limit=st.integers(0, 2),
        dry_run=st.booleans(),
        status=st.sampled_from([frozenset[RunStatus](), frozenset({RunStatus.COMPLETED})]),
        machine=st.sampled_from([None, MACHINE, "other"]),
    )
    def prune(self, limit: int, dry_run: bool, status: frozenset[RunStatus], machine: str | None) -> None:
        plan = PrunePlan(before=FAR, limit=limit, machine=machine, statuses=status, dry_run=dry_run)
        self.sides.ask(lambda journal, _: journal.prune(plan))

    @rule(limit=st.integers(1, 4), status=st.sampled_from([None, *RunStatus]))
    def list_pages(self, limit: int, status: RunStatus | None) -> None:
        query = Query(status=status)

        async def work(journal: Journal, _: int) -> Any:
            pages = [await journal.list(query, limit)]
            while pages[-1].cursor is not None:
                pages.append(await journal.list(query, limit, pages[-1].cursor))
            return pages

        self.sides.ask(work)

    @invariant()
    def rows_are_the_same(self) -> None:
        if not hasattr(self, "theirs"):
            return
        mine, theirs = (self.kit.run(self._everything(one)) for one in (self.mine, self.theirs))
        for run_id, (ours, others) in zip(self.runs, zip(mine, theirs, strict=True), strict=True):
            check_alike(ours, others, f"rows of run {run_id}")
        mine, theirs = (self.kit.run(self._attributes(one)) for one in (self.mine, self.theirs))
        check_alike(mine, theirs, "attributes")

    async def _everything(self, journal: Journal) -> list[Any]:
        return [
            {
                "inspect": self.sides.comparable(await journal.inspect(run_id)),
                "history": self.sides.comparable(await journal.history(run_id)),
            }
            for run_id in self.runs
        ]

    async def _attributes(self, journal: Journal) -> list[Any]:
        if Capability.SEARCH not in self.kit.capabilities:
            return []
        searcher = searcher_of(journal)
        places = Search(having("made"), Sort("given"))
        shown = [run.run_id for run in (await searcher.search(places)).runs]
        return [*await searcher.attributes(self.runs), shown]
