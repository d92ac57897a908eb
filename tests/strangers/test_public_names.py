"""Strangers import public names only: import-linter holds them to modules, and their source to names."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import continuum_core
from tests.docs.public_api import not_public, public_names
from tests.house.installed import Installed

PACKAGES = ("continuum_dbm", "continuum_seal", "continuum_fresh_store", "continuum_fresh_ends")
NOSY = "continuum_nosy"


def hidden() -> list[str]:
    """Every module of the core that is not public."""
    found = {each.name for each in pkgutil.walk_packages(continuum_core.__path__, "continuum_core.")}
    public = public_names()
    return sorted(name for name in found if name not in public and not name.endswith("__main__"))


def contract(name: str, sources: tuple[str, ...]) -> str:
    forbidden = ", ".join(f'"{module}"' for module in hidden())
    importers = ", ".join(f'"{source}"' for source in sources)
    return f"""
[[tool.importlinter.contracts]]
name = "{name}"
type = "forbidden"
source_modules = [{importers}]
forbidden_modules = [{forbidden}]
as_packages = false
allow_indirect_imports = true
"""


@pytest.fixture(scope="module")
def verdicts(strangers: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says of the strangers, and of one that imports what it must not."""
    place = tmp_path_factory.mktemp("linted")
    (place / NOSY).mkdir()
    (place / NOSY / "__init__.py").write_text("import continuum_core.worker\n")
    modules = tuple(
        ".".join((package, *each.name.split(".")[1:]))
        for package in PACKAGES
        for each in [
            pkgutil.ModuleInfo(None, package, True),  # type: ignore[arg-type]  # its finder is not asked
            *pkgutil.walk_packages([str(strangers.elsewhere / "packages" / package)], f"{package}."),
        ]
    )
    roots = ", ".join(f'"{name}"' for name in ("continuum_core", NOSY, *PACKAGES))
    (place / "pyproject.toml").write_text(
        f"[tool.importlinter]\nroot_packages = [{roots}]\n"
        + contract("strangers", modules)
        + contract("nosy", (NOSY,))
    )
    path = os.pathsep.join([str(place), str(strangers.elsewhere / "packages")])
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, flags=re.MULTILINE))
    assert found, done.stdout + done.stderr
    return {**found, "said": done.stdout}


def test_strangers_import_public_modules_only(verdicts: dict[str, str]) -> None:
    assert verdicts["strangers"] == "KEPT", verdicts["said"]


def test_one_that_imports_another_is_noticed(verdicts: dict[str, str]) -> None:
    assert verdicts["nosy"] == "BROKEN"


def test_strangers_import_public_names_only(strangers: Installed) -> None:
    """Their tests included, for these are what authors learn from."""
    sources = [path for path in strangers.elsewhere.rglob("*.py") if "__pycache__" not in path.parts]
    assert len(sources) > len(PACKAGES) * 2
    wrong = {path.name: found for path in sources if (found := not_public(path.read_text()))}
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "from continuum_core.journal.connect import _backend",
        "from continuum_core.worker import Worker",
        "import continuum_core.runtime",
    ],
)
def test_a_private_name_is_noticed(line: str) -> None:
    assert not_public(line) != []
