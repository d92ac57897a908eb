"""A contender's program, seen from the runner."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from types import TracebackType
from typing import Any

from attrs import field, frozen

from benchmarks.envs import HERE, interpreter

__all__ = ["Broken", "Contestant", "NotOffered", "Process"]


class Broken(RuntimeError):
    """A contender failed, gave a wrong result, ended or did not answer."""


class NotOffered(RuntimeError):
    """A contender cannot do this."""


@frozen
class Contestant:
    """A row of the tables.

    :ivar name: as the tables say it.
    :ivar module: of `benchmarks.peers`; also its environment's name, and what `--peers` says.
    :ivar flying: runs in flight at once, the number that suits it best.
    :ivar note: how it is run, for the legend.
    :ivar options: given to its `open`.
    """

    name: str
    module: str
    flying: int
    note: str
    options: dict[str, Any] = field(factory=dict)


class Process:
    """A running contender. Use it as a context manager; leaving it ends it, in order or not."""

    def __init__(self, contestant: Contestant) -> None:
        python = interpreter(contestant.module)
        self.contestant = contestant
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        self._process = subprocess.Popen(
            [str(python), "-m", f"benchmarks.peers.{contestant.module}"],
            cwd=HERE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # so that whatever it starts can be ended with it
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, verb: str, **arguments: Any) -> None:
        """Ask, and wait for the answer later."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": verb, **arguments}), file=self._process.stdin, flush=True)
        except OSError:
            raise Broken(f"{self.contestant.name} ended:\n{self.log()}") from None

    def answer(self, patience: float = 600.0) -> dict[str, Any]:
        """The answer to `begin`. Raises Broken, NotOffered."""
        try:
            line = self._answers.get(timeout=patience)
        except queue.Empty:
            raise Broken(
                f"{self.contestant.name} gave no answer within {patience:g} s:\n{self.log()}"
            ) from None
        if not line:
            raise Broken(f"{self.contestant.name} ended:\n{self.log()}")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("error") == "not offered":
            raise NotOffered(self.contestant.name)
        if "error" in answer:
            raise Broken(f"{self.contestant.name}: {answer['error']}\n{self.log()}")
        done: dict[str, Any] = answer["ok"]
        return done

    def ask(self, verb: str, patience: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """Ask and wait. Raises Broken, NotOffered."""
        self.begin(verb, **arguments)
        return self.answer(patience)

    def kill(self) -> None:
        """As `kill -9` does it."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Close its pipe, and what does not end by that is killed with all that it started."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the group is its own; also what it left behind
        self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def log(self) -> str:
        """The end of what it wrote to stderr."""
        self._log.seek(0)
        return self._log.read()[-3000:]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")
