"""The verbs about definitions, backends and the example."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from continuum_core.cli.verbs import VERBS
from tests.cli.conftest import Command

HEAD = """
from attrs import frozen
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import event

@frozen
class Ctx:
    n: int = 0

@event
class Go:
    pass
"""
MACHINE = """
class {name}(Machine[Ctx, int, int], name="{name}"):
    s = root(Ctx)
    {states}

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> int:
        return c.n
"""
SOUND = ("a = s.state(initial=True)", "b = s.final()", "a.on(Go, b)")
TRAPPED = ("a = s.state(initial=True)", "b = s.final()", "c = s.state()", "a.on(Go, b)", "a.on(Go, c)")
ENDLESS = ("a = s.state(initial=True)", "b = s.state()", "a.on(Go, b)", "b.on(Go, a)")


def write(folder: Path, module: str, **machines: tuple[str, ...]) -> None:
    bodies = [MACHINE.format(name=name, states="\n    ".join(states)) for name, states in machines.items()]
    (folder / f"{module}.py").write_text(HEAD + "".join(bodies))


# --- check -------------------------------------------------------------------------------------------


def test_sound_machines_pass(continuum: Command) -> None:
    done = continuum("check", "tests.cli.shop")
    assert (done.code, done.out, done.err) == (
        0,
        "ok: order (tests.cli.shop)\n",
        "1 machine, 0 faults, 0 warnings\n",
    )


def test_every_fault_of_every_machine_is_told_at_once(continuum: Command, tmp_path: Path) -> None:
    write(tmp_path, "check_many", First=TRAPPED, Second=SOUND, Third=TRAPPED)
    write(tmp_path, "check_other", Fourth=TRAPPED)
    done = continuum("check", "check_many", "check_other", "--json")
    assert done.code == 1
    found = done.jsons()
    faulty = [(f["module"], f["machine"], f["code"]) for f in found if f["severity"] == "error"]
    for machine, module in (("First", "check_many"), ("Third", "check_many"), ("Fourth", "check_other")):
        assert (module, machine, "C302") in faulty
    assert [f["machine"] for f in found if f["severity"] == "ok"] == ["Second"]
    [trap] = [f for f in found if f["machine"] == "First" and f["code"] == "C302"]
    assert (trap["file"], trap["where"]) == (str(tmp_path / "check_many.py"), "c")
    assert trap["line"] == 18


def test_the_text_is_that_of_the_import(continuum: Command, tmp_path: Path) -> None:
    write(tmp_path, "check_text", Order=TRAPPED)
    printed = continuum("check", "check_text")
    assert printed.code == 1
    assert "faults" in printed.err
    for name in [name for name in sys.modules if name == "check_text"]:
        del sys.modules[name]
    refused = continuum("draw", "check_text")
    assert refused.code == 1
    told = [line.strip() for line in refused.err.splitlines()[1:]]
    assert told == [line.partition("Order: ")[2] for line in printed.out.splitlines()]


def test_warnings_fail_only_when_strict(continuum: Command, tmp_path: Path) -> None:
    write(tmp_path, "check_warned", Order=ENDLESS)
    write(tmp_path, "check_strict", Order=ENDLESS)
    loose = continuum("check", "check_warned")
    assert loose.code == 0
    assert "warning: Order: " in loose.out
    assert "C303" in loose.out
    assert continuum("check", "check_strict", "--strict").code == 1


def test_a_module_that_cannot_be_imported_is_told_beside_the_others(
    continuum: Command, tmp_path: Path
) -> None:
    (tmp_path / "check_broken.py").write_text("def broken(:\n")
    done = continuum("check", "check_broken", "tests.cli.shop", "--json")
    assert done.code == 1
    broken, sound = done.jsons()
    assert (broken["module"], broken["code"]) == ("check_broken", "import")
    assert "SyntaxError" in broken["text"]
    assert sound["severity"] == "ok"


def test_a_module_without_machines(continuum: Command, tmp_path: Path) -> None:
    (tmp_path / "check_empty.py").write_text("")
    assert continuum("check", "check_empty").code == 1


# --- apps --------------------------------------------------------------------------------------------


def test_a_module_that_only_imports_machines_says_where_they_are(continuum: Command, tmp_path: Path) -> None:
    (tmp_path / "app_front.py").write_text("from tests.cli.shop import Order\n")
    done = continuum("draw", "app_front")
    assert done.code == 1
    assert "it imports machines from elsewhere: name those, --app tests.cli.shop:Order" in done.err
    assert continuum("draw", "app_front:Order").code == 0


def test_one_of_several_machines_must_be_named(continuum: Command, tmp_path: Path) -> None:
    write(tmp_path, "app_two", One=SOUND, Two=SOUND)
    done = continuum("draw", "app_two")
    assert (done.code, done.err) == (
        1,
        "error: app_two has 2 machines; say which: app_two:One, app_two:Two\n",
    )
    assert continuum("draw", "app_two:Two").out.startswith("Two · version 1")


def test_warnings_at_import_are_lines_of_text(continuum: Command, tmp_path: Path) -> None:
    write(tmp_path, "app_warned", Order=ENDLESS)
    done = continuum("draw", "app_warned")
    assert done.code == 0
    assert done.err.startswith(f"warning: Order: {tmp_path}/app_warned.py:")


# --- draw --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "beginning"),
    [("text", "order · version 1"), ("mermaid", "stateDiagram-v2"), ("dot", "digraph"), ("svg", "<svg ")],
)
def test_every_format(continuum: Command, kind: str, beginning: str) -> None:
    printed = continuum("draw", "tests.cli.shop:Order", "--format", kind)
    assert printed.out.startswith(beginning)
    as_json = continuum("draw", "tests.cli.shop", "--format", kind, "--json").json()
    assert (as_json["machine"], as_json["format"]) == ("order", kind)
    assert as_json["drawing"].rstrip("\n") == printed.out.rstrip("\n")


def test_a_files_ending_says_the_format(continuum: Command, tmp_path: Path) -> None:
    done = continuum("draw", "tests.cli.shop", "--output", "order.svg", "--theme", "dark")
    assert done.out == ""
    assert (tmp_path / "order.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert continuum("draw", "tests.cli.shop", "-o", "no/such/folder.svg").code == 1


# --- the rest ----------------------------------------------------------------------------------------


def test_backends(continuum: Command) -> None:
    found = {each["scheme"]: each for each in continuum("backends", "--json").jsons()}
    assert found["sqlite"]["fault"] is None
    assert "durable" in found["sqlite"]["capabilities"]
    lines = continuum("backends").out.splitlines()
    # Long lists of capabilities go on in the next line.
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["scheme", *found]


def test_version_and_help(continuum: Command) -> None:
    assert continuum("--version").out.startswith("continuum-core ")
    verbs = "worker dev start send show history list cancel suspend resume terminate unpark check draw"
    verbs += " backends migrate demo"
    text = continuum("--help").out
    assert not [verb for verb in verbs.split() if f" {verb} " not in text]
    for verb in set(verbs.split()) - {"demo"}:
        told = continuum(verb, "--help")
        assert told.code == 0
        assert "--json" in told.out


def test_demo_says_what_to_do_where_it_is_not_installed(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "continuum_demo", None)
    done = continuum("demo")
    assert done.code == 1
    assert "python3 dev.py demo" in done.err


def test_demo_hands_over(continuum: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "continuum_demo"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "continuum_demo").mkdir()
    (tmp_path / "continuum_demo" / "__init__.py").write_text("")
    (tmp_path / "continuum_demo" / "run.py").write_text(
        "def main(arguments):\n    print(arguments)\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = continuum("demo", "--orders", "7")
    for name in ("continuum_demo", "continuum_demo.run"):
        monkeypatch.delitem(sys.modules, name)
    assert (done.code, done.out) == (3, "['--orders', '7']\n")


def test_colours_are_for_terminals_and_no_color_is_heard(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = '{"order_id": "o-1", "total": 5}'
    continuum("start", "order", "--key", "o-1", "--input", order, "--app", "tests.cli.shop")
    assert "\x1b" not in continuum("show", "order/o-1").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in continuum("show", "order/o-1").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in continuum("show", "order/o-1").out


def test_a_terminal_without_unicode_gets_ascii(
    continuum: Command, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out.txt").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        continuum("draw", "tests.cli.shop")
    assert "( ) waiting" in (tmp_path / "out.txt").read_text(encoding="ascii")


def test_json_of_a_list_is_one_object_a_line(continuum: Command) -> None:
    assert [json.loads(line)["scheme"] for line in continuum("backends", "--json").out.splitlines()]


def test_every_verb_that_is_listed_is_there() -> None:
    for name, verb in VERBS.items():
        assert verb.command(name).name == name
        assert verb.command(name).help, f"{name} says nothing of itself"
