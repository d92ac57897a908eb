"""Machines whose activities write rows of a user's own, in the transaction of their outcome.

As a program it is a worker that kills itself: ``python -m tests.postgres.bookings URL POINT MARK``. It dies
at the point, once: the file MARK tells that it has.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from attrs import evolve, frozen

from continuum_core import Machine, Retry, Transaction, Worker, activity, root
from continuum_core.runner import AsyncioRunner
from continuum_postgres import joined
from continuum_postgres import transaction as backend
from continuum_postgres.transaction import PostgresTransaction

__all__ = ["ATTEMPTS", "MOMENTS", "POINTS", "TABLE", "Booking", "at", "book", "booked", "interrupt"]

TABLE = "CREATE TABLE IF NOT EXISTS bookings (number integer, step text)"

MOMENTS: dict[str, Callable[[Any], Awaitable[None]]] = {}
"""What tests have done at a point of an attempt, on its connection."""

ATTEMPTS: list[Any] = []
"""Those that began, while `interrupt` holds."""

POINTS = ("before the body", "in the body", "after the body", "before the commit", "after the commit")


@frozen
class Trip:
    number: int
    seats: int = 0


async def at(point: str, connection: Any) -> None:
    """Here a test may step in."""
    if point in MOMENTS:
        await MOMENTS[point](connection)


async def book_seat(number: int, step: str, connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.execute("INSERT INTO bookings VALUES (%s, %s)", (number, step))
    await at("in the body", connection)


_QUICK = Retry(attempts=5, first=timedelta(milliseconds=20), jitter=0.0)


@activity(retry=_QUICK)
async def book(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> int:
    await book_seat(number, "book", connection)
    return 1


@activity(retry=_QUICK)
async def confirm(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> int:
    await connection.execute("INSERT INTO bookings VALUES (%s, 'confirm')", (number,))
    return 2


class Booking(Machine[Trip, int, int], name="pg-booking"):
    """Two transactional steps, one after the other."""

    s = root(Trip)
    booking = s.state(initial=True)
    confirming = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(i: int) -> Trip:
        return Trip(i)

    @staticmethod
    def result(c: Trip) -> int:
        return c.seats

    booking.invoke(
        book,
        lambda c: c.number,
        done=confirming,
        assign=lambda c, o: evolve(c, seats=c.seats + o),
        error={Exception: bad},
    )
    confirming.invoke(
        confirm,
        lambda c: c.number,
        done=done,
        assign=lambda c, o: evolve(c, seats=c.seats + o),
        error={Exception: bad},
    )


async def booked(url: str) -> list[tuple[int, str]]:
    """The rows that there are, in order."""
    async with await psycopg.AsyncConnection.connect(url.partition("?")[0]) as connection:
        cursor = await connection.execute("SELECT number, step FROM bookings ORDER BY number, step")
        return await cursor.fetchall()


# --- stepping in


class interrupt:
    """`with interrupt():` has `at` called at every point of an attempt."""

    def __enter__(self) -> None:
        self._run, self._finish, self._command = (
            AsyncioRunner.run,
            PostgresTransaction._finish,
            joined.command,
        )
        run, finish, command = self._run, self._finish, self._command

        async def run_there(runner: Any, activity: Any, value: Any, attempt: Any) -> Any:
            ATTEMPTS.append(attempt)
            await at("before the body", attempt.connection)
            return await run(runner, activity, value, attempt)

        async def finish_there(transaction: PostgresTransaction, ending: Any) -> Any:
            await at("after the body", transaction.driver)
            return await finish(transaction, ending)

        async def command_there(connection: Any, text: bytes) -> str:
            if text != b"COMMIT":
                return await command(connection, text)
            await at("before the commit", connection)
            tag = await command(connection, text)
            await at("after the commit", connection)
            return tag

        _set(run_there, finish_there, command_there)

    def __exit__(self, *_: object) -> None:
        _set(self._run, self._finish, self._command)
        MOMENTS.clear()
        ATTEMPTS.clear()


def _set(run: Any, finish: Any, command: Any) -> None:
    for owner, name, function in (
        (AsyncioRunner, "run", run),
        (PostgresTransaction, "_finish", finish),
        (backend, "command", command),
    ):
        setattr(owner, name, function)


async def main() -> None:
    """Work, and die at the point."""
    url, point, mark = sys.argv[1], sys.argv[2], Path(sys.argv[3])

    async def die(_: Any) -> None:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    with interrupt():
        MOMENTS[point] = die
        await Worker(url, [Booking], lease=1.0, poll=0.1).run()


if __name__ == "__main__":
    asyncio.run(main())
