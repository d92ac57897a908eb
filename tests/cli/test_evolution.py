"""The verbs of change: lock, check beside locks, migrate-runs, audit patches; runs that nobody takes."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from continuum_core import Client, Worker
from continuum_core.cli.apps import load
from continuum_core.taking import taken
from tests.cli.conftest import Command
from tests.evolution.orders import Note, Order1, Order2, Order3

APP = "tests.evolution.orders"

HEAD = """
from attrs import frozen
from continuum_core import Machine, event, patched, root

@event
class Go:
    pass

@frozen
class Ctx:
    n: int = 0
"""
BODY = """
class {cls}(Machine[Ctx, int, int], name="dock", version={version}):
    s = root(Ctx)
    {states}

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> int:
        return c.n
"""
ONE = ("a = s.state(initial=True)", "b = s.final()", "a.on(Go, b)")
MORE = ("a = s.state(initial=True)", "more = s.state()", "b = s.final()", "a.on(Go, more)", "more.on(Go, b)")
RENAMED = ("first = s.state(initial=True)", "b = s.final()", "first.on(Go, b)")
UPGRADED = (*RENAMED, 's.upgrade(1, {"a": first})')

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write((1, ONE), (2, MORE))` puts versions of a machine into a module of another name each time."""
    folder = tmp_path / "docking"
    folder.mkdir()
    count = 0

    def written(*versions: tuple[int, tuple[str, ...]]) -> str:
        nonlocal count
        count += 1
        bodies = [
            BODY.format(cls=f"Dock{version}", version=version, states="\n    ".join(states))
            for version, states in versions
        ]
        # The locks lie beside the code, whatever its module is called.
        (folder / f"docks{count}.py").write_text(HEAD + "".join(bodies))
        (folder / "__init__.py").touch()
        return f"docking.docks{count}"

    return written


