"""Worker processes: started, and one of them killed while it charges a card."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from continuum_demo.ledger import Entry, entries

__all__ = ["Killed", "NoWorkers", "crew", "kill_in_a_charge", "watch"]

_CERTAIN = 0.3
"""Seconds that a charge must have been under way: then it is the provider that keeps the worker waiting."""


class NoWorkers(Exception):
    """All workers have stopped, though nobody told them to."""


@frozen
class Killed:
    """A worker that died while the provider had the money and the worker not yet the answer."""

    pid: int
    reference: str
    order_id: str
    at: datetime


@asynccontextmanager
async def crew(
    size: int, journal: str, namespace: str, directory: Path
) -> AsyncGenerator[list[Process], None]:
    """Worker processes; they are told to drain in the end, and stopped if they do not."""
    command = ("-m", "continuum_demo.worker", journal, str(directory), "--namespace", namespace)
    workers: list[Process] = []
    try:
        for number in range(1, size + 1):
            with (directory / f"worker-{number}.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *command, stdout=log, stderr=log
                )
            workers.append(process)
        yield workers
    finally:
        await asyncio.gather(*map(_stop, workers))


async def _stop(worker: Process) -> None:
    if worker.returncode is not None:
        return
    worker.terminate()
    try:
        async with asyncio.timeout(10.0):
            await worker.wait()
    except TimeoutError:
        worker.kill()
        await worker.wait()


async def watch(workers: Sequence[Process], directory: Path) -> None:
    """Raise NoWorkers, with what the last of them said, when none is left."""
    await asyncio.gather(*(worker.wait() for worker in workers))
    said = (directory / f"worker-{len(workers)}.log").read_text(errors="replace").splitlines()[-12:]
    raise NoWorkers("all workers have stopped:\n" + "\n".join(said))


async def kill_in_a_charge(workers: Sequence[Process], payments: Path, seconds: float) -> Killed | None:
    """`kill -9` a worker whose charge has begun and not ended, by the provider's own book.

    None when no charge took long enough to be caught within `seconds`.
    """
    pids = {worker.pid: worker for worker in workers}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for entry in _under_way(entries(payments)):
            worker = pids.get(entry["pid"])
            if worker is None:
                continue
            worker.kill()
            await worker.wait()
            if any(each["subject"] == entry["subject"] for each in _under_way(entries(payments))):
                return Killed(worker.pid, entry["subject"], entry["order"], datetime.now(UTC))
        await asyncio.sleep(0.05)
    return None


def _under_way(book: Sequence[Entry]) -> list[Entry]:
    """Charges that were made and not answered for a while."""
    answered = {entry["subject"] for entry in book if entry["what"] == "answered"}
    now = datetime.now(UTC)
    return [
        entry
        for entry in book
        if entry["what"] == "charged"
        and entry["subject"] not in answered
        and (now - datetime.fromisoformat(entry["at"])).total_seconds() > _CERTAIN
    ]
