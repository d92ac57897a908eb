"""The kit must catch what it is for: each fault planted in the memory journal breaks the promise it breaks.

A fault is a memory journal that differs from the real one in one small thing. The kit is run against
it as users run it, on the one file of the promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve
from hypothesis import Phase
from msgspec.structs import replace

import continuum_memory
from continuum_core.journal.carrying import Arrival, DepartOutcome, Departure, RestoreOutcome, RunImage
from continuum_core.journal.commit import (
    Claims,
    Commit,
    CommitOutcome,
    Committed,
    Delivered,
    DeliverOutcome,
    Finished,
    Inspection,
    NewRun,
    Ordered,
    Page,
    Pruned,
    PrunePlan,
    Query,
    RunHold,
    Started,
    TaskClaims,
    TaskFinish,
    TaskWant,
)
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Delivery, Run
from continuum_core.testing.conformance import test_p22_parity
from continuum_memory import MemoryJournal
from continuum_memory.carrier import MemoryCarrier
from continuum_memory.rows import RunRow

pytest_plugins = ["pytester"]


class Rows(MemoryJournal):
    """A memory journal whose faults reach for the rows."""

    def row(self, run_id: UUID) -> RunRow | None:
        return self.store.space(self.namespace).runs.get(run_id)


class ForgetsRecords(Rows):
    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Any]:
        return (await super().history(run, after, limit + 1))[:limit][-limit + 1 :] if after else []


class SplitsCommits(Rows):
    """What a turn sends is sent before it is known whether the turn stands."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        await self.deliver([delivery for commit in commits for delivery in commit.deliveries])
        return await super().commit(commits)


class ReleasesAlways(Rows):
    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        return await super().commit([replace(commit, release=True) for commit in commits])


class ChecksNoFence(Rows):
    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        unfenced = [
            replace(commit, fence=row.fence) if commit.fence and (row := self.row(commit.run_id)) else commit
            for commit in commits
        ]
        return await super().commit(unfenced)


class TakesStaleBases(Rows):
    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        based = [
            replace(commit, base=row.commit_id) if (row := self.row(commit.run_id)) else commit
            for commit in commits
        ]
        return await super().commit(based)


class ForgetsConsumed(Rows):
    """A turn that stands leaves its first delivery to be taken again."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        return await super().commit([replace(commit, consumed=commit.consumed[1:]) for commit in commits])


class ChecksBeforeItWrites(Rows):
    """Looks, lets go of the lock, and writes what it then believes to be right."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        seen = {
            commit.commit_id
            for commit in commits
            if (row := self.row(commit.run_id)) and _follows(row, commit)
        }
        await asyncio.to_thread(lambda: None)  # whoever waits for the lock gets it
        moved = [
            _moved(commit, row) if commit.commit_id in seen and (row := self.row(commit.run_id)) else commit
            for commit in commits
        ]
        return await super().commit(moved)


def _follows(row: RunRow, commit: Commit) -> bool:
    return (row.version, row.commit_id) == (commit.version, commit.base)


def _moved(commit: Commit, row: RunRow) -> Commit:
    """The same turn, as if it had been computed from what is there now."""
    records = tuple(
        replace(record, version=row.version + number) for number, record in enumerate(commit.records, start=1)
    )
    fence = None if commit.fence is None else row.fence
    return replace(commit, version=row.version, base=row.commit_id, fence=fence, records=records)


class OvertakesDue(Rows):
    """A fused turn is let through although it did not see what is due."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        lax = [
            replace(commit, fence=row.fence)
            if commit.fence is None and (row := self.row(commit.run_id))
            else commit
            for commit in commits
        ]
        return await super().commit(lax)


class RepeatsFences(Rows):
    async def claim_runs(self, claim_id: UUID, limit: int, lease: int, *rest: Any, **more: Any) -> Claims:
        claims = await super().claim_runs(claim_id, limit, lease, *rest, **more)
        for claim in claims.runs:
            if (row := self.row(claim.run_id)) is not None:
                row.fence = claim.tries
        return replace(claims, runs=tuple(replace(claim, fence=claim.tries) for claim in claims.runs))


class ForgetsCommits(Rows):
    """A repeated commit is told LOST although it stands."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        before = [self.row(commit.run_id) for commit in commits]
        versions = [0 if row is None else row.version for row in before]
        answers = await super().commit(commits)
        return [
            replace(answer, outcome=CommitOutcome.LOST) if commit.version < version else answer
            for commit, version, answer in zip(commits, versions, answers, strict=True)
        ]


