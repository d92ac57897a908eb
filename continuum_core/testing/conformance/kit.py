"""The kit's hand on the journal under test: fresh stores, handles, and the steps that most tests share.

A test never sleeps for a time that it then relies on: it asks the journal's clock, and goes on when
that says so.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID

import pytest

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Claims,
    Commit,
    CommitOutcome,
    Committed,
    Delivered,
    DeliverOutcome,
    Finished,
    Inspection,
    Ordered,
    OrderKind,
    RunClaim,
    Started,
    StartOutcome,
    TaskClaim,
    TaskClaims,
    TaskFinish,
    TaskWant,
)
from continuum_core.journal.connect import capabilities, connect
from continuum_core.journal.protocol import Capability, Journal, Limits, Opened
from continuum_core.journal.records import Delivery, Run
from continuum_core.testing.conformance.given import (
    HOUR,
    TAKES,
    new_id,
    new_run,
    order,
    turn,
    want,
)

_T = TypeVar("_T")
_POLLS = 20_000
_BUSY_POLLS = 100


class SteppedClock:
    """A time in microseconds that moves when told."""

    def __init__(self) -> None:
        self.at: Micros = 1_893_456_000_000_000  # in the year 2030

    def __call__(self) -> Micros:
        return self.at


class Kit:
    """One test's store, and the handles that it opened on it. Closed when the test ends.

    :ivar url: of this test's store.
    :ivar namespace: of this test.
    :ivar unopened: gives URLs of stores that nobody has opened; None where the kit was given one store.
    :ivar told: what the store said of itself when the test first opened it.
    :ivar clock: for handles on a time of the test's own; None where the backend lets none be set.
    """

    def __init__(self, url: str, namespace: str, unopened: Callable[[], str] | None = None) -> None:
        self.url = url
        self.namespace = namespace
        self.unopened = unopened
        self.told: Opened | None = None
        self.capabilities = capabilities(url)
        self.clock = SteppedClock() if Capability.CLOCK in self.capabilities else None
        self._runner = asyncio.Runner()
        self._first: dict[tuple[str, Limits], Journal] = {}
        self._opened: list[Journal] = []

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Carry out a coroutine on the test's event loop.

        Not by the runner's own `run`: its handling of Ctrl-C costs more than a verb does, and the machine of
        promise 22 comes here thousands of times.
        """
        return self._runner.get_loop().run_until_complete(work)

    def end(self) -> None:
        """Close what the test opened, and its loop."""
        try:
            self.run(self.close_all())
        finally:
            self._runner.close()

    async def close_all(self) -> None:
        """Close every handle; the next one is made from the URL."""
        for journal in self._opened:
            await journal.close()
        self._opened.clear()
        self._first.clear()

    def needs(self, *names: str) -> None:
        """Skip the test where the backend does not declare one of these capabilities."""
        for name in names:
            if name not in self.capabilities:
                pytest.skip(f"capability {name!r} is not declared")

    # --- handles

    def handle(self, namespace: str | None = None, limits: Limits | None = None) -> Journal:
        """An unopened handle on the test's store; of one namespace, the later are the first's siblings."""
        name = (self.namespace if namespace is None else namespace, limits or Limits())
        if name in self._first:
            journal = self._first[name].sibling()
        else:
            journal = self._first[name] = connect(self.url, *name)
        self._opened.append(journal)
        return journal

    def stranger(self, limits: Limits | None = None, url: str | None = None) -> Journal:
        """An unopened handle made from the URL alone, like another program's."""
        journal = connect(url or self.url, self.namespace, limits or Limits())
        self._opened.append(journal)
        return journal

    def clocked(self, namespace: str, limits: Limits) -> Journal:
        """An unopened handle on the test's clock, where the backend lets one be set."""
        if self.clock is None:
            return self.handle(namespace, limits)
        journal = connect(self.url, namespace, limits, clock=self.clock)
        self._opened.append(journal)
        return journal

    async def open(self, namespace: str | None = None, limits: Limits | None = None) -> Journal:
        """An opened handle."""
        journal = self.handle(namespace, limits)
        told = await journal.open()
        self.told = self.told or told
        return journal


def apart(journal: Journal, works: Sequence[Callable[[Journal], Coroutine[Any, Any, _T]]]) -> list[_T]:
    """Carry out each of `works` in a thread with its own event loop and a sibling of `journal`.

    All begin together. The first error of any is raised.
    """
    answers: dict[int, _T] = {}
    errors: list[BaseException] = []
    gate = threading.Barrier(len(works))

    async def carry_out(number: int) -> None:
        sibling = journal.sibling()
        await sibling.open()
        try:
            await asyncio.to_thread(gate.wait)
            answers[number] = await works[number](sibling)
        finally:
            await sibling.close()

    def thread(number: int) -> None:
        try:
            asyncio.run(carry_out(number))
        except BaseException as error:
            errors.append(error)
            gate.abort()

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(len(works))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if errors:
        raise errors[0]
    return [answers[number] for number in range(len(works))]


async def child(kit: Kit, rounds: int) -> dict[str, list[int]]:
    """What another process on the kit's store was told was committed; see the module `child`."""
    command = [
        sys.executable,
        "-m",
        "continuum_core.testing.conformance.child",
        kit.url,
        kit.namespace,
        str(rounds),
    ]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    if ended.returncode != 0:
        pytest.fail(f"the other process failed:\n{ended.stderr}")
    return {str(UUID(name)): versions for name, versions in json.loads(ended.stdout).items()}


