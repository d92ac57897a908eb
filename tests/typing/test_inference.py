"""Both type checkers see what a machine does, and see what is wrong with it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.house.installed import ROOT, pyproject

HERE = Path(__file__).parent
FILES = ("inferred.py", "refused.py")
Checker = Callable[[str], list[int]]
LINE = re.compile(r":(\d+): error:")


def mypy(file: str) -> list[int]:
    """The lines with errors. By this project's settings, so that what the gate cached of our modules holds
    here, and without its exceptions, which excuse the refused lines.
    """
    settings = pyproject()["tool"]["mypy"]
    options = ["--config-file=", "--strict", "--explicit-package-bases"]
    options += ["--python-version", settings["python_version"]]
    options += [f"--enable-error-code={code}" for code in settings["enable_error_code"]]
    path = [place.replace("$MYPY_CONFIG_FILE_DIR", str(ROOT)) for place in settings["mypy_path"]]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(HERE / file)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [int(line) for line in LINE.findall(run.stdout)]


def pyright(file: str) -> list[int]:
    """The lines with errors."""
    return [line for name, line in _pyright() if name == file]


@lru_cache
def _pyright() -> list[tuple[str, int]]:
    """File and line of each error: both files at once, for most of the time goes into what they import."""
    files = [str(HERE / file) for file in FILES]
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *files]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(run.stdout)
    assert told["summary"]["filesAnalyzed"] == len(FILES), run.stdout
    errors = (each for each in told["generalDiagnostics"] if each["severity"] == "error")
    return [(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in errors]


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_types_are_inferred(checker: Checker) -> None:
    assert checker("inferred.py") == []


@CHECKERS
def test_every_seeded_fault_is_reported_and_nothing_else(checker: Checker) -> None:
    lines = (HERE / "refused.py").read_text(encoding="utf-8").splitlines()
    seeded = [number for number, line in enumerate(lines, 1) if "# E: " in line]
    assert sorted(set(checker("refused.py"))) == seeded