class IgnoresDigests(Rows):
    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        return await super().start([replace(new, digest=b"") for new in runs])


class IgnoresDedupe(Rows):
    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        return await super().deliver([replace(delivery, dedupe=None) for delivery in deliveries_])


class AsksStatusFirst(Rows):
    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        answers = await super().deliver(deliveries_)
        for place, delivery in enumerate(deliveries_):
            if (row := self.row(delivery.run_id)) is not None and row.ended:
                answers[place] = replace(answers[place], outcome=DeliverOutcome.RUN_OVER)
        return answers


class ReversesDeliveries(Rows):
    async def claim_runs(self, claim_id: UUID, limit: int, lease: int, *rest: Any, **more: Any) -> Claims:
        claims = await super().claim_runs(claim_id, limit, lease, *rest, **more)
        return replace(
            claims, runs=tuple(replace(claim, deliveries=claim.deliveries[::-1]) for claim in claims.runs)
        )


class ClaimsEarly(Rows):
    """Its claims believe a clock that runs ahead."""

    async def claim_runs(self, *arguments: Any, **more: Any) -> Claims:
        true, ahead = self.store._clock, self.store._last + 3_600_000_000
        self.store._clock = lambda: ahead
        try:
            return await super().claim_runs(*arguments, **more)
        finally:
            self.store._clock, self.store._last = true, 0


class IgnoresLeases(Rows):
    async def claim_runs(self, *arguments: Any, **more: Any) -> Claims:
        for row in self.store.space(self.namespace).runs.values():
            row.lease_until = None if row.lease_until is None else 0
        return await super().claim_runs(*arguments, **more)


class FinishesForAnybody(Rows):
    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        anybodys: list[TaskFinish] = []
        for end in finishes:
            row = self.row(end.run_id)
            task = None if row is None else row.tasks.get((end.token, end.slot))
            anybodys.append(end if task is None else replace(end, fence=task.task.fence))
        return await super().finish(anybodys)


class ExceedsLimits(Rows):
    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        more = [replace(want, limit=want.limit + 1) for want in wants]
        return await super().claim_tasks(claim_id, more, lease)


class SpreadsClaims(Rows):
    """What it does with wants before it claims is the fault."""

    def change(self, want: TaskWant) -> TaskWant:
        raise NotImplementedError

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        return await super().claim_tasks(claim_id, [self.change(want) for want in wants], lease)


class IgnoresCaps(SpreadsClaims):
    def change(self, want: TaskWant) -> TaskWant:
        return replace(want, cap=None)


class IgnoresRates(SpreadsClaims):
    def change(self, want: TaskWant) -> TaskWant:
        return replace(want, rate=None)


class SavesUpTokens(SpreadsClaims):
    """Idleness fills the bucket beyond its burst."""

    def change(self, want: TaskWant) -> TaskWant:
        return want if want.rate is None else replace(want, rate=evolve(want.rate, burst=100))


class ServesWhoCameFirst(Rows):
    """Fairness keys are forgotten, so the longest backlog is served first."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        unfair = [
            replace(commit, tasks=tuple(replace(task, fairness="") for task in commit.tasks))
            for commit in commits
        ]
        return await super().commit(unfair)


class BeginsTheRoundAgain(Rows):
    """Each claim deals from the first key on: with a short limit only that one is ever served."""

    async def claim_tasks(self, *arguments: Any) -> TaskClaims:
        self.store.space(self.namespace).dealt.clear()
        return await super().claim_tasks(*arguments)


class LooksByName(Rows):
    """Wants are looked at by the names of their queues, whichever the caller put first."""

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        return await super().claim_tasks(claim_id, sorted(wants, key=lambda want: want.queue), lease)


class MiscountsPlaces(Rows):
    async def inspect(self, run: UUID) -> Inspection | None:
        found = await super().inspect(run)
        if found is None:
            return None
        return replace(found, places=tuple(None if place is None else place + 1 for place in found.places))


class PaysTwice(Rows):
    """A repeated claim takes tokens for what it holds already."""

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        repeats = claim_id in self.store.space(self.namespace).task_claims
        claims = await super().claim_tasks(claim_id, wants, lease)
        buckets = self.store.space(self.namespace).buckets
        for want in wants if repeats else ():
            if want.queue in buckets:
                buckets[want.queue] = buckets[want.queue].without(len(claims.tasks))
        return claims


class SharesBuckets(Rows):
    """Tokens and turns are kept by the queue's name alone, whatever its namespace."""

    async def open(self) -> Opened:
        first = self.store.space(next(iter(self.store._spaces), self.namespace))
        mine = self.store.space(self.namespace)
        mine.buckets, mine.dealt = first.buckets, first.dealt
        return await super().open()


