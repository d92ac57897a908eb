"""What is printed where no terminal is, one rule for queries, and names that nothing has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from continuum_core import Client
from tests.cli.conftest import Command

APP = ("--app", "tests.query.machines")
WANTED = json.dumps({"total": "50", "size": "small"})
RUN = r"purchase [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def unnamed(continuum: Command) -> None:
    """A run without a key, so that its id is its name. No worker is alive."""
    assert continuum("start", "purchase", "--input", WANTED, *APP).code == 0


def test_off_a_terminal_a_run_is_a_line(
    continuum: Command, unnamed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    head, row, reason = continuum("list").out.splitlines()
    assert head.index("status") == row.index("running") > len("purchase ") + 36
    assert re.fullmatch(rf"{RUN}  running +open\.choosing +[0-9.]+s ago", row)
    assert re.fullmatch(r"  unclaimable: waits for a worker that takes purchase version 1 .*\)", reason)


def test_on_a_narrow_screen_an_id_stands_whole(continuum: Command, unnamed: None) -> None:
    _, name, row, reason = continuum("list").out.splitlines()
    assert re.fullmatch(RUN, name)
    assert row.split()[:2] == ["running", "open.choosing"]
    assert len(row) <= 80
    assert reason.startswith("  unclaimable: ")


def test_what_is_not_an_id_is_folded_on_a_screen_alone(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ("start", "purchase", "--key", "long", "--input", WANTED, *APP)
    assert continuum(*start).code == 0
    words = "because the customer asked for it and nobody knew what else to do with her order"
    continuum("suspend", "purchase/long", "--why", words)
    narrow = continuum("history", "purchase/long").out
    monkeypatch.delenv("COLUMNS")
    wide = continuum("history", "purchase/long").out
    assert words in wide
    assert words not in narrow
    assert max(map(len, narrow.splitlines())) <= 80


# --- one rule for queries ----------------------------------------------------------------------------


def test_a_query_may_be_spelt_as_elsewhere(continuum: Command, unnamed: None) -> None:
    for words in (("total = 50",), ("--query", "total = 50"), ("-q", "total = 50")):
        assert continuum("count", *words).out == "1\n"
        assert len(continuum("list", *words, "--json").jsons()) == 1
    sent = continuum("broadcast", "Pay", "-q", "total = 50", "--key", "b", "--json")
    assert sent.json()["sent"] == 1
    assert continuum("broadcast", "total = 50", "Pay", "--key", "b", "--json").json()["repeated"] == 1


@pytest.mark.parametrize(
    "typed",
    [
        ("list", "total = 1", "--query", "total = 2"),
        ("count", "total = 1", "--query", "total = 2"),
        ("broadcast", "total = 1", "Pay", "--query", "total = 2", "--key", "b"),
        ("broadcast", "Pay", "--key", "b"),
        ("broadcast", "total = 1", "Pay", "more", "--key", "b"),
    ],
    ids=str,
)
def test_a_query_is_given_once(continuum: Command, typed: tuple[str, ...]) -> None:
    assert continuum(*typed).code == 2


# --- names that are nobody's -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            ("list", "-m", "purchse"),
            "no machine 'purchse' ever ran in this journal; did you mean 'purchase'?",
        ),
        (
            ("list", "machine in (purchase, order)"),
            "no machine 'order' ever ran in this journal; known machines: purchase",
        ),
        (
            ("count", "not (total = 1 or state = chosing)"),
            "no machine that is found by its states has a state 'chosing'; did you mean 'choosing'?",
        ),
        (
            ("broadcast", "state != cart", "Pay", "--key", "b"),
            "no machine that is found by its states has a state 'cart'",
        ),
        (
            ("replay", "--query", "machine = purchas", *APP),
            "no machine 'purchas' ever ran in this journal; did you mean 'purchase'?",
        ),
        (
            ("migrate-runs", "--query", "machine = purchas", *APP),
            "no machine 'purchas' ever ran in this journal; did you mean 'purchase'?",
        ),
    ],
    ids=str,
)
def test_a_name_that_is_nobodys_is_warned_of(
    continuum: Command, unnamed: None, typed: tuple[str, ...], told: str
) -> None:
    plain, as_json = continuum(*typed), continuum(*typed, "--json")
    assert f"warning: {told}\n" in plain.err
    assert {"warning": told} in [json.loads(line) for line in as_json.err.splitlines() if line[0] == "{"]
    assert "warning" not in plain.out + as_json.out


@pytest.mark.parametrize(
    "typed",
    [("list", "-m", "purchase"), ("count", "machine = purchase and state = choosing and size = nothing")],
    ids=str,
)
def test_a_known_name_is_not(continuum: Command, unnamed: None, typed: tuple[str, ...]) -> None:
    assert "warning" not in continuum(*typed).err


# --- a question, a lineage ---------------------------------------------------------------------------


def test_a_question_that_nobody_took_in_time_is_no_fault_of_the_asker(continuum: Command) -> None:
    app = ("--app", "tests.runtime.talks")
    assert continuum("start", "shop", "--key", "d", "--input", "3", *app).code == 0
    done = continuum(
        "ask", "shop/d", "Quote", "--data", '{"count": 1}', "--timeout", "10ms", "--id", "q1", *app
    )
    assert done.code == 5
    assert done.err.rstrip().endswith("ask again with --id q1 for the same reply")
    told = continuum("ask", "shop/d", "Quote", "--data", '{"count": 1}', "--timeout", "10ms", "--json", *app)
    error = json.loads(told.err)["error"]
    assert (told.code, error["type"]) == (5, "AskTimeout")
    assert "--id" in error["message"]


def test_a_question_is_waited_for_without_saying_how_long(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[Any] = []

    async def answer(self: Client, *given: Any, timeout: float | None = None, **named: Any) -> str:
        waited.append(timeout)
        return "7"

    monkeypatch.setattr(Client, "ask", answer)
    app = ("--app", "tests.runtime.talks")
    assert continuum("start", "shop", "--key", "d", "--input", "3", *app).code == 0
    assert continuum("ask", "shop/d", "Quote", "--data", '{"count": 1}', *app).out == '"7"\n'
    assert waited == [30.0]


def test_a_lineage_is_drawn_as_a_digraph(continuum: Command, unnamed: None) -> None:
    assert continuum("start", "purchase", "--key", 'a"b', "--input", WANTED, *APP).code == 0
    assert continuum("fork", 'purchase/a"b', "--at", "1", "--key", "f").code == 0
    drawn = continuum("graph", "purchase/f", "-f", "dot").out
    assert drawn.startswith("digraph lineage {\n")
    assert '  r0 [label="purchase/a\\"b\\l' in drawn
    assert '  r0 -> r1 [label="fork at 1"];\n' in drawn
    assert drawn.count("penwidth=3") == 1
    assert continuum("graph", "purchase/f", "-o", "family.gv").code == 0
