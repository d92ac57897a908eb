#!/usr/bin/env python3
"""Everything a checkout can do for itself, from any Python >= 3.11 and nothing else installed.

    python3 dev.py demo           run the example: orders, a killed worker, nothing lost
    python3 dev.py test           the gate: lint, types, docs, tests; what CI runs
    python3 dev.py lint|types|docs|tests [ARGS]    one stage of it
    python3 dev.py long [ARGS]    the long simulations and crash tests, left out of the gate
    python3 dev.py bench [PART]   the interpreter beside other libraries; w1 … w5 or all: durable runs
    python3 dev.py run COMMAND    any command inside the environment

The environment is `.venv`, or the directory that CONTINUUM_VENV names. It is made on first use and brought up
to date whenever pyproject.toml changes. This file is the one place that says which commands make up a
stage; tox and CI call it.

Tests find a PostgreSQL by themselves. CONTINUUM_TEST_POSTGRES names a running one to use: a URL whose
role may create databases and roles. CONTINUUM_TEST_POSTGRES_BIN names the directory of the programs that
private servers are started from, such as /usr/lib/postgresql/15/bin. CONTINUUM_TEST_RUNS is how many runs of
each kind the longest test of PostgreSQL makes: a million, unless it is named.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("CONTINUUM_VENV") or ROOT / ".venv").absolute()
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

STAGES = {
    "lint": ["ruff check", "ruff format --check", "lint-imports"],
    "types": ["mypy", "pyright"],
    "docs": ["sphinx-build -W --keep-going -q -E docs docs/_build/html"],
    # worksteal: a module's tests stay in one worker, which makes its fixtures once, until another has none
    "tests": ["pytest -n auto --dist worksteal"],
    "long": ["pytest -n auto --dist worksteal -m long"],
    "bench": ["python -m benchmarks"],
    "demo": ["continuum demo"],
}
GATE = ["lint", "types", "docs", "tests"]  # the tests last: the run ends with their summary
EXTRAS = {"demo": "", "bench": "bench"}  # what `pip install .[…]` a stage needs; all others: "test"


def main(arguments: list[str]) -> int:
    """Route `test`, a stage's name or `run`; answer the exit code of the first command that fails, else 0."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    os.chdir(ROOT)
    if verb == "test":
        prepare("test")
        return next((code for stage in GATE if (code := perform(stage, []))), 0)
    if verb in STAGES:
        prepare(EXTRAS.get(verb, "test"))
        return perform(verb, rest)
    if verb == "run" and rest:
        prepare("test")
        return call(rest)
    print(__doc__, file=sys.stderr)
    return 2


def perform(stage: str, arguments: list[str]) -> int:
    """Run the commands of `stage`, the last one with `arguments`; answer the first exit code not 0."""
    commands = [command.split() for command in STAGES[stage]]
    commands[-1] += arguments
    return next((code for command in commands if (code := call(command))), 0)


def call(command: list[str]) -> int:
    """Run `command` inside the environment, showing it first; answer its exit code."""
    print(f"\n== {' '.join(command)}", flush=True)
    found = shutil.which(command[0], path=environment()["PATH"])
    if found is None:
        print(f"{command[0]}: not found in {VENV}", file=sys.stderr)
        return 127
    with subprocess.Popen([found, *command[1:]], env=environment()) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the command got the interrupt too, and decides how to end
                continue


def environment() -> dict[str, str]:
    """The variables of an activated environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    path = os.pathsep.join([str(BIN), kept.get("PATH", os.defpath)])
    return {**kept, "VIRTUAL_ENV": str(VENV), "PATH": path}


def prepare(extra: str) -> None:
    """Make the environment, and install this checkout with `extra` unless that was done for this very
    pyproject.toml. Raises SystemExit with what to do where neither is possible.
    """
    stamp = VENV / f".continuum-{extra or 'core'}"
    wanted = hashlib.sha256(str(ROOT).encode() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        print(f"== making {VENV}", flush=True)
        # Without pip: Debian's Python cannot bring its own pip along unless python3-venv is installed.
        if subprocess.call([sys.executable, "-m", "venv", "--without-pip", str(VENV)]) != 0:
            raise SystemExit("cannot make a virtual environment; on Debian: apt install python3-venv")
    target = ["--editable", f".[{extra}]" if extra else "."]
    print(f"== installing {target[1]} into {VENV}", flush=True)
    tried = False
    for installer in installers():
        tried = True
        if subprocess.call([*installer, *target], env=environment()) == 0:
            stamp.write_text(wanted)
            return
    raise SystemExit(
        "the installation failed; what is above says why"
        if tried
        else "found neither uv nor pip to install with; on Debian: apt install python3-venv"
    )


def installers() -> Iterator[list[str]]:
    """Ways to install into the environment, best first; the next is asked only if one fails, because uv
    does not read pip's configuration and a machine may have nothing but that.
    """
    if uv := shutil.which("uv"):
        yield [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    pip = ["-m", "pip", "--disable-pip-version-check"]
    if not succeeds([str(PYTHON), *pip, "--version"]):
        succeeds([str(PYTHON), "-m", "ensurepip"])
    if succeeds([str(PYTHON), *pip, "--version"]):
        yield [str(PYTHON), *pip, "install", "--quiet"]
    elif succeeds([sys.executable, *pip, "--version"]):  # the system's pip, working on our environment
        yield [sys.executable, *pip, "--python", str(PYTHON), "install", "--quiet"]


def succeeds(command: list[str]) -> bool:
    """Whether `command` ends with 0; what it prints is nobody's business."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one shall read why it stops
        raise SystemExit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    raise SystemExit(main(sys.argv[1:]))
