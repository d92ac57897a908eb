"""Distributions as strangers get them: built, and installed in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["ROOT", "Installed", "build", "environment", "pyproject"]

ROOT = Path(__file__).resolve().parents[2]


def pyproject() -> dict[str, Any]:
    """pyproject.toml as data."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@frozen
class Installed:
    """Its interpreter, its site-packages, and the directory to work from."""

    python: Path
    site: Path
    elsewhere: Path

    def run(self, *arguments: str) -> str:
        """What `python -I ARGUMENTS` prints, run from elsewhere. Raises AssertionError if it fails."""
        command = [str(self.python), "-I", *arguments]
        done = subprocess.run(command, cwd=self.elsewhere, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def build(source: Path, target: str, directory: Path) -> Path:
    """Build `target` (wheel or sdist) of the project in `source`; the only file in `directory` afterwards."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = directory.iterdir()
    return built


def environment(wheels: list[Path], directory: Path, elsewhere: Path) -> Installed:
    """Wheels in a fresh environment; what they depend on comes from ours, so that no index is asked."""
    venv.create(directory, with_pip=False)
    python = directory / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", *map(str, wheels)]
    subprocess.run(command, check=True, env=quiet)
    (site,) = directory.glob("lib/python*/site-packages")
    # A directory that a .pth file adds has its own .pth files ignored: our editable install stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(python, site, elsewhere)
