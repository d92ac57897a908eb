"""Wheel and sdist carry what they should, and an installed copy works away from the checkout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.installed import ROOT, Installed, pyproject

PACKAGES = [
    Path(package).name for package in pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]

ASK = """
import importlib, importlib.metadata, json, sys
packages = {name: importlib.import_module(name).__file__ for name in sys.argv[1:]}
(found,) = importlib.metadata.distributions(name="continuum-core", path=[sys.path[-2]])
points = [(point.group, point.name, point.value, point.load() is not None) for point in found.entry_points]
print(json.dumps([packages, points]))
"""

STRANGER = """\
import continuum_memory
import continuum_sqlite

from continuum_core.errors import ContinuumError


def number(error: ContinuumError) -> int:
    return error  # refused only by a checker that found our types


continuum_memory.connect("memory:", no_such_argument=1)
continuum_sqlite.connect("sqlite:", no_such_argument=1)
"""


def members(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in members(wheel)}
    assert tops - {f"continuum_core-{pyproject()['project']['version']}.dist-info"} == set(PACKAGES)


def test_the_wheel_holds_every_module_and_the_typing_marker(wheel: Path) -> None:
    sources = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    modules = {
        str(file.relative_to((ROOT / source).parent))
        for source in sources
        for file in (ROOT / source).rglob("*.py")
    }
    assert modules | {f"{package}/py.typed" for package in PACKAGES} <= members(wheel)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = packed.read(name).decode()
        assert any(name.endswith("licenses/LICENSE") for name in packed.namelist())
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "Description-Content-Type: text/markdown" in metadata


def test_the_sdist_holds_what_a_packager_needs(sdist: Path) -> None:
    kept = {"tests", "docs", "benchmarks", "examples", "backends", "plugins", "changelog.d"}
    kept |= {"dev.py", "tox.ini", "LICENSE", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
    assert kept <= {path.name for path in sdist.iterdir()}
    assert not [path for path in sdist.rglob("*") if path.name in ("_build", "__pycache__", ".venv")]


def test_the_sdist_builds_the_same_wheel(wheel: Path, wheel_of_sdist: Path) -> None:
    assert members(wheel_of_sdist) == members(wheel)


def test_an_installed_copy_is_imported_and_its_entry_points_load(installed: Installed) -> None:
    packages, points = json.loads(installed.run("-c", ASK, *PACKAGES))
    assert {name: Path(file).parent for name, file in packages.items()} == {
        name: installed.site / name for name in PACKAGES
    }
    project = pyproject()["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    declared = [
        [group, name, value, True] for group, names in groups.items() for name, value in names.items()
    ]
    assert sorted(points) == sorted(declared)


def test_the_command_works_away_from_the_checkout(installed: Installed) -> None:
    command = [str(installed.python.parent / "continuum"), "--help"]
    done = subprocess.run(command, cwd=installed.elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "worker" in done.stdout


@pytest.mark.parametrize(
    "checker",
    [
        ["mypy", "--strict", "--no-incremental", "--python-executable"],
        ["pyright", "--pythonpath"],
    ],
    ids=lambda checker: str(checker[0]),
)
def test_type_checkers_find_the_types_of_an_installed_copy(
    checker: list[str], installed: Installed, tmp_path: Path
) -> None:
    program = tmp_path / "stranger.py"
    program.write_text(STRANGER)
    command = [sys.executable, "-m", *checker, str(installed.python), str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    refused = re.findall(r"stranger\.py:(\d+).*\berror\b", done.stdout)
    assert sorted(set(refused), key=int) == ["8", "11", "12"], done.stdout
