"""`continuum scxml`: machines for other tools, and their files as code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from continuum_core.cli.main import app
from continuum_scxml.document import SIZE
from tests.cli.conftest import Command

MACHINE = "tests.definition.machines:Order"


@pytest.fixture(autouse=True)
def _commands_of_plugins_end_with_the_test() -> object:
    groups = list(app.registered_groups)
    yield
    app.registered_groups[:] = groups


def test_a_machine_goes_out_and_comes_back(continuum: Command, tmp_path: Path) -> None:
    assert continuum("scxml", "export", MACHINE, "--output", "order.scxml").code == 0
    assert continuum("scxml", "import", "order.scxml", "-o", "skeleton.py").code == 0
    checked = continuum("check", "skeleton", "--json")
    assert checked.code == 0
    found = checked.jsons()
    assert {value["machine"] for value in found} == {"order"}
    assert {value.get("code") for value in found} == {"C234"}, "what it is warned of there, it is here"


def test_formats_are_told_apart(continuum: Command, tmp_path: Path) -> None:
    exported = continuum("scxml", "export", MACHINE, "--format", "xstate")
    assert json.loads(exported.out)["id"] == "order"
    (tmp_path / "order.json").write_text(exported.out)
    done = continuum("scxml", "import", "order.json")
    assert "class Order(Machine[" in done.out
    wrong = continuum("scxml", "import", "order.json", "--format", "scxml")
    assert (wrong.code, "no XML" in wrong.err) == (1, True)


def test_what_was_filled_in_is_not_written_over(continuum: Command, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"states": {"a": {}}}')
    (tmp_path / "mine.py").write_text("precious")
    done = continuum("scxml", "import", "m.json", "--output", "mine.py")
    assert (done.code, "File exists" in done.err) == (1, True)
    assert (tmp_path / "mine.py").read_text() == "precious"


@pytest.mark.parametrize("name", ["absent.scxml", ".", "huge.scxml", "odd.bin"])
def test_a_file_that_cannot_be_read_is_said_in_one_line(
    continuum: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "huge.scxml").write_bytes(b"<" * (SIZE + 10))
    (tmp_path / "odd.bin").write_bytes(b"\xff\xfe\x00\x01")
    done = continuum("scxml", "import", name)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1


def test_the_group_tells_what_it_can_do(continuum: Command) -> None:
    assert "scxml" in continuum("--help").out
    shown = continuum("scxml", "--help").out
    assert "export" in shown
    assert "import" in shown
