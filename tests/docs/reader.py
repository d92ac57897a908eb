"""Tries pages of the manual as a reader would, and starts no Python for each: one that has it forks.

Rule: a page sees a process like any other, in its own folder, with its own path and output, which ends as any
other does. Most of what a short page takes is the import of what it is about.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from attrs import frozen

from tests.docs import typist
from tests.docs.pages import ROOT
from tests.docs.run_page import main

__all__ = ["EXAMPLES", "Reader", "Tried"]

EXAMPLES = ROOT / "docs" / "examples"
"""What pages include and draw; they may import it."""

_SECONDS = 150  # for one page


@frozen
class Tried:
    """How the trial of a page ended: 0 if all went as it says, and what was printed."""

    code: int
    printed: str


class Reader:
    """The process that forks, in an environment in which the project is installed."""

    def __init__(self) -> None:
        variables = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLES)]),
            "COLUMNS": "100",
            "CONTINUUM_PLUGINS": "scxml",  # a command that comes along; the others are given by programs
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.docs.reader"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def read(self, page: Path, directory: Path, printed: Path) -> Tried:
        """Try `page` in an empty `directory`; `printed` is a file for what it prints, outside of it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([str(page), str(directory), str(printed)]) + "\n")
        code = int(stdout.readline())
        return Tried(code, printed.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    """Try pages, one a line, each in a fork of this process: it has no thread, and nothing of a page's."""
    typist.prepare()
    for line in sys.stdin:
        page, directory, printed = json.loads(line)
        child = os.fork()
        if child == 0:
            _sit_down(directory, printed)
            main(Path(page))
            return  # and ends as any program does
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _sit_down(directory: str, printed: str) -> None:
    signal.alarm(_SECONDS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    told = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, descriptor in enumerate((nothing, told, told)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(told)
    os.chdir(directory)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), directory, str(EXAMPLES)])
    sys.path[0] = directory


if __name__ == "__main__":
    _serve()
