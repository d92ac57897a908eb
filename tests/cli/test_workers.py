"""Workers as real processes: they log, drain on SIGTERM, and start again when a file changes."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from continuum_core.cli.logs import JsonLines, RunIds, TextLines
from continuum_core.cli.reload import changed, stamps
from continuum_core.runtime.attempt import Attempt, attempt_scope
from tests.cli.conftest import Command

APP = ("--app", "tests.cli.shop")
SHOP = Path(__file__).with_name("shop.py")
RUN = UUID(int=7)


class Process:
    """A `continuum` of its own, whose log is read line by line; killed after a minute at the latest."""

    def __init__(self, environment: dict[str, str], *arguments: str, read: str = "stderr") -> None:
        command = [sys.executable, "-m", "continuum_core", *arguments]
        out = subprocess.PIPE if read == "stdout" else None
        err = subprocess.PIPE if read == "stderr" else None
        self._process = subprocess.Popen(command, env=environment, text=True, stdout=out, stderr=err)
        stream = self._process.stderr or self._process.stdout
        assert stream is not None
        self._stream = stream
        self._guard = threading.Timer(60.0, self._process.kill)
        self._guard.start()
        self.lines: list[str] = []

    def read_until(self, words: str) -> str:
        for line in self._stream:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return self.lines[-1]
        raise AssertionError(f"{words!r} never came:\n" + "\n".join(self.lines))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; the exit code."""
        self._process.send_signal(number)
        return self.await_end()

    def await_end(self) -> int:
        self.lines += [line.rstrip("\n") for line in self._stream]
        return self._process.wait()

    def close(self) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.wait()
        self._stream.close()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    made: list[Process] = []
    yield made
    for process in made:
        process.close()


def test_a_worker_serves_and_drains(
    continuum: Command, environment: dict[str, str], processes: list[Process]
) -> None:
    worker = Process(environment, "worker", *APP, "--queue", "default=3", "--poll", "100ms")
    processes.append(worker)
    worker.read_until("machines: order v1")
    begin = ("start", "order", "--key", "o-1", "--input", '{"order_id": "o-1", "total": 5}')
    run = continuum(*begin, "--json").json()["run"]
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": 5}')
    done = continuum(*begin, "--timeout", "30s")
    assert (done.code, done.out) == (0, '"ch-o-1"\n')
    assert worker.end() == 0
    assert any(f"[{run} charge#1] shop: charging o-1" in line for line in worker.lines)
    assert any("draining" in line for line in worker.lines)
    assert worker.lines[-1].endswith("continuum_core.worker: drained")


def test_a_worker_that_cannot_begin_says_why(
    environment: dict[str, str], processes: list[Process], tmp_path: Path
) -> None:
    (tmp_path / "broken_app.py").write_text("1 / 0\n")
    worker = Process(environment, "worker", "--app", "broken_app")
    processes.append(worker)
    assert worker.await_end() == 1
    assert worker.lines[0] == "error: module 'broken_app' cannot be imported:"
    assert worker.lines[-1] == "  ZeroDivisionError: division by zero"


def test_dev_starts_again_when_a_file_changes(
    continuum: Command, environment: dict[str, str], processes: list[Process], tmp_path: Path
) -> None:
    app = tmp_path / "dev_app.py"
    shutil.copy(SHOP, app)
    dev = Process(environment, "dev", "--app", "dev_app")
    processes.append(dev)
    hint = dev.read_until("start a run: ")
    assert '--input \'{"order_id": "text", "total": 0}\'' in hint
    dev.read_until("machines: order v1")
    app.write_text(app.read_text() + "\n1 / 0\n")
    dev.read_until("dev_app.py changed: starting again")
    dev.read_until("the worker ended with exit code 1")
    shutil.copy(SHOP, app)
    os.utime(app, (1, 1))
    dev.read_until("machines: order v1")
    assert dev.end() == 0
    assert dev.lines[-1] == "dev: ended"