class ExceedsTheCap(Rows):
    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        self.limits = evolve(self.limits, pending=self.limits.pending + 1)
        return await super().deliver(deliveries_)


class WritesWaitingRuns(Rows):
    async def claim_runs(self, *arguments: Any, **more: Any) -> Claims:
        claims = await super().claim_runs(*arguments, **more)
        for row in self.store.space(self.namespace).runs.values():
            row.tries += 1
        return claims


class PagesByOffset(Rows):
    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        offset = int(cursor or "0")
        page = await super().list(query, 10_000)
        more = len(page.runs) > offset + limit
        return Page(page.runs[offset : offset + limit], str(offset + limit) if more else None)


class PrunesDedupe(Rows):
    async def prune(self, plan: PrunePlan) -> Pruned:
        self.store.space(self.namespace).seen.clear()
        return await super().prune(plan)


class SwallowsWakes(Rows):
    """A commit consumes what came meanwhile, as a wake-up time on the run's row would."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        greedy = [
            replace(commit, consumed=tuple(row.deliveries)) if (row := self.row(commit.run_id)) else commit
            for commit in commits
        ]
        return await super().commit(greedy)


class ForgetsPaused(Rows):
    """Resuming leaves what was met meanwhile held for ever."""

    async def control(self, orders_: Sequence[Any]) -> list[Ordered]:
        rows = [self.row(order.run_id) for order in orders_]
        held = [dict(row.held) if row is not None else {} for row in rows]
        for row in rows:
            if row is not None:
                row.held.clear()
        answers = await super().control(orders_)
        for row, kept in zip(rows, held, strict=True):
            if row is not None:
                row.held.update(kept)
        return answers


class Leaks(Rows):
    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        spaces = self.store._spaces.values()
        found = [[space.runs[name] for space in spaces if name in space.runs] for name in runs]
        return [rows[0].value(self.namespace) if rows else None for rows in found]


class LeaksByInspection(Rows):
    async def inspect(self, run: UUID) -> Inspection | None:
        for name in list(self.store._spaces):
            sibling = MemoryJournal(self.store, name, self.limits)
            await sibling.open()
            if (inspection := await sibling.inspect(run)) is not None:
                return inspection
        return None


class WorksUnopened(Rows):
    def _check_open(self) -> None:
        pass


class CommitsInTwo(Rows):
    """Tasks are written after another turn of the loop, which a cancellation may take away."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        first = await super().commit([replace(commit, tasks=(), deliveries=()) for commit in commits])
        await asyncio.sleep(0)
        for commit in commits:
            row = self.row(commit.run_id)
            if row is not None and row.version == commit.records[-1].version:
                row.version, row.commit_id = commit.version, commit.base
                del row.records[commit.version :]
                first = await super().commit([replace(commit, fence=row.fence)])
        return first


class IgnoresTakes(Rows):
    async def claim_runs(
        self, claim_id: UUID, limit: int, lease: int, takes: frozenset[str], *rest: Any, **more: Any
    ) -> Claims:
        rows = self.store.space(self.namespace).runs.values()
        return await super().claim_runs(
            claim_id, limit, lease, frozenset(row.fingerprint for row in rows), *rest, **more
        )


class ForgetsToCount(Rows):
    """Answers that are right but for one number."""

    async def release(self, runs: Sequence[RunHold]) -> None:
        for hold in runs:
            if (row := self.row(hold.run_id)) is not None and row.fence == hold.fence:
                row.tries += 1
        await super().release(runs)


class ForgetsGenerations(Rows):
    """A turn that begins a generation is written like any other."""

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        return await super().commit([replace(one, begins=0) for one in commits])


class AnyRunLeaves(Rows):
    """A run departs although it is not what was dumped any more."""

    def carrier(self) -> MemoryCarrier:
        class Careless(MemoryCarrier):
            async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
                now = await self.dump([departure.run_id for departure in departures])
                marked = [
                    departure if dumped is None else replace(departure, mark=dumped.mark)
                    for departure, dumped in zip(departures, now, strict=True)
                ]
                return await super().depart(marked)

        return Careless(self.limits, self._verb, self._write)


class ForgetsRepeats(Rows):
    """Dedupe ids stay behind."""

    def carrier(self) -> MemoryCarrier:
        class Forgetful(MemoryCarrier):
            async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
                return await super().restore([replace(image, seen=()) for image in images])

        return Forgetful(self.limits, self._verb, self._write)


