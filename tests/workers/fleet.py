"""Worker processes of one test, and what they tell of themselves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.workers.machines import FOLDER

__all__ = ["Fleet", "Hand", "fleet", "until"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something that has to happen is said not to."""


async def until(happened: Callable[[], object], what: str) -> None:
    """Return once `happened` is true. A failure after a minute; nothing is asserted of how long it took."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        await asyncio.sleep(0.01)


class Hand:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, text: str) -> bool:
        """Whether its log has that text."""
        return text in self.log.read_text()

    async def ready(self) -> Hand:
        """Return once it works; before, a signal would meet Python's own start."""
        await until(lambda: self.says("worker on"), f"worker ready:\n{self.log.read_text()}")
        return self

    async def stopped(self) -> None:
        """Return once the process was stopped by itself."""

        def is_stopped() -> bool:
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            assert pid == 0 or os.WIFSTOPPED(status), f"it ended:\n{self.log.read_text()}"
            return pid != 0

        await until(is_stopped, "the process stopped itself")

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def dismiss(self) -> None:
        """Have it drain, and see it end well."""
        self.process.send_signal(signal.SIGTERM)
        await until(lambda: self.process.poll() is not None, f"worker drained:\n{self.log.read_text()}")
        assert self.process.returncode == 0, self.log.read_text()


class Fleet:
    """Workers on one journal, with one folder for what they trace and wait for."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self.hands: list[Hand] = []
        (folder / "trace").touch()

    def hire(self, release: str = "one", **options: Any) -> Hand:
        """Another worker, on its way."""
        command = [sys.executable, "-m", "tests.workers.process", self._url, release]
        command.append(json.dumps({"poll": 0.2, "grace": 30.0, **options}))
        log = self._folder / f"worker-{len(self.hands)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, FOLDER: str(self._folder)},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.hands.append(Hand(process, log))
        return self.hands[-1]

    def open(self, name: str) -> None:
        """Let the bodies of this name end."""
        (self._folder / f"open-{name}").touch()

    def traced(self, *words: str) -> list[int]:
        """The processes that traced a line that begins with these words, in order."""
        lines = (line.split() for line in (self._folder / "trace").read_text().splitlines())
        return [int(line[0]) for line in lines if tuple(line[1 : 1 + len(words)]) == words]

    def begun(self) -> dict[str, int]:
        """By name: which process began a body last."""
        lines = (line.split() for line in (self._folder / "trace").read_text().splitlines())
        return {line[2]: int(line[0]) for line in lines if line[1] == "begin"}

    def shares(self, names: set[str]) -> Counter[int]:
        """How many of these bodies each process has begun."""
        return Counter(pid for name, pid in self.begun().items() if name in names)

    def end(self) -> None:
        for hand in self.hands:
            if hand.process.poll() is None:
                hand.process.kill()
                hand.process.wait()


@contextmanager
def fleet(url: str, folder: Path) -> Iterator[Fleet]:
    """A fleet, none of which survives the test."""
    workers = Fleet(url, folder)
    try:
        yield workers
    finally:
        workers.end()
