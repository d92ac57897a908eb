"""Long queues: what a claim chooses is what dealing all of it would choose, at the cost of what it takes."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from continuum_core.journal.commit import TaskWant
from continuum_core.journal.dealing import PLACES, deal, place
from continuum_core.journal.protocol import Limits
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Task
from continuum_core.testing.conformance.given import ACTIVITY, FINGERPRINT, HOUR, QUEUE
from continuum_sqlite import rows
from continuum_sqlite.migrations import MIGRATIONS
from continuum_sqlite.places import places
from continuum_sqlite.schema import migrate
from continuum_sqlite.statements.reading import TASKS_OF_RUN
from continuum_sqlite.tasks import ClaimTasks
from continuum_sqlite.transaction import Transaction

NOW = 1_000_000_000
NS = 1
BOTH = frozenset({ACTIVITY, "other"})

RUN = """
INSERT INTO continuum_runs (namespace, run_id, machine, fingerprint, digest, generation, version, status,
  cause, fence, tries, created, updated, snapshot)
VALUES (?, ?, 'm', ?, x'', 0, 1, 0, '', 1, 0, 0, 0, x'')
"""
TASK = """
INSERT INTO continuum_tasks (namespace, run_id, token, slot, activity, queue, priority, due, scheduled, undo,
  attempt, losses, fence, reported, cancel, payload, fairness)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, x'', ?)
"""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        migrate(memory, ":memory:")
        yield memory


def transaction(connection: sqlite3.Connection) -> Transaction:
    return Transaction(connection.execute, connection.executemany, NS, "test", NOW, Limits())


def fill(connection: sqlite3.Connection, tasks: list[tuple[str, int, int, str]]) -> bytes:
    """One run with these tasks: (activity, priority, due, fairness key)."""
    run_id = uuid4().bytes
    connection.execute(RUN, (NS, run_id, FINGERPRINT))
    connection.executemany(
        TASK,
        [(NS, run_id, slot, name, QUEUE, *rest) for slot, (name, *rest) in enumerate(tasks)],
    )
    return run_id


def waiting(connection: sqlite3.Connection, run_id: bytes) -> list[Task]:
    found = [rows.task(row) for row in connection.execute(TASKS_OF_RUN, (NS, run_id))]
    return [task for task in found if task.due <= NOW and task.lease_until is None]


def order(task: Task) -> tuple[int, int, int, int]:
    return (task.due, task.run_id.int, task.token, task.slot)


def dealt(tasks: list[Task], last: dict[int, str], room: int) -> list[Task]:
    """What the port says, of everything that waits."""
    chosen: list[Task] = []
    for priority in sorted({task.priority for task in tasks}):
        keys: dict[str, list[Task]] = {}
        for task in sorted((task for task in tasks if task.priority == priority), key=order):
            keys.setdefault(task.fairness, []).append(task)
        some = deal(keys, last.get(priority, ""), room - len(chosen))
        last.update({priority: some[-1].fairness} if some else {})
        chosen += some
    return chosen


@pytest.mark.parametrize("seed", range(12))
def test_seeking_chooses_what_dealing_all_of_it_would(seed: int, connection: sqlite3.Connection) -> None:
    chance = random.Random(seed)
    names = ["", "a", "b", "é", "Z", *(f"tenant {n}" for n in range(chance.choice([0, 3, 200])))]
    run_id = fill(
        connection,
        [
            (
                chance.choice(sorted(BOTH)),
                chance.choice([-1, 0, 0, 0]),
                NOW + chance.choice([-3, -2, -1, -1, 0, 5, HOUR]),
                chance.choice(names[: chance.choice([1, 3, len(names)])]),
            )
            for _ in range(500)
        ],
    )
    last: dict[int, str] = {}
    while True:
        room = chance.choice([1, 2, 7, 40])
        wanted = chance.choice([BOTH, BOTH, frozenset({ACTIVITY})])
        left = [task for task in waiting(connection, run_id) if task.activity in wanted]
        if not left and wanted == BOTH:
            break
        asked = waiting(connection, run_id)
        told = places(transaction(connection), asked[:3])
        assert told == tuple(naive_place(asked, task, last) for task in asked[:3])
        expected = [order(task) for task in dealt(left, last, room)]
        claim = ClaimTasks(uuid4(), [TaskWant(QUEUE, room, wanted)], HOUR)
        claimed = claim.carry_out(transaction(connection)).tasks
        assert [order(each.task) for each in claimed] == expected


def naive_place(tasks: list[Task], task: Task, last: dict[int, str]) -> int:
    urgent = sum(other.priority < task.priority for other in tasks)
    equal = [other for other in tasks if other.priority == task.priority]
    before = sum(other.fairness == task.fairness and order(other) < order(task) for other in equal)
    counts = Counter(other.fairness for other in equal)
    return urgent + place(counts, last.get(task.priority, ""), task.fairness, before)


# --- files of the release before ---------------------------------------------------------------------

OLD_TASK = TASK.replace(", fairness", "").replace(", x'', ?)", ", x'')")


def test_a_file_of_the_release_before_gets_queues_and_stays_usable_by_it() -> None:
    """Its tasks have the key ""; so have those that it goes on to create beside a new worker."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        migrate(memory, ":memory:", MIGRATIONS[:1])
        run_id = uuid4().bytes
        memory.execute(RUN, (NS, run_id, FINGERPRINT))
        memory.execute(OLD_TASK, (NS, run_id, 0, ACTIVITY, QUEUE, 0, NOW))
        assert migrate(memory, ":memory:") == MIGRATIONS[-1].version
        memory.execute(OLD_TASK, (NS, run_id, 1, ACTIVITY, QUEUE, 0, NOW))
        claim = ClaimTasks(uuid4(), [TaskWant(QUEUE, 10, frozenset({ACTIVITY}))], HOUR)
        assert [each.task.fairness for each in claim.carry_out(transaction(memory)).tasks] == ["", ""]
        assert MIGRATIONS[-1].min_reader == 1
        kept = "SELECT count(*) FROM sqlite_schema WHERE name = 'continuum_tasks_ready'"
        assert memory.execute(kept).fetchone() == (1,), "its statements name this index"


