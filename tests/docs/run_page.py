"""Try one page of the manual: `run_page.py PAGE`, in an empty directory; exit 0 if all went as it says.

A process of its own, because examples fork, start workers and install signal handlers. Python blocks share
one namespace, the module `__main__`, and are read from a copy of the page in which every other line is
blank: source inspection works, and a traceback names the page's own lines.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import Block, read
from tests.docs.typist import Typist, plain, prepare

__all__ = ["main"]

_SECONDS = 60  # for one command; the page as a whole is bounded by the test that started us


class Mismatch(Exception):
    """A block did something else than the page says."""


class Trial:
    """What blocks of a page leave behind for those after them: a namespace, files, running commands."""

    def __init__(self, page: Path, found: list[Block]) -> None:
        self.source = Path(page.name).with_suffix(".py").absolute()
        self.source.write_text(_laid_out(found), encoding="utf-8")
        self.module = types.ModuleType("__main__")
        self.module.__file__ = str(self.source)
        sys.modules["__main__"] = self.module
        self.printed = ""
        self.running: list[subprocess.Popen[bytes]] = []
        self.typist = Typist()

    def try_block(self, block: Block) -> None:
        """Do with `block` what its notes and its language say."""
        match block.role:
            case "file":
                Path(block.notes["file"]).write_text(block.text, encoding="utf-8")
            case "append":
                target = Path(block.notes["append"])
                target.write_text(target.read_text(encoding="utf-8") + "\n\n" + block.text, encoding="utf-8")
            case "output":
                _expect(block.text, self.printed)
            case "python":
                self.printed = self._execute(block)
            case "console":
                self._type(block)
            case _:  # skipped, or nothing to try
                pass

    def _execute(self, block: Block) -> str:
        code = compile("\n" * (block.line - 1) + block.text, str(self.source), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, self.module.__dict__)  # noqa: S102 - the manual's own example, as a reader would run it
        return out.getvalue()

    def _type(self, block: Block) -> None:
        for command, expected in _commands(block.text):
            if "background" in block.notes:
                self.running.append(subprocess.Popen(["sh", "-c", command], start_new_session=True))
                continue
            typed = plain(command)
            code, printed = _run(command) if typed is None else self.typist.type(typed)
            if code != int(block.notes.get("exit", "0")):
                raise Mismatch(f"$ {command}\nended with {code} and printed:\n{printed}")
            _expect(expected, printed)

    def close(self) -> None:
        """Stop what was left running."""
        self.typist.close()
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Mismatch("a command in the background did not end on SIGTERM") from None


def _run(command: str) -> tuple[int, str]:
    """The exit code of a command for a shell, and what it printed."""
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def _laid_out(found: list[Block]) -> str:
    """The Python blocks, each on the lines it has in the page."""
    laid: list[str] = []
    for block in found:
        if block.role == "python":
            laid += [""] * (block.line - 1 - len(laid)) + block.text.splitlines()
    return "\n".join(laid) + "\n"


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, with what the page says it prints. `> ` continues a command."""
    command, expected = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], ""
        elif line.startswith("> ") and not expected:
            command += "\n" + line[2:]
        else:
            expected += line + "\n"
    if command:
        yield command, expected


def _expect(expected: str, printed: str) -> None:
    """Compare as a reader does: white space is nothing, `...` is anything, no output shown says nothing."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if expected.strip() and not doctest.OutputChecker().check_output(expected, printed, flags):
        raise Mismatch(f"the page says:\n{expected}\nprinted was:\n{printed}")


def main(page: Path) -> None:
    """Try every block of `page` in order."""
    found = read(page)
    trial = Trial(page, found)
    with contextlib.closing(trial):
        for block in found:
            try:
                trial.try_block(block)
            except Exception as problem:
                problem.add_note(f"in the block at {page}:{block.line}")
                raise


if __name__ == "__main__":
    prepare()
    main(Path(sys.argv[1]))
