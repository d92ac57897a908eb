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
import sys
import tempfile
import traceback
import warnings
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import continuum_core.cli
from continuum_core.cli.main import main

__all__ = ["Typist", "plain", "prepare"]

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


def prepare() -> None:
    """Import what commands are made of, for all who are forked from here."""
    for module in pkgutil.iter_modules(continuum_core.cli.__path__, "continuum_core.cli."):
        if not module.ispkg:
            import_module(module.name)


class Typist:
    """The process that types: a fork of its maker, which has no thread yet and no user's module."""

    def __init__(self) -> None:
        asked, ask = os.pipe()
        told, tell = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(ask)
            os.close(told)
            _serve(asked, tell)
        os.close(asked)
        os.close(tell)
        self._asks, self._tells = os.fdopen(ask, "w"), os.fdopen(told)

    def type(self, typed: Plain) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            printed = Path(folder) / "printed"
            given, arguments = typed
            wanted = [str(printed), arguments, os.getcwd(), {**os.environ, **given}]
            self._asks.write(json.dumps(wanted) + "\n")
            self._asks.flush()
            code = int(self._tells.readline())
            return code, printed.read_text(encoding="utf-8")

    def close(self) -> None:
        """End it. Whatever an example has forked may hold the pipe open still: it is not waited for."""
        self._asks.close()
        self._tells.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _serve(asked: int, tell: int) -> NoReturn:
    """Carry out commands, one a line, each in a fork of this process."""
    warnings.resetwarnings()
    warnings.simplefilter("default")  # as a reader's own Python has it
    sys.warnoptions[:] = ["default"]
    with os.fdopen(asked) as lines:
        for line in lines:
            printed, arguments, folder, environment = json.loads(line)
            child = os.fork()
            if child == 0:
                os.chdir(folder)
                os.environ.clear()
                os.environ.update(environment)
                sys.path[0] = folder
                _carry_out(printed, arguments)
            _, status = os.waitpid(child, 0)
            os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


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
