"""dev.py, in a checkout of its own whose programs only say that they were called."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from tests.house.installed import ROOT

PROGRAMS = ("uv", "ruff", "lint-imports", "mypy", "pyright", "sphinx-build", "pytest", "continuum")
GATE = ["ruff", "ruff", "lint-imports", "mypy", "pyright", "sphinx-build", "pytest"]


@frozen
class Checkout:
    """A directory with dev.py and an environment that counts as up to date for every extra but `bench`."""

    root: Path

    def program(self, name: str, code: int = 0) -> None:
        """Put `name` into the environment: it logs its arguments and ends with `code`."""
        file = self.root / ".venv" / "bin" / name
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >> "{self.root}/log"\nexit {code}\n')
        file.chmod(0o755)

    def dev(self, *arguments: str) -> tuple[int, list[str]]:
        """The exit code of `dev.py ARGUMENTS`, and the programs it called with their arguments."""
        variables = {name: value for name, value in os.environ.items() if name != "CONTINUUM_VENV"}
        # Our `uv` stands before the machine's: nothing is really installed.
        variables["PATH"] = os.pathsep.join([str(self.root / ".venv" / "bin"), os.environ["PATH"]])
        command = [sys.executable, "dev.py", *arguments]
        done = subprocess.run(command, cwd=self.root, env=variables, capture_output=True, check=False)
        log = self.root / "log"
        return done.returncode, log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path.resolve())
    shutil.copy(ROOT / "dev.py", made.root)
    (made.root / "pyproject.toml").write_text("[project]\n")
    (made.root / ".venv" / "bin").mkdir(parents=True)
    for name in PROGRAMS:
        made.program(name)
    (made.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    stamp = hashlib.sha256(str(made.root).encode() + b"[project]\n").hexdigest()
    for extra in ("core", "test"):
        (made.root / ".venv" / f".continuum-{extra}").write_text(stamp)
    return made


def test_the_gate_runs_every_stage_and_the_tests_last(checkout: Checkout) -> None:
    code, called = checkout.dev("test")
    assert code == 0
    assert [line.split()[0] for line in called] == GATE


@pytest.mark.parametrize("failing", ["lint-imports", "pyright", "sphinx-build", "pytest"])
def test_the_gate_stops_at_the_first_failure_with_its_code(failing: str, checkout: Checkout) -> None:
    checkout.program(failing, code=7)
    code, called = checkout.dev("test")
    assert code == 7
    assert [line.split()[0] for line in called] == GATE[: GATE.index(failing) + 1]


def test_a_stage_takes_arguments(checkout: Checkout) -> None:
    called = ["pytest -n auto --dist worksteal tests/house -k dev"]
    assert checkout.dev("tests", "tests/house", "-k", "dev") == (0, called)


def test_the_demo_takes_arguments(checkout: Checkout) -> None:
    assert checkout.dev("demo", "--json") == (0, ["continuum demo --json"])


def test_any_command_runs_inside_the_environment(checkout: Checkout) -> None:
    assert checkout.dev("run", "mypy", "dev.py") == (0, ["mypy dev.py"])


@pytest.mark.parametrize("arguments", [[], ["run"], ["nonsense"]])
def test_what_is_not_understood_is_answered_with_the_usage(arguments: list[str], checkout: Checkout) -> None:
    assert checkout.dev(*arguments) == (2, [])


def test_a_changed_pyproject_is_installed_once_before_anything_runs(checkout: Checkout) -> None:
    (checkout.root / "pyproject.toml").write_text("[project]\n# changed\n")
    python = checkout.root / ".venv" / "bin" / "python"
    installed = f"uv pip install --quiet --python {python} --editable .[test]"
    assert checkout.dev("types") == (0, [installed, "mypy ", "pyright "])
    assert checkout.dev("types") == (0, [installed, "mypy ", "pyright ", "mypy ", "pyright "])


def test_a_stage_with_an_extra_of_its_own_installs_that(checkout: Checkout) -> None:
    checkout.program("python")  # what `bench` runs, and no pip in it
    _, called = checkout.dev("bench")
    assert called[0].endswith("--editable .[bench]")
    assert called[-1] == "python -m benchmarks"
