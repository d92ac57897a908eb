"""How the tests of the command line type a command: in this process, with its own folder and journal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from continuum_core.cli.main import main

ROOT = Path(__file__).parents[2]


@frozen
class Done:
    """What a command left behind: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON value that was printed."""
        [value] = self.jsons()
        return value

    def jsons(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Done]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def environment(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A terminal of 80 columns without colours, in an empty folder; the environment of child processes."""
    for name in list(os.environ):
        if name.startswith("CONTINUUM_") or name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONTINUUM_JOURNAL", url)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return dict(os.environ)


@pytest.fixture
def continuum(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Command:
    """`continuum("list", "--json")` runs the program in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, printed.out, printed.err)

    return run
