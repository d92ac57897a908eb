"""The rules on imports can fail: each is broken once, in a copy. That they hold is shown by `dev.py lint`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.installed import ROOT, pyproject

CONTRACTS = {
    contract["id"]: contract["name"] for contract in pyproject()["tool"]["importlinter"]["contracts"]
}

# The file, and the import that must not be there.
PLANTED = {
    "floors": ("continuum_core/journal/records.py", "import continuum_core.runtime"),
    "pure": ("continuum_core/definition/chart.py", "import time"),
    "two-languages": ("continuum_core/interpreter/events.py", "import continuum_core.journal.records"),
    "backend-sees-port": ("backends/continuum_sqlite/__init__.py", "import continuum_core.registry"),
    "backends-apart": ("backends/continuum_memory/__init__.py", "import continuum_sqlite"),
    "no-backend-named": ("continuum_core/errors.py", "import continuum_memory"),
    "no-plugin-named": ("continuum_core/host.py", "import continuum_redact"),
    "plugins-apart": ("plugins/continuum_crypto/__init__.py", "import continuum_redact"),
    "plugin-sees-hooks": ("plugins/continuum_compress/__init__.py", "import continuum_core.runtime"),
    "front-door": ("continuum_core/worker.py", "import continuum_core"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the linter says of a copy in which every rule is broken: contract name to KEPT or BROKEN."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("continuum_core", "backends", "plugins", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    for file, line in PLANTED.values():
        with (copy / file).open("a") as module:
            module.write(f"\n{line}\n")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    path = os.pathsep.join([str(copy), str(copy / "backends"), str(copy / "plugins")])
    done = subprocess.run(
        command,
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, flags=re.MULTILINE)
    assert found, done.stdout + done.stderr
    return dict(found)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_broken_rule_is_noticed(contract: str, verdicts: dict[str, str]) -> None:
    assert verdicts[CONTRACTS[contract]] == "BROKEN"


# What may be imported from outside the core.
PORT = {"journal", "errors", "clock", "texts"}
HOOKS = {"hooks", "client", "sync_client", "view", "definition", "drawing", "registry", "codec", "host"}


@pytest.mark.parametrize(
    ("contract", "allowed"), [("backend-sees-port", PORT), ("plugin-sees-hooks", PORT | HOOKS)]
)
def test_who_stands_outside_is_forbidden_all_of_the_core_but_its_door(
    contract: str, allowed: set[str]
) -> None:
    [rule] = [c for c in pyproject()["tool"]["importlinter"]["contracts"] if c["id"] == contract]
    modules = {
        f"continuum_core.{path.stem}"
        for path in (ROOT / "continuum_core").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    door = {f"continuum_core.{name}" for name in allowed}
    assert door < modules
    assert set(rule["forbidden_modules"]) == modules - door - {"continuum_core.__init__"}
