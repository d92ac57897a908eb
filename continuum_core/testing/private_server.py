"""A private throw-away server for tests: a directory and port of its own, gone with who started it.

Rule: nothing of the machine is touched outside the server's own directory. A watchdog ends the server when
the process that started it is gone, however that ended. A kind of server says how it is prepared, run and
asked whether it answers.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["NoServer", "PrivateServer", "free_port"]

_PATIENCE = 60.0  # seconds

_WATCHDOG = """
import os, signal, sys, time
parent, pid = int(sys.argv[1]), int(sys.argv[2])
while os.getppid() == parent:
    time.sleep(0.5)
try:
    os.kill(pid, signal.SIGQUIT)
except OSError:
    pass
"""


class NoServer(RuntimeError):
    """No server's binaries are to be had, or it does not start; says what to do."""


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PrivateServer(ABC):
    """Use it as a context manager, or `start` and `stop` it.

    :ivar port: on 127.0.0.1.
    :ivar folder: its directory, which goes with it.
    """

    farewell = signal.SIGTERM
    """What ends this kind of server in order."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"continuum-{name}-"))
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Of the server's main process."""
        return None if self._server is None else self._server.pid

    @abstractmethod
    def start(self) -> None:
        """Run it, with what is in its directory. Returns when it answers. Raises NoServer."""

    def stop(self) -> None:
        """End it, and remove its directory."""
        try:
            self._end(self.farewell)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it as a lost machine does: SIGKILL, which its own processes notice by themselves."""
        self._end(signal.SIGKILL)

    def _spawn(self, command: Sequence[str], user: str | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                user=user,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C in the tests' terminal is not for it
            )
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-c", _WATCHDOG, str(os.getpid()), str(self._server.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self._server

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.wait()
        if server is not None and server.poll() is None:
            server.send_signal(number)
            try:
                server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _log(self) -> str:
        """The end of what it said."""
        try:
            return (self.folder / "log").read_text()[-4000:]
        except OSError:
            return "(no log)"
