"""Activities that write in the transaction of their outcome: where there is none, and how an attempt ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from continuum_core import (
    Client,
    JournalUnavailable,
    Machine,
    PayloadRefused,
    Transaction,
    UsageError,
    Worker,
    activity,
    root,
)
from continuum_core.journal.commit import Finished, FinishKind, FinishOutcome, TaskFinish
from continuum_core.journal.transactions import transactional
from continuum_core.runtime.transactional import Concluded, Steps, conclude


class Books:
    """A connection, if this were a database."""


@activity()
async def note(line: str, *, books: Transaction[Books]) -> str:
    return line


class Noted(Machine[str, str, str], name="noted-in-books"):
    s = root(str)
    noting = s.state(initial=True)
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(i: str) -> str:
        return i

    @staticmethod
    def result(c: str) -> str:
        return c

    noting.invoke(note, lambda c: c, done=done, error={Exception: bad})


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{folder}/journal.db"])
async def test_a_journal_without_transactions_says_so_at_open(url: str, tmp_path: Any) -> None:
    place = url.format(folder=tmp_path)
    with pytest.raises(UsageError, match="'note' writes in the transaction of its outcome"):
        async with Worker(place, [Noted]):
            pass
    async with Client(place, [Noted]) as client:
        await client.start(Noted, "a line")  # who only starts needs none
        with pytest.raises(UsageError, match="cannot join a transaction of yours"):
            await client.start(Noted, "a line", connection=Books())


async def test_a_wrapped_journal_has_what_it_wraps() -> None:
    class Sharing:
        def within(self) -> None: ...
        def check_kind(self) -> None: ...
        def transaction(self) -> None: ...

    class Wrapped:
        def __getattr__(self, name: str) -> Any:
            return getattr(Sharing(), name)

    assert transactional(Wrapped()) is not None
    assert transactional(Books()) is None


# --- how an attempt ends

ENDED = TaskFinish(UUID(int=1), 1, 0, 5, FinishKind.DONE)
RETRY = TaskFinish(UUID(int=1), 1, 0, 5, FinishKind.RETRY)
FAILED = TaskFinish(UUID(int=1), 1, 0, 5, FinishKind.FAILED)
BACK = TaskFinish(UUID(int=1), 1, 0, 5, FinishKind.RETURN)


class Journal:
    """Transactions whose finish answers, or raises, what a test says."""

    def __init__(self, *answers: Finished | Exception, away: bool = False) -> None:
        self._answers = list(answers)
        self.asked: list[TaskFinish] = []
        self._away = away
        self.left = 0
        self.began = False
        self.connection = Books()

    async def within(self, connection: object, patience: float, *, apart: bool = False) -> Any:
        raise NotImplementedError

    def check_kind(self, kind: object, plain: bool) -> None: ...

    def transaction(self, kind: object) -> AbstractAsyncContextManager[Any]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Journal, None]:
        if self._away:
            raise JournalUnavailable("no connection")
        self.began = True
        try:
            yield self
        finally:
            self.left += 1

    async def finish(self, ending: TaskFinish) -> Finished:
        assert self.left == 0
        self.asked.append(ending)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Turn:
    """Stands for one; what rides on a finish is its commit."""

    commit: Any = "its commit"


def made() -> Any:
    return Turn()


async def concluded(
    journal: Journal, ended: TaskFinish = ENDED, refused: TaskFinish = RETRY, turn: Any = None
) -> tuple[Concluded, list[Any]]:
    """How an attempt ended, and the turns that were dropped."""
    dropped: list[Any] = []

    async def run(connection: Any) -> TaskFinish:
        assert connection is journal.connection
        return ended

    steps = Steps(run, lambda _: turn, lambda _: refused, lambda: BACK, dropped.append)
    told = await conclude(journal, Books, steps)
    assert journal.left == (1 if journal.began else 0)
    return told, dropped


async def test_what_was_committed_is_told_with_its_turn() -> None:
    turn, answer = made(), Finished(FinishOutcome.FINISHED, 7)
    assert await concluded(Journal(answer), turn=turn) == (Concluded(ENDED, turn, answer), [])


async def test_a_body_that_failed_is_reported_the_ordinary_way() -> None:
    told, _ = await concluded(Journal(AssertionError("never finished")), ended=RETRY, turn=made())
    assert told == Concluded(RETRY)


async def test_where_there_is_no_transaction_the_task_is_handed_back() -> None:
    assert await concluded(Journal(away=True)) == (Concluded(BACK), [])


async def test_a_commit_that_nobody_knows_of_is_asked_for_with_its_turn() -> None:
    turn = made()
    lost = JournalUnavailable("cut", True)
    assert await concluded(Journal(lost), turn=turn) == (Concluded(BACK, turn), [])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (JournalUnavailable("cut"), BACK),  # nothing was committed, so no turn was
        (LookupError("a flush that failed"), RETRY),
    ],
)
async def test_a_turn_that_cannot_ride_is_dropped(error: Exception, told: TaskFinish) -> None:
    turn = made()
    assert await concluded(Journal(error), turn=turn) == (Concluded(told), [turn])


@pytest.mark.parametrize("ambiguous", [False, True])
async def test_trouble_with_the_journal_is_no_failure_of_the_body(ambiguous: bool) -> None:
    """Its task is handed back, though it has no try left."""
    trouble = JournalUnavailable("the server was shut down", ambiguous)
    assert await concluded(Journal(trouble), refused=FAILED) == (Concluded(BACK), [])


async def test_an_outcome_is_committed_without_a_turn_that_cannot_be_stored() -> None:
    turn, answer = made(), Finished(FinishOutcome.FINISHED, 7)
    journal = Journal(PayloadRefused("$", "too large"), answer)
    assert await concluded(journal, turn=turn) == (Concluded(ENDED, None, answer), [turn])
    assert journal.asked == [ENDED.riding(turn.commit), ENDED]


async def test_an_outcome_that_cannot_be_stored_is_refused() -> None:
    turn, error = made(), PayloadRefused("$", "too large")
    assert await concluded(Journal(error, error), turn=turn) == (Concluded(RETRY), [turn])
