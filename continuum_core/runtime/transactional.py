"""An attempt whose body writes in the transaction that its outcome is committed in.

The body has the transaction to itself: nothing of the journal is locked while it runs. When it has returned,
the outcome (and the run's next turn, if one can ride along) is written on the same connection, under the
fence, and all of it is committed once or rolled back. Any other end rolls the body's writes back and is
reported the ordinary way. Trouble with the journal is no failure of the body's: its task is handed back, and
no try is used up.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import attrs
from msgspec import Struct

from continuum_core.errors import JournalUnavailable, PayloadRefused
from continuum_core.journal.commit import Finished, FinishKind, TaskFinish
from continuum_core.journal.transactions import Transactional
from continuum_core.turn import Turn

__all__ = ["Concluded", "Steps", "conclude"]

logger = logging.getLogger(__name__)


@attrs.frozen
class Steps:
    """What one attempt consists of, for its owner to fill in.

    :ivar run: the body, on a connection; how it ended.
    :ivar ride: the run's next turn, to ride on an outcome, if there can be one.
    :ivar refuse: what to report where the outcome could not be committed.
    :ivar back: what to report where no transaction was to be had, or its end met trouble.
    :ivar drop: a turn that was made and will not ride.
    """

    run: Callable[[Any], Awaitable[TaskFinish]]
    ride: Callable[[TaskFinish], Turn | None]
    refuse: Callable[[Exception], TaskFinish]
    back: Callable[[], TaskFinish]
    drop: Callable[[Turn], None]


class Concluded(Struct, frozen=True):
    """How an attempt ended.

    :ivar turn: the turn that rode along.
    :ivar answer: what the journal said to it; None where it is to be reported yet.
    """

    finish: TaskFinish
    turn: Turn | None = None
    answer: Finished | None = None


async def conclude(journal: Transactional, kind: Any, steps: Steps) -> Concluded:
    """Carry out an attempt, and commit its outcome where it is DONE."""
    async with AsyncExitStack() as stack:
        try:
            transaction = await stack.enter_async_context(journal.transaction(kind))
        except JournalUnavailable as error:
            logger.warning("a transaction for an activity: %s; its task is handed back", error)
            return Concluded(steps.back())
        finish = await steps.run(transaction.connection)
        if finish.kind is not FinishKind.DONE:
            return Concluded(finish)
        turn = steps.ride(finish)
        if turn is not None:
            try:
                answer = await transaction.finish(finish.riding(turn.commit))
            except PayloadRefused as error:  # it may be the turn's: the long way parks the run on it
                logger.error("outcome of a task of run %s refused: %s", finish.run_id, error, exc_info=error)
                steps.drop(turn)
                turn = None
            except Exception as error:
                return _refused(steps, turn, error)
            else:
                return Concluded(finish, turn, answer)
        try:
            return Concluded(finish, None, await transaction.finish(finish))
        except Exception as error:  # the body's own rows may be at fault, and whatever is between us and them
            return _refused(steps, turn, error)


def _refused(steps: Steps, turn: Turn | None, error: Exception) -> Concluded:
    """The outcome was not committed, or nobody knows.

    Then the next report of the attempt tells: it waits for what the server may still be doing, and is GONE
    where the commit stands. The turn goes along to be answered for, and is not taken otherwise.
    """
    unknown = False
    if isinstance(error, JournalUnavailable):
        logger.warning("the commit of an activity: %s; its task is handed back", error)
        finish, unknown = steps.back(), error.ambiguous
    else:
        finish = steps.refuse(error)
    if turn is None or unknown:
        return Concluded(finish, turn)
    steps.drop(turn)
    return Concluded(finish)