async def bereaved(kit: Kit, lines: int) -> list[list[str]]:
    """What another process on the kit's store was told until it was killed; see the module `victim`.

    :param lines: how many things it has told when it is killed; it works on meanwhile, and may tell more.
    """
    command = [sys.executable, "-m", "continuum_core.testing.conformance.victim", kit.url, kit.namespace]

    def watch() -> list[list[str]]:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [line for line, _ in zip(process.stdout, range(lines), strict=False)]
            process.kill()
            told += process.stdout
        if len(told) < lines:
            pytest.fail(f"the other process ended by itself ({process.returncode}) after {len(told)} lines")
        return [json.loads(line) for line in told if line.endswith("\n")]

    return await asyncio.to_thread(watch)


# --- time ------------------------------------------------------------------------------------------


async def passed(journal: Journal, moment: Micros) -> None:
    """Return when the journal's clock is beyond `moment`."""
    for poll in range(_POLLS):
        if await journal.now() > moment:
            return
        if poll > _BUSY_POLLS:
            await asyncio.sleep(0.0005)
    raise AssertionError(f"the journal's clock did not reach {moment}: does it stand still?")


# --- steps that most tests share ----------------------------------------------------------------------


async def claimed(
    journal: Journal, limit: int = 100, lease: int = HOUR, takes: frozenset[str] = TAKES
) -> Claims:
    """What a claim with a new id gets."""
    return await journal.claim_runs(new_id(), limit, lease, takes)


async def claimed_one(journal: Journal, lease: int = HOUR) -> tuple[RunClaim, Micros]:
    """The only run that can be claimed, and the journal's time."""
    claims = await claimed(journal, lease=lease)
    assert len(claims.runs) == 1, f"one run was to be claimed, not {len(claims.runs)}"
    return claims.runs[0], claims.now


async def claimed_tasks(
    journal: Journal, *wants: TaskWant, lease: int = HOUR, claim_id: UUID | None = None
) -> TaskClaims:
    """What a claim of tasks with a new id gets, from the kit's queue unless told otherwise."""
    return await journal.claim_tasks(claim_id or new_id(), wants or (want(),), lease)


async def claimed_task(journal: Journal, lease: int = HOUR) -> TaskClaim:
    """The only task that can be claimed."""
    claims = await claimed_tasks(journal, lease=lease)
    assert len(claims.tasks) == 1, f"one task was to be claimed, not {len(claims.tasks)}"
    return claims.tasks[0]


async def task_after_loss(journal: Journal, lease: int = HOUR) -> TaskClaim:
    """The only task, whose lease has expired, once it was counted as lost and has backed off.

    Needs a journal with a short `loss_backoff`.
    """
    for _ in range(_POLLS):
        claims = await claimed_tasks(journal, lease=lease)
        if claims.tasks:
            return claims.tasks[0]
        await passed(journal, claims.now)
    raise AssertionError("a task that its worker lost was never claimable again")


async def committed(journal: Journal, commit: Commit) -> Committed:
    """The answer to a commit that has to stand."""
    (answer,) = await journal.commit([commit])
    assert answer.outcome is CommitOutcome.COMMITTED, f"the commit was {answer.outcome.value}"
    return answer


async def tried(journal: Journal, commit: Commit) -> CommitOutcome:
    """What became of a commit."""
    (answer,) = await journal.commit([commit])
    return answer.outcome


async def started(journal: Journal, **changes: Any) -> UUID:
    """A new run whose start waits to be claimed."""
    new = new_run(**changes)
    (answer,) = await journal.start([new])
    assert answer.outcome is StartOutcome.STARTED, f"the start was answered {answer.outcome.value}"
    return new.run_id


async def waiting(journal: Journal, turn_changes: dict[str, Any] | None = None, **changes: Any) -> UUID:
    """A new run that took its first turn, and has nothing due unless that turn says so.

    No other run of the namespace may have anything due.
    """
    run_id = await started(journal, **changes)
    claim, now = await claimed_one(journal)
    assert claim.run_id == run_id
    await committed(journal, turn(claim, now, (b"start;",), **(turn_changes or {})))
    return run_id


async def delivered(journal: Journal, delivery: Delivery) -> Delivered:
    """The answer to a delivery that has to be accepted."""
    (answer,) = await journal.deliver([delivery])
    assert answer.outcome is DeliverOutcome.ACCEPTED, f"the delivery was {answer.outcome.value}"
    return answer


async def finished(journal: Journal, end: TaskFinish) -> Finished:
    (answer,) = await journal.finish([end])
    return answer


async def ordered(journal: Journal, kind: OrderKind, run_id: UUID, **changes: Any) -> Ordered:
    (answer,) = await journal.control([order(kind, run_id, **changes)])
    return answer


async def begun(journal: Journal, **changes: Any) -> Started:
    (answer,) = await journal.start([new_run(**changes)])
    return answer


async def row(journal: Journal, run_id: UUID) -> Run:
    """The row of a run that has to be there."""
    (run,) = await journal.load([run_id])
    assert run is not None, f"run {run_id} is gone"
    return run


async def seen(journal: Journal, run_id: UUID) -> Inspection:
    """A run that has to be there, with all it has open."""
    inspection = await journal.inspect(run_id)
    assert inspection is not None, f"run {run_id} is gone"
    return inspection


def payloads(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.payload for delivery in deliveries]
