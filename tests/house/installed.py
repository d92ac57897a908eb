"""An environment that has the built wheel, and a directory that is not the checkout."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["ROOT", "Installed", "pyproject"]

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
