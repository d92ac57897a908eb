"""The verbs that travel in time, on a SQLite file: what they print, and what they refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Command
from tests.cli.test_runs import APP, start
from tests.cli.work import work_until_over


@pytest.fixture
def paid(continuum: Command, url: str) -> str:
    """An order that was paid and charged: start, Paid, done charge."""
    run = start(continuum, "o-1")
    assert continuum("send", "order/o-1", "Paid", "--data", '{"amount": 7}', *APP).code == 0
    work_until_over(url, "o-1")
    return run


# --- show --at -----------------------------------------------------------------------------------------


def test_show_tells_what_was(continuum: Command, paid: str) -> None:
    then = continuum("show", "order/o-1", "--at", "1", "--json").json()
    assert (then["version"], then["states"], then["status"]) == (1, ["waiting"], "running")
    [timer] = then["timers"]
    assert timer["state"] == "waiting"
    text = continuum("show", "order/o-1", "--at", "2", *APP).out
    assert "order/o-1  running at record 2 of 3" in text
    assert re.search(r"● charging\b", text)
    assert re.search(r"charge of charging  since 20", text)
    assert continuum("show", "order/o-1", "--at", then["at"], "--json").json() == then
    over = continuum("show", "order/o-1", "--at", "2100-01-01", "--json").json()
    assert over["outcome"]["value"] == "ch-o-1"


def test_show_refuses_points_that_are_none(continuum: Command, paid: str) -> None:
    done = continuum("show", "order/o-1", "--at", "yesterday")
    assert (done.code, "neither a record's number nor a time" in done.err) == (2, True)
    done = continuum("show", "order/o-1", "--at", "9")
    assert (done.code, "has no record 9; it has records 1 to 3" in done.err) == (1, True)


# --- fork ----------------------------------------------------------------------------------------------


def test_fork_with_another_context(continuum: Command, paid: str, url: str) -> None:
    done = continuum(
        "fork", "order/o-1", "--at", "1", "--key", "o-2", "--set", 'order.order_id="o-9"', *APP, "--json"
    )
    assert done.code == 0, done.err
    fork = done.json()
    assert (fork["from"], fork["version"], fork["reset"]) == ("order/o-1", 1, False)
    continuum("send", "order/o-2", "Paid", "--data", '{"amount": 7}')
    work_until_over(url, "o-2")
    view = continuum("show", fork["run"], "--json").json()
    assert view["outcome"]["value"] == "ch-o-9"
    assert (view["parent"], view["root"]) == (paid, paid)
    assert "forked from order/o-1 at record 1" in continuum("show", fork["run"]).out
    [only] = continuum("list", "--parent", "order/o-1", "--json").jsons()
    assert only["run"] == fork["run"]


def test_fork_without_code_and_with_a_whole_context(continuum: Command, paid: str) -> None:
    whole = json.dumps({"order": {"order_id": "o-7", "total": 1}, "charge": "", "reason": ""})
    fork = continuum("fork", paid, "--at", "1", "--ctx", whole, "--json").json()["run"]
    assert continuum("show", fork, "--json").json()["version"] == 0, "a worker begins it"
    done = continuum("fork", paid, "--at", "1")
    assert re.search(rf"{paid} forked at record 1 as run [0-9a-f-]{{36}}\n", done.out)


def test_reset_ends_the_original(continuum: Command) -> None:
    start(continuum, "o-1")
    done = continuum(
        "fork", "order/o-1", "--at", "1", "--reset", "--key", "o-2", "--why", "wrong", "--newest", *APP
    )
    assert "and terminated" in done.out
    text = continuum("show", "order/o-1").out
    assert "terminated: wrong; reset to record 1: it goes on as run" in text
    assert continuum("show", "order/o-2", "--json").json()["states"] == ["waiting"]


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--at", "3"), 1, "was completed by record 3"),
        (("--at", "1", "--set", "charge"), 2, "is not FIELD=JSON"),
        (("--at", "1", "--set", "charge=x"), 1, "is not JSON"),
        (("--at", "1", "--set", "charge.x=1"), 1, "has no object there"),
        (("--at", "1", "--set", "charge=1"), 1, "charge"),
        (("--at", "1", "--set", "charge=1", "--ctx", "{}"), 2, "not both"),
    ],
)
def test_fork_refuses(continuum: Command, paid: str, options: tuple[str, ...], code: int, told: str) -> None:
    done = continuum("fork", "order/o-1", *options, *APP)
    assert done.code == code, done.err
    assert told in " ".join(done.err.split())


# --- blame ---------------------------------------------------------------------------------------------


def test_blame(continuum: Command, paid: str) -> None:
    [change] = continuum("blame", "order/o-1", "charge", "--json").jsons()
    assert (change["version"], change["event"]) == (3, "done charge")
    assert (change["before"], change["after"]) == ("", "ch-o-1")
    first = continuum("blame", "order/o-1", "charge", "--all", "--json").jsons()[-1]
    assert (first["version"], first["after"], "before" in first) == (1, "", False)
    done = continuum("blame", "order/o-1", "charge")
    assert re.search(r'\n3 .*done charge +"ch-o-1"\n +was ""', done.out), done.out
    assert "changed 2 times: --all shows each" in done.err
    done = continuum("blame", "order/o-1", "charg")
    assert (done.code, "never had a field 'charg'; it has: charge, order, reason" in done.err) == (1, True)


def test_blame_through_a_fork(continuum: Command, paid: str) -> None:
    fork = continuum("fork", paid, "--at", "2", *APP, "--json").json()["run"]
    [change] = continuum("blame", fork, "order.total", "--json").jsons()
    assert (change["run"], change["version"]) == (paid, 1)


# --- why -----------------------------------------------------------------------------------------------


def test_why_back_and_forward(continuum: Command, paid: str) -> None:
    fork = continuum("fork", paid, "--at", "2", "--key", "o-2", *APP, "--json").json()["run"]
    links = continuum("why", "order/o-2:1", "--json").jsons()
    assert [(link["name"], link["version"], link["how"]) for link in links] == [
        ("order/o-2", 1, "fork"),
        ("order/o-1", 2, "client"),
    ]
    assert links[0]["by"] == {"run": paid, "version": 2}
    text = continuum("why", "order/o-1").out
    assert re.fullmatch(
        r"order/o-1:3  \S+ \S+  done charge\n  ↑ an activity that was asked for by\n"
        r"  order/o-1:2  \S+ \S+  Paid\n    ↑ from a client\n",
        text,
    ), text
    forward = continuum("why", f"{paid}:2", "--forward", "--json").jsons()
    assert [(link["run"], link["version"], link["depth"]) for link in forward] == [
        (paid, 2, 0),
        (paid, 3, 1),
        (fork, 1, 1),
    ]
    done = continuum("why", f"{paid}:2", "--forward", "--limit", "1")
    assert len(done.out.splitlines()) == 1
    assert "there is more" in done.err
    assert continuum("why", "order/o-1:9").code == 1


def test_why_an_operator(continuum: Command) -> None:
    start(continuum, "o-1")
    continuum("suspend", "order/o-1", "--who", "ann")
    assert "↑ ordered by ann" in continuum("why", "order/o-1").out


# --- graph ---------------------------------------------------------------------------------------------


def test_graph_in_every_form(continuum: Command, paid: str, tmp_path: Path) -> None:
    continuum("fork", paid, "--at", "2", "--key", "o-2", *APP)
    continuum("fork", "order/o-2", "--at", "1", "--key", 'x"]; <b>', *APP)
    text = continuum("graph", "order/o-2").out
    lines = text.splitlines()
    assert lines[0] == "order/o-1  records 1–3, completed, in done"
    assert re.fullmatch(r"└─ fork at 2: ● order/o-2  records 1–1, running, in charging", lines[1])
    assert lines[2].startswith('   └─ fork at 1: order/x"]; <b>  ')
    mermaid = continuum("graph", "order/o-2", "--format", "mermaid").out
    assert mermaid.startswith("flowchart TD\n")
    assert '-->|"fork at 2"| r1' in mermaid
    assert "<b>" not in mermaid
    assert '"]; ' not in mermaid
    file = tmp_path / "graph.svg"
    assert continuum("graph", "order/o-2", "--output", str(file)).code == 0
    drawn = ElementTree.fromstring(file.read_text(encoding="utf-8"))
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"order/o-1", "order/o-2", 'order/x"]; <b>', "fork at 2", "fork at 1"} <= set(words)
    facts = continuum("graph", "order/o-2", "--json").json()
    assert [each["name"] for each in facts["stretches"]] == ["order/o-1", "order/o-2", 'order/x"]; <b>']
    assert facts["ties"][0] == {"from": 0, "to": 1, "kind": "fork", "version": 2}


# --- replay --------------------------------------------------------------------------------------------

OTHER = """
from attrs import evolve
from tests.cli.shop import Ctx, Order as Old, Paid, PlaceOrder, Refused, charge, covers
from datetime import timedelta
from continuum_core.definition.declare import Machine, root