@pytest.fixture(autouse=True)
def _unknown_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's package of this name is not this test's."""
    for name in [each for each in sys.modules if each == "docking" or each.startswith("docking.")]:
        monkeypatch.delitem(sys.modules, name)


def standings(continuum: Command, module: str, *options: str) -> tuple[int, dict[int, str]]:
    done = continuum("check", module, "--json", *options)
    found = [line for line in done.jsons() if line["code"] == "lock"]
    return done.code, {line["locked_version"]: line["standing"] for line in found}


def test_a_lock_is_written_once_and_says_the_same_for_the_same_machine(
    continuum: Command, write: Write, tmp_path: Path
) -> None:
    module = write((1, ONE))
    assert continuum("lock", module).out == "dock version 1: dock.v1.lock.json written\n"
    text = (tmp_path / "docking" / "dock.v1.lock.json").read_text()
    told = json.loads(text)
    assert (told["machine"], told["version"], told["lock"]) == ("dock", 1, 1)
    assert continuum("lock", module).out == "dock version 1: dock.v1.lock.json is up to date\n"
    assert (tmp_path / "docking" / "dock.v1.lock.json").read_text() == text


def test_every_standing(continuum: Command, write: Write, tmp_path: Path) -> None:
    continuum("lock", write((1, ONE)))
    assert standings(continuum, write((1, ONE)), "--locked") == (0, {1: "same"})
    assert standings(continuum, write((1, MORE))) == (0, {1: "adopted"})
    assert standings(continuum, write((1, MORE)), "--locked") == (1, {1: "adopted"})
    assert standings(continuum, write((2, MORE))) == (0, {2: "unlocked", 1: "adopted"})
    assert standings(continuum, write((2, MORE)), "--locked") == (1, {2: "unlocked", 1: "adopted"})
    assert standings(continuum, write((1, RENAMED))) == (1, {1: "breaking"})
    assert standings(continuum, write((2, RENAMED))) == (1, {2: "unlocked", 1: "needs-upgrade"})
    assert standings(continuum, write((2, UPGRADED))) == (0, {2: "unlocked", 1: "upgraded"})
    assert standings(continuum, write((1, ONE), (2, RENAMED))) == (0, {2: "unlocked", 1: "kept"})
    path = tmp_path / "docking" / "dock.v1.lock.json"
    path.write_text(path.read_text().replace('"path": "a"', '"path": "x"'))
    assert standings(continuum, write((2, MORE))) == (1, {2: "unlocked", 1: "unreadable"})


def test_check_says_what_stands_in_the_way_and_what_to_do(continuum: Command, write: Write) -> None:
    continuum("lock", write((1, ONE)))
    done = continuum("check", write((2, RENAMED)))
    assert "error: dock version 1: needs an upgrade" in done.out
    assert "  - state a: it is gone\n  declare upgrade(1, ...), or keep the code" in done.out


def test_a_locked_version_is_not_overwritten_by_what_breaks_it(
    continuum: Command, write: Write, tmp_path: Path
) -> None:
    continuum("lock", write((1, ONE)))
    path = tmp_path / "docking" / "dock.v1.lock.json"
    before = path.read_text()
    refused = continuum("lock", write((1, RENAMED)))
    assert (refused.code, path.read_text()) == (1, before)
    assert "give it version=2, with upgrade(1, ...)" in refused.err
    assert continuum("lock", write((1, MORE))).code == 0
    assert path.read_text() != before
    assert continuum("lock", write((1, RENAMED)), "--force").code == 0


# --- runs --------------------------------------------------------------------------------------------


@pytest.fixture
def runs(url: str) -> str:
    """Two runs of version 1 that wait for their cards, and what they need lies in the journal."""

    async def started() -> None:
        async with Worker(url, [Order1], poll=0.1) as worker:
            for label in ("o-1", "o-2"):
                run = await worker.client.start(Order1, label, key=label)
                while (await run.view()).states != ("working.awaiting_card",):
                    await asyncio.sleep(0.01)

    asyncio.run(started())
    return url


def test_a_dry_run_shows_what_would_become_of_each_run_and_writes_nothing(
    continuum: Command, runs: str
) -> None:
    done = continuum("migrate-runs", "--dry-run", "--app", f"{APP}:Order2", "--json")
    assert done.code == 0
    told = {line["key"]: line for line in done.jsons()}
    assert set(told) == {"o-1", "o-2"}
    one = told["o-1"]
    assert (one["fate"], one["from"], one["to"]) == ("moves", 1, 2)
    assert (one["states"], one["states_after"]) == (["working.awaiting_card"], ["working.paying"])
    assert one["asked"] == {}, "its timer goes on"
    assert continuum("show", "evolving/o-1", "--json").json()["states"] == ["working.awaiting_card"]


def test_off_a_terminal_a_fate_is_a_line_with_its_remedy_below(
    continuum: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    assert continuum("start", "dock", "--input", "1", "--app", write((1, ONE))).code == 0
    renamed = write((2, RENAMED))
    done = continuum("migrate-runs", "--dry-run", "--app", renamed)
    head, row, *notes = done.out.splitlines()
    assert head.split() == ["run", "fate", "version", "states"]
    assert re.fullmatch(r"dock [0-9a-f-]{36}  left +1 → - +a", row)
    assert notes == [
        "  state a: it is gone",
        "  declare upgrade(1, ...), or keep the code of version 1 beside it",
    ]
    told = continuum("migrate-runs", "--dry-run", "--app", renamed, "--json").json()
    assert (told["why"], told["remedy"]) == (notes[0].strip(), notes[1].strip())
    upgraded = continuum("migrate-runs", "--dry-run", "--app", write((2, UPGRADED)))
    [_, row] = upgraded.out.splitlines()
    assert re.fullmatch(r"dock [0-9a-f-]{36}  moves +1 → 2 +a → first", row)


def test_a_run_that_has_not_begun_holds_nothing_but_its_input_and_is_begun_by_the_newer_code(
    continuum: Command, write: Write
) -> None:
    first, renamed = write((1, ONE)), write((2, RENAMED))
    assert continuum("start", "dock", "--input", "1", "--key", "known", "--app", first).code == 0
    for key in ("k", "rests", "later"):
        after = ("--after", "1h") if key == "later" else ()
        assert continuum("start", "dock", "--input", "1", "--key", key, *after).code == 0  # by name: no code
    continuum("suspend", "dock/rests")
    for order in ("suspend", "resume"):
        continuum(order, "dock/k")
    dry = continuum("migrate-runs", "--dry-run", "--app", renamed, "--json")
    told = {line["key"]: line for line in dry.jsons()}
    assert {key: line["fate"] for key, line in told.items()} == {
        "known": "left",
        "k": "begins",
        "rests": "left",
        "later": "left",
    }
    assert (told["k"]["states"], told["k"]["states_after"], told["k"]["why"]) == ([], ["first"], None)
    assert told["rests"]["why"] == "it has not begun; once it is resumed it can be begun here"
    assert told["later"]["why"].startswith("it has not begun, and is to begin later")
    assert continuum("migrate-runs", "--app", renamed, "--query", "key = k").out == "1 moved\n"
    shown = continuum("show", "dock/k", "--json").json()
    assert (shown["states"], shown["context"]) == (["first"], {"n": 1})
    assert continuum("send", "dock/k", "Go", "--app", renamed).code == 0


def test_an_input_that_the_newer_code_refuses_is_told(
    continuum: Command, write: Write, tmp_path: Path
) -> None:
    first, renamed = write((1, ONE)), write((2, RENAMED))
    assert continuum("start", "dock", "--input", "1", "--key", "known", "--app", first).code == 0
    assert continuum("start", "dock", "--input", "1", "--key", "k").code == 0
    file = tmp_path / "docking" / f"{renamed.partition('.')[2]}.py"
    file.write_text(file.read_text().replace("Machine[Ctx, int, int]", "Machine[Ctx, str, int]"))
    file.write_text(file.read_text().replace("(i: int)", "(i: str)").replace("Ctx(i)", "Ctx(len(i))"))
    done = continuum("migrate-runs", "--dry-run", "--app", renamed, "--json", "--query", "key = k").json()
    assert done["fate"] == "fails"


def test_runs_are_moved_at_once_and_stay_moved(continuum: Command, runs: str) -> None:
    assert continuum("migrate-runs", "--app", f"{APP}:Order2").out == "2 moved\n"
    shown = continuum("show", "evolving/o-1", "--json").json()
    assert (shown["states"], shown["context"]["cents"]) == (["working.paying"], 0)
    assert [each["state"] for each in shown["waiting"]] == ["working.paying"]
    again = continuum("migrate-runs", "--app", f"{APP}:Order2")
    assert (again.out, again.err) == ("0 moved\n", "2 current\n")
    history = continuum("history", "evolving/o-1", "--json").jsons()
    assert history[-1]["kind"] == "migration"


def test_a_query_chooses_whom_to_move_and_whom_to_ask(continuum: Command, runs: str) -> None:
    chosen = ("--app", f"{APP}:Order3", "--query", 'key = "o-2"')
    dry = continuum("migrate-runs", *chosen, "--dry-run", "--json")
    assert [each["key"] for each in dry.jsons()] == ["o-2"]
    assert continuum("migrate-runs", *chosen).out == "1 moved\n"
    assert continuum("show", "evolving/o-1", "--json").json()["states"] == ["working.awaiting_card"]
    used = continuum("audit", "patches", *chosen, "--json").json()
    assert (used["unasked"], used["removable"]) == (1, None), "others may go the old way"
    words = continuum("audit", "patches", *chosen).out
    assert words.startswith("evolving: greeting: of 1 live runs that the query finds 0 go the new way")
    refused = continuum("migrate-runs", "--app", f"{APP}:Order3", "--query", "no query")
    assert refused.code == 1


def test_one_that_cannot_be_moved_keeps_all_from_it_unless_it_is_left_out(
    continuum: Command, runs: str
) -> None:
    broken = "tests.evolution.test_upgrades:Broken2"
    done = continuum("migrate-runs", "--app", broken, "--json")
    assert done.code == 1
    assert {line["fate"] for line in done.jsons()} == {"fails"}
    assert "KeyError: 'price'" in done.jsons()[0]["why"]
    assert "nothing was written" in done.err
    assert continuum("migrate-runs", "--app", broken, "--skip").code == 1
    assert continuum("show", "evolving/o-1", "--json").json()["version"] == 2


def test_a_context_that_is_refused_is_told_though_its_definition_is_the_same(
    continuum: Command, write: Write, url: str, tmp_path: Path
) -> None:
    """A validator is no part of a type's shape: nothing but reading the context tells."""
    first = write((1, ONE))
    for n in (1, -1):
        assert continuum("start", "dock", "--key", f"k{n}", "--input", str(n), "--app", first).code == 0
    asyncio.run(_begun(url, first))
    stricter = write((1, ONE))
    file = tmp_path / "docking" / f"{stricter.partition('.')[2]}.py"
    ge = "n: int = field(default=0, validator=ge(0))"
    head = "from attrs import field\nfrom attrs.validators import ge\n"
    file.write_text(head + file.read_text().replace("n: int = 0", ge))
    done = continuum("migrate-runs", "--dry-run", "--app", stricter, "--json")
    assert {line["key"]: line["fate"] for line in done.jsons()} == {"k1": "current", "k-1": "fails"}
    assert done.code == 1
    assert "must be >= 0" in continuum("migrate-runs", "--app", stricter).out


