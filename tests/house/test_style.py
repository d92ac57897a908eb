"""What of the house style a machine can see and ruff does not."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from tests.house.installed import ROOT

MODULES = sorted(
    file for part in ("continuum_core", "backends", "plugins") for file in (ROOT / part).rglob("*.py")
)
EMPTY_NOUNS = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    """dev.py, imported."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name}"
        for file in MODULES
        for function in functions(file)
        if (function.end_lineno or 0) - function.lineno >= 60
    ]
    assert not long


def test_modules_are_named_for_what_they_hold() -> None:
    assert not [file for file in MODULES if file.stem in EMPTY_NOUNS]


def test_every_module_says_its_rule() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in MODULES
        if tree(file).body and not ast.get_docstring(tree(file))
    ]
    assert not silent


def module_of(file: Path) -> str:
    """The dotted name by which a module is imported."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "continuum_core" else parts[1:]
    return ".".join(parts).removesuffix(".__init__")


def said(module: ast.Module) -> set[str] | None:
    """The names of `__all__`; None where a module has none."""
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return set(ast.literal_eval(node.value))
            case _:
                pass
    return None


def test_what_other_modules_import_is_in_all() -> None:
    trees = {module_of(file): tree(file) for file in MODULES}
    names = {module: public for module, found in trees.items() if (public := said(found)) is not None}
    unsaid = {
        f"{node.module}.{alias.name}, of {module}"
        for module, found in trees.items()
        for node in ast.walk(found)
        if isinstance(node, ast.ImportFrom) and node.module in names
        for alias in node.names
        if alias.name not in names[node.module] and f"{node.module}.{alias.name}" not in trees
    }
    assert not unsaid


def test_tox_names_only_stages_that_exist(dev: ModuleType) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    commands = [tox[section]["commands"].split() for section in tox.sections() if "commands" in tox[section]]
    assert commands
    assert all(command[:2] == ["python", "dev.py"] and command[2] in dev.STAGES for command in commands)


def test_what_the_gate_runs_is_installed(dev: ModuleType) -> None:
    programs = {command.split()[0] for stage in dev.GATE for command in dev.STAGES[stage]}
    assert all(shutil.which(program, path=str(Path(sys.executable).parent)) for program in programs)