class Order(Machine[Ctx, PlaceOrder, str], name="order", version=2):
    s = root(Ctx)
    waiting = s.state(initial=True)
    charging = s.state()
    done = s.final()
    refused = s.final(ok=False)
    expired = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.charge

    @staticmethod
    def verdict(c: Ctx) -> str:
        return c.reason

    waiting.on(Paid, charging, when=covers)
    waiting.on(Refused, refused, assign=lambda c, e: evolve(c, reason=e.reason))
    waiting.after(timedelta(minutes=30), expired)
    charging.invoke(
        charge, lambda c: c.order, done=done, assign=lambda c, out: evolve(c, charge=out.upper()),
        error={Exception: expired},
    )
"""


def test_replay_agrees(continuum: Command, paid: str) -> None:
    start(continuum, "o-2")
    done = continuum("replay", "order/o-1", *APP)
    assert (done.code, done.out) == (0, "1 of 1 runs folded, 3 records: 0 drifted\n")
    done = continuum("replay", "--machine", "order", *APP, "--json")
    assert {each["name"]: each["drift"] for each in done.jsons()} == {"order/o-1": None, "order/o-2": None}
    assert "1 of 1 runs" in continuum("replay", "--status", "completed", *APP).out


def test_replay_against_other_code_shows_both_sides(continuum: Command, paid: str, tmp_path: Path) -> None:
    start(continuum, "o-2")
    (tmp_path / "other_order.py").write_text(OTHER)
    done = continuum("replay", "--all", "--against", "other_order:Order")
    assert done.code == 1
    assert re.search(r"order/o-1 drifted at record 3, event done charge\n  the context\n", done.out), done.out
    assert '    recorded  {"charge":"ch-o-1",' in done.out
    assert '    computed  {"charge":"CH-O-1",' in done.out
    assert "2 of 2 runs folded, 4 records: 1 drifted" in done.out
    against = ("--against", "other_order:Order", "--query")
    asked = continuum("replay", *against, 'machine in ("order", "x") sort by started desc')
    assert "2 of 2 runs folded" in asked.out, asked.err
    assert continuum("replay", *against, "status =").err.splitlines()[1] == "    status ="


def test_replay_of_runs_whose_code_is_not_here(continuum: Command, paid: str) -> None:
    app = ("--app", "tests.definition.machines:Order")
    done = continuum("replay", "order/o-1", *app)
    assert (done.code, "no code here takes definition" in done.err) == (3, True)
    done = continuum("replay", "--all", *app)
    assert (done.code, done.out) == (0, "0 of 1 runs folded, 0 records: 0 drifted\n")


def test_replay_wants_code_and_runs(continuum: Command, paid: str) -> None:
    assert "--app MODULE, or --against" in continuum("replay", "order/o-1").err
    assert "--machine, --status, --query or --all" in " ".join(continuum("replay", *APP).err.split())


def test_replay_in_several_processes_finds_the_same(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("continuum_core.cli.replays._BATCH", 3)
    for number in range(8):
        start(continuum, f"o-{number}")
    alone = continuum("replay", "--all", *APP, "--json", "--jobs", "1").jsons()
    shared = continuum("replay", "--all", *APP, "--json", "--jobs", "2").jsons()
    assert len(alone) == 8
    assert sorted(shared, key=str) == sorted(alone, key=str)
