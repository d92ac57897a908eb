"""The verb `new`: what it writes, and what it refuses. That its tests run is shown in tests/strangers."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from continuum_core.cli.main import app
from continuum_core.hooks.spec import HOOKS_VERSION
from continuum_core.journal.protocol import PORT_VERSION


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["new", *arguments])


@pytest.mark.parametrize("kind", ["backend", "plugin"])
def test_it_writes_a_whole_distribution(kind: str, tmp_path: Path) -> None:
    done = new(kind, "two-words", "-d", str(tmp_path), "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    folder = tmp_path / "continuum-two-words"
    assert told["folder"] == str(folder)
    written = {str(path) for path in folder.rglob("*") if path.is_file()}
    assert written == set(told["files"])
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "continuum-two-words"
    (group,) = project["entry-points"].values()
    assert group == {"two-words": "continuum_two_words"}
    module = (folder / "continuum_two_words" / "__init__.py").read_text()
    version = f"PORT_VERSION = {PORT_VERSION}" if kind == "backend" else f"HOOKS_VERSION = {HOOKS_VERSION}"
    assert version in module
    assert (folder / "continuum_two_words" / "py.typed").exists()
    for path in folder.rglob("*.py"):
        compile(path.read_text(), path, "exec")


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    done = new("plugin", "ends", "-d", str(tmp_path))
    assert "pip install -e '.[test]'" in done.stdout
    assert str(tmp_path / "continuum-ends") in done.stdout


@pytest.mark.parametrize("name", ["A", "1a", "a_b", "a--b", "-a", "a-", "", "a/b", "../x", "é", "a" * 41])
def test_a_name_that_will_not_do_is_refused(name: str, tmp_path: Path) -> None:
    done = new("plugin", "-d", str(tmp_path), "--", name)
    assert done.exit_code == 1
    assert "will not do as a name" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("backend", "sqlite", "continuum_sqlite is installed"),
        ("backend", "postgresql", "a backend 'postgresql' is installed"),
        ("plugin", "core", "continuum_core is installed"),
        ("plugin", "continuum-ends", "write 'ends'"),
    ],
)
def test_a_name_that_is_taken_is_refused(kind: str, name: str, why: str, tmp_path: Path) -> None:
    done = new(kind, name, "-d", str(tmp_path))
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert why in done.stderr


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "continuum-ends").mkdir()
    done = new("plugin", "ends", "-d", str(tmp_path))
    assert done.exit_code == 1
    assert "is there already" in done.stderr
    assert list((tmp_path / "continuum-ends").iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = new("plugin", "ends", "-d", str(tmp_path / "file"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


def test_a_keyword_is_a_name_like_others(tmp_path: Path) -> None:
    """The command of the plugin is called so; the function that carries it out cannot be."""
    assert new("plugin", "import", "-d", str(tmp_path)).exit_code == 0
    module = (tmp_path / "continuum-import" / "continuum_import" / "__init__.py").read_text()
    assert '@app.command("import")\n    def import_()' in module
