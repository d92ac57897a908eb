"""Strangers' distributions beside ours, as wheels, in one fresh environment for all workers of a session.

The folders `dbm` and `seal` are distributions of their own: their tests run in that environment, not here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum_core.cli.main import app
from tests.house.installed import ROOT, Installed, build, environment

collect_ignore = ["dbm", "seal"]

HERE = Path(__file__).parent
STRANGERS = ("dbm", "seal")
NEW = {"backend": "fresh-store", "plugin": "fresh-ends"}


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with our wheel, the strangers', and those of distributions that `continuum new` wrote.

    Its directory `elsewhere` has the strangers' folders, without their packages: those are in `packages`.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    return _once(base / "strangers", _made)


def _once(folder: Path, make: Callable[[Path], Installed]) -> Installed:
    """What the first worker of the session to ask makes; the others wait for it."""
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            folder.mkdir()
            make(folder)
            (folder / "whole").touch()
    (site,) = (folder / "environment").glob("lib/python*/site-packages")
    return Installed(folder / "environment" / "bin" / "python", site, folder / "elsewhere")


def _made(folder: Path) -> Installed:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    sources = [ROOT]
    for name in STRANGERS:
        sources.append(elsewhere / name)
        shutil.copytree(HERE / name, sources[-1], ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for kind, name in NEW.items():
        made = CliRunner().invoke(app, ["new", kind, name, "--directory", str(elsewhere)])
        assert made.exit_code == 0, made.stderr
        sources.append(elsewhere / f"continuum-{name}")
    wheels = [build(source, "wheel", folder / "wheels" / str(n)) for n, source in enumerate(sources)]
    packages = elsewhere / "packages"
    packages.mkdir()
    for source in sources[1:]:
        (package,) = source.glob("continuum_*")
        package.rename(packages / package.name)
    return environment(wheels, folder / "environment", elsewhere)
