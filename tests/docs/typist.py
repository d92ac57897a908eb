"""Types plain commands of the program `continuum`, and starts no Python for each: one that has it forks.

Rule: what a reader would see is what is tried: the same arguments, folder, environment, output and exit
code. Most of what a short command takes is the import of what it is made of. What needs a shell goes to one.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import continuum_core.cli
from continuum_core.cli.main import main

__all__ = ["Typist", "plain"]

_SECONDS = 60  # for one command
_SHELLS = set("$`*?~\\\n")
_GIVES = re.compile(r"[A-Z_]+=")

Plain = tuple[dict[str, str], list[str]]
"""Variables that stand before the program, and its arguments."""


def plain(command: str) -> Plain | None:
    """What is typed, where that is the program with its arguments, and nothing of it is for a shell."""
    if _SHELLS & set(command):
        return None
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found = list(words)
    given = list(takewhile(_GIVES.match, found))
    if found[len(given) : len(given) + 1] != ["continuum"]:
        return None
    if any(word and set(word) <= set("();<>|&") for word in found):
        return None
    return dict(word.split("=", 1) for word in given), found[len(given) + 1 :]


class Typist:
    """The process that types. Started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def type(self, typed: Plain) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        if self._process is None:
            command = [sys.executable, "-W", "default", "-m", "tests.docs.typist"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            printed = Path(folder) / "printed"
            given, arguments = typed
            stdin.write(json.dumps([str(printed), arguments, os.getcwd(), {**os.environ, **given}]) + "\n")
            code = int(stdout.readline())
            return code, printed.read_text(encoding="utf-8")

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def _serve() -> None:
    """Carry out commands, one a line, each in a fork of this process: it has no thread, no user's module."""
    for module in pkgutil.iter_modules(continuum_core.cli.__path__, "continuum_core.cli."):
        if not module.ispkg:
            import_module(module.name)
    for line in sys.stdin:
        printed, arguments, folder, environment = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            _carry_out(printed, arguments)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _carry_out(printed: str, arguments: list[str]) -> NoReturn:
    signal.alarm(_SECONDS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    told = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, descriptor in enumerate((nothing, told, told)):
        os.dup2(descriptor, number)
    code = 1
    try:
        main(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