# --- cost --------------------------------------------------------------------------------------------


def steps(connection: sqlite3.Connection, work: Any) -> int:
    """The hundreds of steps of SQLite's virtual machine that something costs."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.execute("BEGIN")
    connection.set_progress_handler(tick, 100)
    work()
    connection.set_progress_handler(None, 0)
    connection.execute("ROLLBACK")
    return count


def tasks_of(keys: list[str], due: int = NOW - 5) -> list[tuple[str, int, int, str]]:
    return [(ACTIVITY, 0, due, key) for key in keys]


MANY = 20_000


@pytest.mark.parametrize("limited", [False, True], ids=["no limits", "cap and rate"])
def test_a_claim_costs_what_it_takes(limited: bool, connection: sqlite3.Connection) -> None:
    """However long one tenant's backlog is, however many tenants there are, and whatever waits for later."""
    want = TaskWant(QUEUE, 10, frozenset({ACTIVITY}))
    if limited:
        want = TaskWant(QUEUE, 10, frozenset({ACTIVITY}), 100, Rate(1, 1, 100))
    claim = ClaimTasks(uuid4(), [want], HOUR)

    def cost() -> int:
        taken: list[int] = []
        found = steps(connection, lambda: taken.append(len(claim.carry_out(transaction(connection)).tasks)))
        assert taken == [10]
        return found

    fill(connection, tasks_of([f"t{n:05}" for n in range(60)]))
    alone = cost()
    fill(connection, tasks_of(["t00000"] * MANY))
    fill(connection, tasks_of(["t00059"] * MANY))
    backlogs = cost()
    fill(connection, tasks_of([f"t{n:05}" for n in range(MANY)]))
    tenants = cost()
    fill(connection, tasks_of(["t00003"] * MANY, NOW + HOUR))
    assert max(backlogs, tenants, cost()) <= 2 * alone


def test_tenants_whose_tasks_wait_for_later_cost_nothing_while_little_is_due(
    connection: sqlite3.Connection,
) -> None:
    """An outage: everybody's tasks are to be tried again later."""
    fill(connection, tasks_of(["b", "c"]))
    claim = ClaimTasks(uuid4(), [TaskWant(QUEUE, 10, frozenset({ACTIVITY}))], HOUR)
    alone = steps(connection, lambda: claim.carry_out(transaction(connection)))
    fill(connection, tasks_of([f"t{n:05}" for n in range(MANY)], NOW + HOUR))
    assert steps(connection, lambda: claim.carry_out(transaction(connection))) <= 2 * alone + 5


def test_a_claim_that_has_no_room_takes_no_write_lock(connection: sqlite3.Connection) -> None:
    """A poll of a queue at its cap, or without tokens, is answered by reading."""
    fill(connection, tasks_of(["a"] * 5))
    slow = TaskWant(QUEUE, 10, frozenset({ACTIVITY}), 2, Rate(1, HOUR, 3))
    assert ClaimTasks(uuid4(), [slow], HOUR).peek(transaction(connection)) is None
    assert len(ClaimTasks(uuid4(), [slow], HOUR).carry_out(transaction(connection)).tasks) == 2
    capped = ClaimTasks(uuid4(), [slow], HOUR).peek(transaction(connection))
    assert capped is not None
    assert capped.next_due == NOW + HOUR, "the leases' end"
    free = TaskWant(QUEUE, 10, frozenset({ACTIVITY}), 9, Rate(2, HOUR, 3))
    assert len(ClaimTasks(uuid4(), [free], 2 * HOUR).carry_out(transaction(connection)).tasks) == 1
    empty = ClaimTasks(uuid4(), [free], HOUR).peek(transaction(connection))
    assert empty is not None
    assert empty.next_due == NOW + HOUR // 2, "the next token"


def test_places_are_counted_no_further_than_they_are_told(connection: sqlite3.Connection) -> None:
    def of(run_id: bytes) -> list[int | None]:
        found = [rows.task(row) for row in connection.execute(TASKS_OF_RUN, (NS, run_id))]
        return list(places(transaction(connection), found[-1:]))

    fill(connection, tasks_of(["t"] * PLACES))
    behind = fill(connection, tasks_of(["t", "a"]))
    late = fill(connection, tasks_of(["t"], NOW - 4))
    assert of(late) == [PLACES]
    few = steps(connection, lambda: of(late))
    assert of(behind) == [0], "its key's turn is first"
    fill(connection, tasks_of(["t"] * MANY))
    fill(connection, tasks_of([f"s{n:05}" for n in range(MANY)]))
    assert of(late) == [PLACES]
    assert steps(connection, lambda: of(late)) <= 2 * few
    last = fill(connection, tasks_of(["zz"]))
    assert of(last) == [PLACES]
    keys = steps(connection, lambda: of(last))
    fill(connection, tasks_of([f"r{n:05}" for n in range(MANY)]))
    assert steps(connection, lambda: of(last)) <= 1.1 * keys