async def _begun(url: str, app: str) -> None:
    """Let the runs of an app take their first turns."""
    async with Worker(url, load([app]), poll=0.1) as worker:
        for key in ("k1", "k-1"):
            while (await worker.client.get("dock", key).view()).states != ("a",):
                await asyncio.sleep(0.01)


def test_a_run_that_no_live_worker_takes_is_marked_at_once(continuum: Command, runs: str) -> None:
    async def with_worker(machine: object) -> dict[str, bool]:
        async with Worker(runs, [machine], poll=0.2) as worker:  # type: ignore[list-item]
            while not await _announced(worker):
                await asyncio.sleep(0.01)
            listed = await asyncio.to_thread(continuum, "list", "--json")
            return {line["key"]: line["unclaimable"] for line in listed.jsons()}

    assert asyncio.run(with_worker(Order2)) == {"o-1": False, "o-2": False}, "it upgrades them"


async def _announced(worker: Worker) -> bool:
    takes = worker.registry.takes()
    return await taken(worker.client.journal, takes) == takes


def test_what_it_waits_for_is_said(continuum: Command, url: str) -> None:
    async def started() -> None:
        async with Client(url, [Order3]) as client:
            await client.start(Order3, "alone", key="alone")

    asyncio.run(started())
    line = continuum("list", "--json").json()
    assert line["unclaimable"] is True
    table = continuum("list").out
    assert "unclaimable" in table
    assert "waits for a worker that takes" in " ".join(table.split())
    shown = continuum("show", "evolving/alone").out
    assert "unclaimable: waits for a worker that takes evolving version 3 (definition " in shown


def test_patches_are_in_use_until_no_run_needs_the_old_way(continuum: Command, runs: str) -> None:
    continuum("migrate-runs", "--app", f"{APP}:Order3")
    used = continuum("audit", "patches", "--app", f"{APP}:Order3", "--json").json()
    assert (used["patch"], used["new"], used["old"], used["unasked"]) == ("greeting", 0, 0, 2)
    assert used["removable"] is False
    for key in ("o-1", "o-2"):
        continuum("terminate", f"evolving/{key}", "--yes")

    async def started() -> None:
        async with Client(runs, [Order3]) as client:
            run = await client.start(Order3, "new", key="new")
            await run.send(Note("n"))

    asyncio.run(started())
    words = continuum("audit", "patches", "--app", f"{APP}:Order3").out
    assert words == (
        "evolving: greeting: safe to remove, old way and all: every one of 1 live runs goes the new way\n"
    )
