"""Both type checkers see what a machine does, and see what is wrong with it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
Checker = Callable[[str], list[int]]
LINE = re.compile(r":(\d+): error:")


def mypy(file: str) -> list[int]:
    """The lines with errors. Without this project's configuration, which excuses the refused ones."""
    options = ["--strict", "--config-file=", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", *options, str(HERE / file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [int(line) for line in LINE.findall(run.stdout)]


def pyright(file: str) -> list[int]:
    """The lines with errors."""
    command = [
        sys.executable,
        "-m",
        "pyright",
        "--outputjson",
        "--pythonpath",
        sys.executable,
        str(HERE / file),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(run.stdout)["generalDiagnostics"]
    return [each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"]


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_types_are_inferred(checker: Checker) -> None:
    assert checker("inferred.py") == []


@CHECKERS
def test_every_seeded_fault_is_reported_and_nothing_else(checker: Checker) -> None:
    lines = (HERE / "refused.py").read_text(encoding="utf-8").splitlines()
    seeded = [number for number, line in enumerate(lines, 1) if "# E: " in line]
    assert sorted(set(checker("refused.py"))) == seeded