class PrunesMoving(Rows):
    """A run is deleted that has left, and has not arrived."""

    async def prune(self, plan: PrunePlan) -> Pruned:
        gone = list(self.store.space(self.namespace).runs)
        await self.carrier().settle([Arrival(run_id) for run_id in gone])
        return await super().prune(plan)


FAULTS: list[tuple[type[MemoryJournal], str]] = [
    (ForgetsRecords, "p01_records"),
    (SplitsCommits, "p02_commits"),
    (ReleasesAlways, "p02_commits"),
    (ForgetsGenerations, "p02_commits"),
    (ChecksNoFence, "p03_stale"),
    (TakesStaleBases, "p03_stale"),
    (OvertakesDue, "p03_stale"),
    (ForgetsConsumed, "p03_races"),
    (ChecksBeforeItWrites, "p03_races"),
    (RepeatsFences, "p04_fences"),
    (ForgetsCommits, "p06_repeats"),
    (IgnoresDigests, "p07_starts"),
    (IgnoresDedupe, "p08_dedupe"),
    (AsksStatusFirst, "p08_dedupe"),
    (ReversesDeliveries, "p09_order"),
    (ClaimsEarly, "p10_clock"),
    (IgnoresLeases, "p11_leases"),
    (FinishesForAnybody, "p12_finish"),
    (ExceedsLimits, "p13_limits"),
    (ExceedsTheCap, "p13_limits"),
    (IgnoresCaps, "p13_queues"),
    (IgnoresRates, "p13_queues"),
    (SavesUpTokens, "p13_queues"),
    (ServesWhoCameFirst, "p13_queues"),
    (BeginsTheRoundAgain, "p13_queues"),
    (LooksByName, "p13_queues"),
    (MiscountsPlaces, "p13_queues"),
    (PaysTwice, "p06_repeats"),
    (SharesBuckets, "p18_namespaces"),
    (WritesWaitingRuns, "p14_waiting"),
    (PagesByOffset, "p15_pages"),
    (PrunesDedupe, "p16_pruning"),
    (SwallowsWakes, "p17_wakeups"),
    (ForgetsPaused, "p17_wakeups"),
    (Leaks, "p18_namespaces"),
    (LeaksByInspection, "p18_namespaces"),
    (WorksUnopened, "p19_opening"),
    (CommitsInTwo, "p20_interrupted"),
    (IgnoresTakes, "p21_takes"),
    (ForgetsToCount, "p22_parity"),
    (AnyRunLeaves, "p23_departing"),
    (ForgetsRepeats, "p23_carrying"),
    (PrunesMoving, "p23_departing"),
]


def _plant(monkeypatch: pytest.MonkeyPatch, fault: type[MemoryJournal]) -> None:
    """Have every URL but the bare one, which is promise 22's reference, name a faulty journal."""
    true = continuum_memory.connect

    def connect(url: str, namespace: str, limits: Limits, **clock: Callable[[], int]) -> MemoryJournal:
        journal = true(url, namespace, limits, **clock)
        return journal if url == "memory://" else fault(journal.store, namespace, limits)

    monkeypatch.setattr(continuum_memory, "connect", connect)


