"""One canonical form on every Python: else a deployment on another one would orphan runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from continuum_core.testing.histories import golden

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "continuum_core" / "definition" / "source.py"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def python(version: str) -> str | None:
    """An interpreter of this version that starts, among what is on the path and what pyenv has."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version == running:
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(each / "bin" / "python") for each in sorted(root.glob(f"{version}.*"))]
    on_path = shutil.which(f"python{version}")
    for candidate in [*found, *([on_path] if on_path else [])]:
        said = subprocess.run([candidate, "-V"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
            return candidate
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_functions_have_the_same_form(version: str) -> None:
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} here")
    command = [interpreter, str(HERE / "pythons.py"), str(SOURCE)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.dumps(json.loads(run.stdout), indent=1, sort_keys=True) + "\n"
    golden(told, HERE / "pythons.json")