def test_a_worker_that_still_imports_its_machines_ends_with_nothing_in_hand(
    environment: dict[str, str], processes: list[Process], tmp_path: Path
) -> None:
    (tmp_path / "slow_app.py").write_text(
        "import signal, sys\nprint('importing', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    slow = Process(environment, "worker", "--app", "slow_app")
    processes.append(slow)
    slow.read_until("importing")
    assert slow.end() == 0


@pytest.mark.parametrize("option", ["--lease", "--poll"])
@pytest.mark.parametrize("length", ["0", "banana"])
def test_a_length_that_no_worker_can_go_by_is_a_wrong_command_line(
    continuum: Command, option: str, length: str
) -> None:
    assert continuum("worker", *APP, option, length).code == 2


def test_the_worker_of_a_dev_that_was_killed_ends(
    environment: dict[str, str], processes: list[Process], tmp_path: Path
) -> None:
    shutil.copy(SHOP, tmp_path / "killed_app.py")
    dev = Process(environment, "dev", "--app", "killed_app")
    processes.append(dev)
    dev.read_until("machines: order v1")
    assert dev.end(signal.SIGKILL) == -signal.SIGKILL
    # The log is read to its end, which comes when the worker, too, has closed it.
    assert dev.lines[-1].endswith("continuum_core.worker: drained")


def test_following_shows_what_comes_and_ends_with_an_interrupt(
    continuum: Command, environment: dict[str, str], processes: list[Process]
) -> None:
    continuum("start", "order", "--key", "o-1", "--input", '{"order_id": "o-1", "total": 5}', *APP)
    follower = Process(environment, "history", "order/o-1", "--follow", "--json", read="stdout")
    processes.append(follower)
    follower.read_until('"event": "start"')
    continuum("suspend", "order/o-1")
    follower.read_until('"event": "suspend"')
    assert follower.end(signal.SIGINT) == 0


def test_following_ends_with_the_run(
    continuum: Command, environment: dict[str, str], processes: list[Process]
) -> None:
    continuum("start", "order", "--key", "o-1", "--input", '{"order_id": "o-1", "total": 5}', *APP)
    follower = Process(environment, "history", "order/o-1", "--follow", "--json", read="stdout")
    processes.append(follower)
    follower.read_until('"event": "start"')
    continuum("terminate", "order/o-1", "--yes")
    assert follower.await_end() == 0
    assert [json.loads(told)["event"] for told in follower.lines] == ["start", "terminate"]


# --- what is watched ---------------------------------------------------------------------------------


def test_only_the_users_own_sources_are_watched(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", "pkg/c.py", ".git/d.py", "pkg/__pycache__/e.py", "env/f.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    before = stamps(tmp_path)
    assert sorted(before) == [str(tmp_path / "a.py"), str(tmp_path / "pkg" / "c.py")]
    os.utime(tmp_path / "a.py", (1, 1))
    (tmp_path / "pkg" / "c.py").unlink()
    assert changed(before, stamps(tmp_path)) == sorted(before)


# --- lines of the log --------------------------------------------------------------------------------


def line(formatter: logging.Formatter, message: str, **extra: str) -> str:
    record = logging.makeLogRecord(
        {"name": "shop", "levelname": "INFO", "msg": message, "created": 0, **extra}
    )
    assert RunIds().filter(record)
    return formatter.format(record)


def attempt() -> Attempt:
    return Attempt(run_id=RUN, machine="order", activity="charge", number=2, losses=0, key="k")


def test_a_line_names_the_run_of_its_record_or_of_the_attempt() -> None:
    begin = "1970-01-01T00:00:00.000Z INFO    "
    assert line(TextLines(), "hello") == f"{begin}[-] shop: hello"
    assert line(TextLines(), "hello", run_id="r-1") == f"{begin}[r-1] shop: hello"
    with attempt_scope(attempt()):
        assert line(TextLines(), "hello") == f"{begin}[{RUN} charge#2] shop: hello"
        assert line(TextLines(), "hello", run_id="r-1") == f"{begin}[r-1] shop: hello"


def test_a_message_cannot_forge_a_line() -> None:
    assert "\n" not in line(TextLines(), "a\n1970-01-01T00:00:00.000Z INFO    [-] shop: b\x1b[2J")
    assert "\x1b" not in line(TextLines(), "a\x1b[2J")


def test_lines_as_json() -> None:
    with attempt_scope(attempt()):
        told = json.loads(line(JsonLines(), "a\nb"))
    assert told == {
        "at": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "logger": "shop",
        "run": str(RUN),
        "activity": "charge",
        "attempt": 2,
        "message": "a\nb",
    }