@pytest.mark.parametrize(("fault", "promise"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_planted_fault_is_caught(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[MemoryJournal],
    promise: str,
) -> None:
    """The file of the promise fails, and the kit's last word names that promise and the page."""
    _plant(monkeypatch, fault)
    monkeypatch.setattr(test_p22_parity, "PHASES", (Phase.generate,))  # caught is enough: no shrinking
    module = f"continuum_core.testing.conformance.test_{promise}"
    result = pytester.runpytest_inprocess("--pyargs", module, "-q", "-x", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    number = int(promise[1:3])
    result.stdout.fnmatch_lines(
        [f"DOES NOT CONFORM: promises that failed: {number}; see docs/howto/write-a-backend.md"]
    )


@pytest.mark.parametrize(
    ("declared", "module", "said"),
    [
        ({"durable"}, "p05_crashes", "DOES NOT CONFORM: promises that failed: 5;*"),
        ({"durable", "shared"}, "p11_processes", "DOES NOT CONFORM: promises that failed: 11;*"),
    ],
    ids=["durable", "shared"],
)
def test_a_false_declaration_is_caught(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    declared: set[str],
    module: str,
    said: str,
) -> None:
    """Memory does not survive its process, and is nobody else's."""
    monkeypatch.setattr(continuum_memory, "CAPABILITIES", frozenset(declared))
    name = f"continuum_core.testing.conformance.test_{module}"
    result = pytester.runpytest_inprocess("--pyargs", name, "-q", "-x", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([said])


def _wrong(pytester: pytest.Pytester, url: str) -> str:
    """What is told of a journal that cannot be asked: no promise is said to be broken."""
    result = pytester.runpytest_inprocess(
        "--pyargs",
        "continuum_core.testing.conformance.test_p21_takes",
        "--journal",
        url,
        "-p",
        "no:cacheprovider",
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.no_fnmatch_line("*CONFORM*")
    return str(result.stderr)


@pytest.mark.parametrize(
    ("url", "said"),
    [("memroy://{fresh}", "did you mean 'memory'?"), ("memory:{fresh}", "write memory://")],
    ids=["scheme", "rest"],
)
def test_a_mistyped_url_is_a_mistake_of_the_caller(pytester: pytest.Pytester, url: str, said: str) -> None:
    told = _wrong(pytester, url)
    assert f"--journal {url}: " in told
    assert said in told


def test_a_misspelled_capability_is_told(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody knows would be asked by nobody."""
    monkeypatch.setattr(continuum_memory, "CAPABILITIES", frozenset({"durabel"}))
    assert "did you mean 'durable'?" in _wrong(pytester, "memory://{fresh}")


def test_the_first_difference_is_told_at_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the shortest sequence is searched for, which takes a while; and instead of that, where asked."""
    _plant(monkeypatch, RepeatsFences)
    result = pytester.runpytest_inprocess(
        "--pyargs",
        "continuum_core.testing.conformance.test_p22_parity",
        "--journal-no-shrink",
        "-p",
        "no:cacheprovider",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["promise 22, the first difference: AssertionError: *", "  *: the reference has *, this journal *"]
    )
    assert str(result.stdout).count("promise 22, the first difference") == 1


def test_a_red_test_names_its_promise_and_the_page(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the failure, in the port's own words; and in the page that the author may publish."""
    _plant(monkeypatch, ReversesDeliveries)
    result = pytester.runpytest_inprocess(
        "--pyargs",
        "continuum_core.testing.conformance.test_p09_order",
        "continuum_core.testing.conformance.test_p05_durable",
        "--journal-report",
        "page.md",
        "-q",
        "-p",
        "no:cacheprovider",
    )
    result.stdout.fnmatch_lines(
        [
            "*- promise 9 -*",
            "Promise 9: Deliveries of a run are claimed in (due, id) order; *",
            "Read: docs/howto/write-a-backend.md, section*number 9*",
            "skipped: 2 for want of 'durable'",
        ]
    )
    page = (pytester.path / "page.md").read_text(encoding="utf-8")
    assert "**Does not conform**: promises that failed: 9." in page
    assert "| 9 | broken |" in page
    assert "| 5 | kept |" in page
    assert "| 1 | not asked |" in page
    assert "## What failed" in page
    assert "| `durable` is not declared | 2 |" in page
    assert "memory://" not in page


def test_the_kit_is_whole(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as users run it, it conforms on the memory journal, with a test for each of the 23 promises."""
    monkeypatch.setattr(test_p22_parity, "_EXAMPLES", 5)  # memory beside memory: many tell no more
    result = pytester.runpytest_inprocess(
        "--pyargs", "continuum_core.testing.conformance", "-q", "-p", "no:cacheprovider"
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*conformance of memory://{fresh}*", "CONFORMS"])


def test_a_part_of_the_kit_does_not_conform_to_all(pytester: pytest.Pytester) -> None:
    """Asked for one promise only, the kit does not claim the others."""
    result = pytester.runpytest_inprocess(
        "--pyargs", "continuum_core.testing.conformance.test_p21_takes", "-q", "-p", "no:cacheprovider"
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["passed as far as asked; not asked: promises 1, 2, *"])
    result.stdout.no_fnmatch_line("CONFORMS")


def test_the_plugin_is_silent_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    """A test run without the kit says nothing of it, and imports nothing of the library for it."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            loaded = [name for name in sys.modules if name.startswith("continuum_core.testing.conformance")]
            assert loaded == []
        """
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*conformance of*")


def test_a_store_without_fresh_names_gets_fresh_namespaces(pytester: pytest.Pytester) -> None:
    """One store for all tests is as good as one for each."""
    result = pytester.runpytest_inprocess(
        "--pyargs",
        "continuum_core.testing.conformance.test_p15_pages",
        "--journal",
        "memory://one-for-all",
        "-q",
        "-p",
        "no:cacheprovider",
    )
    assert result.ret == pytest.ExitCode.OK
