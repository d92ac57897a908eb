"""The reference pages agree with the code: nothing is missing, and nothing is told that is gone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import attrs
import pytest
from msgspec import Struct
from typer.main import get_command

from continuum_core import Client, Queue, Rate, Retry, Worker, activity, hooks
from continuum_core.cli.main import app
from continuum_core.definition.fault import CODES, Fault, Severity
from continuum_core.hooks import Plugins, spec
from continuum_core.journal import protocol
from continuum_core.journal.protocol import Limits
from tests.docs.pages import ROOT, read
from tests.house.installed import pyproject

REFERENCE = ROOT / "docs" / "reference"
COMMON = {"--json", "--debug", "--help"}  # told once for all verbs


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.S | re.M)
    assert found is not None, f"{page} has no section {title!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the headings and their rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    told = [
        line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if not line.startswith("|---") and not below.startswith("|---")
    ]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in told]


def named(text: str) -> set[str]:
    """The first words in code style of every row's first cell, several names included."""
    return {name for row in rows(text) for name in re.findall(r"`([a-z_]+)`", row[0])}


def test_the_floors_on_the_page_are_those_of_the_contract() -> None:
    told = [
        re.findall(r"`([a-z_]+)`", row[0]) for row in rows(section("explanation/architecture.md", "Floors"))
    ]
    [layers] = [
        contract["layers"]
        for contract in pyproject()["tool"]["importlinter"]["contracts"]
        if contract["id"] == "floors"
    ]
    floors = [set(layer.split(" | ")) for layer in layers if layer != "__main__"]
    for names in told:  # from the top down; rows in a row may share a floor
        while floors and not floors[0]:
            floors.pop(0)
        assert floors, f"{names} stand on no floor"
        assert set(names) <= floors[0], f"{names} are not of the floor with {sorted(floors[0])}"
        floors[0] -= set(names)
    assert not any(floors), f"no row has {floors}"


def test_every_fault_has_its_row_and_its_severity() -> None:
    told: dict[str, str] = {}
    for row in rows((REFERENCE / "fault-codes.md").read_text(encoding="utf-8")):
        if re.fullmatch(r"C\d{3}", row[0]):
            told[row[0]] = row[1]
            assert row[2], f"{row[0]} has no remedy"
    assert {code: what.removesuffix(" *(warning)*") for code, what in told.items()} == dict(CODES)
    warned = {code for code, what in told.items() if what.endswith("*(warning)*")}
    assert warned == {code for code in CODES if Fault(code, "", "", "").severity is Severity.WARNING}


def parameters(thing: Callable[..., Any]) -> set[str]:
    return {name for name in inspect.signature(thing).parameters if name not in ("self", "bare")}


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("Worker", parameters(Worker.__init__)),
        ("Client, SyncClient", parameters(Client.__init__)),
        ("Limits", {field.name for field in attrs.fields(Limits)}),
        (
            "Activity",
            parameters(activity)
            | {field.name for kind in (Retry, Queue, Rate) for field in attrs.fields(kind)},
        ),
    ],
)
def test_every_setting_has_its_row(title: str, wanted: set[str]) -> None:
    assert named(section("reference/settings.md", title)) == wanted


@cache
def verbs() -> Mapping[str, Any]:
    return cast("Any", get_command(app)).commands  # type: ignore[no-any-return]  # click's group, which typer does not tell


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_tells_its_options(verb: str) -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    told = section("reference/cli.md", f"`{verb}`")
    if verb in ("cancel", "suspend", "resume", "unpark", "terminate"):
        told += section("reference/cli.md", "An operator's orders")
    for parameter in verbs()[verb].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            for name in set(parameter.opts) - COMMON:
                assert f"`{name}" in told, f"{verb} has {name}"
    for name in re.findall(r"`(--?[a-z-]+)", told):
        known = {opt for parameter in verbs()[verb].params for opt in parameter.opts}
        orders = {opt for each in verbs().values() for parameter in each.params for opt in parameter.opts}
        assert name in (known if verb != "terminate" else orders), f"{verb} has no {name}"
    assert page.count(f"### `{verb}`") == 1


def test_every_promise_is_in_the_table() -> None:
    numbered = set(re.findall(r"^(\d+)\. ", protocol.__doc__ or "", re.M))
    told = {row[0].split()[0] for row in rows(section("howto/write-a-backend.md", "Promise by promise"))}
    assert told == numbered


def test_every_capability_is_in_the_table() -> None:
    told = named(section("howto/write-a-backend.md", "Capabilities"))
    optional = {"adopt", "schema_of", "migrate", "migration_sql"}
    assert told - optional == set(protocol.MEANINGS)


def test_every_public_module_of_the_port_is_in_the_table() -> None:
    told = set(re.findall(r"`journal\.([a-z]+)`", section("howto/write-a-backend.md", "Where it comes in")))
    port = ROOT / "continuum_core" / "journal"
    modules = {path.stem for path in (*port.glob("[a-z]*.py"), *port.glob("[a-z]*/"))}
    assert told == modules - {"connect", "installed"}


def test_the_tutorials_machine_is_the_one_that_other_pages_use() -> None:
    blocks = read(ROOT / "docs" / "tutorial" / "first-machine.md")
    written = [
        block.text for block in blocks if "orders.py" in (block.notes.get("file"), block.notes.get("append"))
    ]
    example = (ROOT / "docs" / "examples" / "orders.py").read_text(encoding="utf-8")
    assert "".join(written).split() == example.split()


# --- hooks -------------------------------------------------------------------------------------------

HOOKS = {name: hook for name, hook in vars(spec).items() if hasattr(hook, f"{spec.PROJECT}_spec")}


def test_every_hook_has_its_row_with_its_arguments() -> None:
    told: dict[str, list[str]] = {}
    for title in ("Observers", "Contributors"):
        for row in rows(section("reference/hooks.md", title)):
            found = re.fullmatch(r"`(\w+)\((.*)\)`", row[0])
            assert found is not None, row[0]
            told[found[1]] = [name for name in found[2].split(", ") if name]
            documented = inspect.getdoc(HOOKS[found[1]]) or ""
            kind = "Add commands" if found[1] == "register_commands" else title.removesuffix("s")
            assert documented.startswith(kind), f"{found[1]} stands among the {title}"
    assert told == {name: list(inspect.signature(hook).parameters) for name, hook in HOOKS.items()}


def test_every_hook_says_when_it_is_called() -> None:
    for name, hook in HOOKS.items():
        assert len(inspect.getdoc(hook) or "") > 40, name
        assert hasattr(Plugins(), name), f"{name} is no attribute of Plugins"


def test_every_fact_has_its_row() -> None:
    told = {
        row[0].strip("`"): tuple(re.findall(r"`(\w+)`", row[1]))
        for row in rows(section("reference/hooks.md", "Facts"))
    }
    wanted = {
        name: value.__struct_fields__
        for name, value in vars(hooks).items()
        if isinstance(value, type) and issubclass(value, Struct)
    }
    assert told == wanted


def test_the_page_on_hooks_tells_their_version() -> None:
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    assert f"this is version {hooks.HOOKS_VERSION}" in page
    example = (ROOT / "docs" / "howto" / "write-a-plugin.md").read_text(encoding="utf-8")
    assert f"HOOKS_VERSION = {hooks.HOOKS_VERSION}\n" in example
