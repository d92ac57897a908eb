"""An environment for each contender: made on first use, made anew when its pinned list of packages changes.

They are in `benchmarks/.venvs`, or in the directory that CONTINUUM_BENCH_ENVS names. Ours needs none: it runs
in the environment that this program runs in, that is, from the checkout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["HERE", "NotToBeHad", "environment_folder", "interpreter"]

HERE = Path(__file__).resolve().parent
_PATIENCE = 600.0  # seconds for an installation


class NotToBeHad(RuntimeError):
    """A contender cannot be installed on this machine; says why."""


def environment_folder() -> Path:
    """Where the environments are."""
    return Path(os.environ.get("CONTINUUM_BENCH_ENVS") or HERE / ".venvs").absolute()


def interpreter(name: str) -> Path:
    """The Python of a contender's environment, with what `requirements/NAME.txt` pins. Raises NotToBeHad."""
    wanted = HERE / "requirements" / f"{name}.txt"
    if not wanted.is_file():
        return Path(sys.executable)
    folder = environment_folder() / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = HERE / "requirements" / f"{name}.npm.txt"
    stated = (
        wanted.read_bytes() + (packages.read_bytes() if packages.is_file() else b"") + sys.version.encode()
    )
    stamp = folder / ".stamp"
    digest = hashlib.sha256(stated).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print(f"making the environment of {name} in {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    _install(python, wanted)
    if packages.is_file():
        _install_npm(folder, packages)
    stamp.write_text(digest)
    return python


def _install(python: Path, wanted: Path) -> None:
    said = "found neither uv nor pip"
    for installer in _installers(python):
        try:
            _run([*installer, "-r", str(wanted)])
            return
        except NotToBeHad as error:
            said = str(error)
    raise NotToBeHad(said)


def _installers(python: Path) -> Iterator[list[str]]:
    beside = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if beside:
        yield [beside, "pip", "install", "--quiet", "--python", str(python)]
    yield [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]


def _install_npm(folder: Path, packages: Path) -> None:
    """What a contender needs from npm, into `node_modules` of its environment."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotToBeHad("npm is not installed")
    _run([npm, "install", "--silent", "--no-fund", "--prefix", str(folder), *packages.read_text().split()])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotToBeHad(f"{' '.join(command[:4])} …: {said[-1] if said else done.returncode}")
