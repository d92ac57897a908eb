"""Runs activities in a simulation, and keeps the ledger of the world outside.

How a body ends follows from the seed, the activity, its input and the number of the attempt alone, so
that a machine without races ends the same way however often its workers die. The ledger is what a
payment service would keep: every execution by its idempotency key, whatever the journal came to know.
"""

from __future__ import annotations

import enum
from hashlib import blake2b
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.failure import Failure
from continuum_core.runtime.attempt import Attempt, Cancelled, Ended, Raised, Succeeded
from continuum_core.testing.simulation.scheduler import Process

__all__ = ["Execution", "Fate", "Ledger", "SimulatedRunner"]


class Fate(enum.Enum):
    """How one execution ended, as the world outside saw it."""

    RUNNING = "running"  # or its process died
    SUCCEEDED = "succeeded"
    RAISED = "raised"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"  # its worker stopped it, to hand the task over


@define(eq=False)
class Execution:
    """One beginning of one body."""

    run_id: UUID
    activity: str
    key: str
    number: int
    losses: int
    process: str
    at: int
    fate: Fate = Fate.RUNNING


@define
class Ledger:
    """Every execution, in the order of their beginnings."""

    executions: list[Execution] = field(factory=list[Execution])

    def of(self, key: str) -> list[Execution]:
        return [execution for execution in self.executions if execution.key == key]


@frozen
class _Behaviour:
    seconds: float
    error: str = ""  # the class name it raises, "" for none
    fatal: bool = False
    stubborn: bool = False  # it does not look at requests to cancel
    late: bool = False  # what takes too long is done all the same


_EASY = _Behaviour(0.0)


def _behaviour(seed: int, wild: int, activity: str, value: object, number: int) -> _Behaviour:
    """`wild` is the share of executions that are not easy, in 1/256."""
    drawn = blake2b(f"{seed} {activity} {value} {number}".encode(), digest_size=4).digest()
    if drawn[0] >= wild:
        return _EASY if drawn[1] < 128 else _Behaviour(drawn[1] / 256)
    stubborn = drawn[2] < 64
    match drawn[3] % 5:
        case 0 | 1:
            return _Behaviour(drawn[1] / 256, "OSError")
        case 2:
            return _Behaviour(drawn[1] / 64, "ValueError", fatal=drawn[2] % 2 == 0)
        case 3:
            # Pondering takes longer than a lease, and less than its timeout: only renewal makes it last.
            return _Behaviour((6.5 if activity == "ponder" else 2.0) + drawn[1] / 120, stubborn=stubborn)
        case _:
            late = activity == "book" and drawn[1] % 2 == 0
            return _Behaviour(1e6, stubborn=stubborn, late=late)  # hangs: only its timeout ends it


class SimulatedRunner:
    """The `Runner` of one simulated worker."""

    def __init__(self, process: Process, ledger: Ledger, seed: int, wild: int) -> None:
        self._process = process
        self._ledger = ledger
        self._seed = seed
        self._wild = wild

    async def run(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        if attempt.cancel_requested:
            return Cancelled()
        execution = Execution(
            attempt.run_id,
            activity.name,
            attempt.key,
            attempt.number,
            attempt.losses,
            self._process.name,
            self._process.scheduler.now,
        )
        self._ledger.executions.append(execution)
        try:
            ended = await self._live(activity, value, attempt, execution)
        except BaseException:
            # Its process died (then it is as if it still ran), or its worker hands the task over.
            if self._process.alive:
                execution.fate = Fate.ABANDONED
            raise
        return ended

    async def _live(
        self, activity: Activity[Any, Any], value: Any, attempt: Attempt, execution: Execution
    ) -> Ended:
        how = _behaviour(self._seed, self._wild, activity.name, value, attempt.number)
        limit = None if activity.timeout is None else activity.timeout.total_seconds()
        seconds = how.seconds if limit is None else min(how.seconds, limit)
        asked = self._process.flag()
        attempt.watch(cancel=asked.set)
        if how.stubborn:
            await self._process.sleep(seconds)
        elif await asked.wait(seconds):
            execution.fate = Fate.CANCELLED
            return Cancelled()
        if limit is not None and how.seconds > limit:
            # Some services do their work all the same, and answer nobody.
            execution.fate = Fate.SUCCEEDED if how.late else Fate.RAISED
            return Raised(_failure("TimeoutError", activity.name))
        if how.error and not self._was_done(execution):
            execution.fate = Fate.RAISED
            return Raised(_failure(how.error, activity.name), how.fatal)
        execution.fate = Fate.SUCCEEDED
        return Succeeded(f"{activity.name}:{value}:{attempt.number}")

    def _was_done(self, execution: Execution) -> bool:
        """Whether the work of this key is done, unknown to the run: its service says so when asked."""
        earlier = self._ledger.of(execution.key)
        return execution.activity == "book" and any(each.fate is Fate.SUCCEEDED for each in earlier)


def _failure(error: str, activity: str) -> Failure:
    return Failure(type=error, message=activity, bases=("Exception",))
