"""The verbs about runs, on a SQLite file, with the JSON that programs read and the text that people do."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from uuid import UUID

import pytest

from continuum_core.journal.commit import TaskWant
from continuum_core.journal.connect import connect
from continuum_core.journal.records import RunStatus
from tests.cli.conftest import Command
from tests.cli.work import work_until, work_until_over

APP = ("--app", "tests.cli.shop")
HOSTILE = "x\r\nerror: forged\x1b[31m\u202e\x9b"


def start(continuum: Command, key: str, total: int = 5, order_id: str | None = None) -> str:
    order = json.dumps({"order_id": order_id or key, "total": total})
    done = continuum("start", "order", "--key", key, "--input", order, *APP, "--json")
    assert done.code == 0, done.err
    return str(done.json()["run"])


def test_a_run_from_start_to_end(continuum: Command, url: str) -> None:
    run = start(continuum, "o-1")
    assert start(continuum, "o-1") == run
    assert continuum("send", "order/o-1", "Paid", "--data", '{"amount": 5}', "--dedupe", "p-1").code == 0
    work_until_over(url, "o-1")
    shown = continuum("show", run, "--json").json()
    assert (shown["status"], shown["states"], shown["key"]) == ("completed", ["done"], "o-1")
    assert shown["outcome"] == {"kind": "completed", "state": "done", "value": "ch-o-1"}
    assert shown["waiting"] == shown["activities"] == shown["dead_letters"] == []


def test_history_as_json_lines(continuum: Command, url: str) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": 7}')
    work_until_over(url, "o-1")
    steps = continuum("history", "order/o-1", *APP, "--json").jsons()
    assert [(step["version"], step["event"], step["states"]) for step in steps] == [
        (1, "start", ["waiting"]),
        (2, "Paid", ["charging"]),
        (3, "done charge", ["done"]),
    ]
    assert steps[1]["data"] == {"amount": 7}
    assert steps[1]["edges"] == ["waiting ─Paid [covers]→ charging"]
    assert steps[2]["changed"] == {"charge": "ch-o-1"}


def test_history_as_a_table_fits_eighty_columns(continuum: Command, url: str) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": 7}')
    work_until_over(url, "o-1")
    done = continuum("history", "order/o-1", *APP, "--full")
    assert max(len(line) for line in done.out.splitlines()) <= 80
    words = " ".join(done.out.split())
    assert "waiting ─Paid" in words
    assert "now in charging" in words
    assert 'charge = "ch-o-1"' in words


def test_show_draws_the_machine_with_its_active_state_marked(continuum: Command) -> None:
    start(continuum, "o-1")
    for options in ((), APP):
        text = continuum("show", "order/o-1", *options).out
        assert re.search(r"● waiting\b", text), text
        assert re.search(r"○ charging\b", text)
        assert re.search(r"timer of waiting +29m 5\ds", text)
        assert '{"charge": "", "order": {"order_id": "o-1", "total": 5}, "reason": ""}' in text


def test_a_task_whose_lease_is_over_is_not_said_to_run(continuum: Command, url: str) -> None:
    order = '{"order_id": "o-1", "total": 5}'
    machine = ("--app", "tests.definition.machines:Order")
    continuum("start", "order", "--key", "o-1", "--input", order, *machine)

    async def lose() -> None:
        journal = connect(url)
        await journal.open()
        claim = UUID(int=1), [TaskWant("default", 1, frozenset({"reserve"}))], 1
        assert len((await journal.claim_tasks(*claim)).tasks) == 1
        await journal.close()

    asyncio.run(lose())
    assert re.search(r"\nreserve +1 +worker lost, waiting in\b", continuum("show", "order/o-1").out)
    [task] = continuum("show", "order/o-1", "--json").json()["activities"]
    assert (task["claimed"], task["leased_until"] is None) == (False, False)


def test_show_lists_what_is_to_be_done(continuum: Command) -> None:
    order = '{"order_id": "o-1", "total": 5}'
    continuum("start", "order", "--key", "o-1", "--input", order, "--app", "tests.definition.machines:Order")
    assert re.search(r"\nreserve +1 +next in default +-\n", continuum("show", "order/o-1").out)
    second = ("--key", "o-2", "--input", order, "--app", "tests.definition.machines:Order")
    continuum("start", "order", *second)
    assert re.search(r"\nreserve +1 +1 before it in default +-\n", continuum("show", "order/o-2").out)
    [after] = continuum("show", "order/o-2", "--json").json()["activities"]
    [task] = continuum("show", "order/o-1", "--json").json()["activities"]
    assert (task["place"], after["place"]) == (0, 1)
    assert (task["activity"], task["state"], task["attempt"], task["claimed"]) == (
        "reserve",
        "reserving",
        0,
        False,
    )


def test_show_lists_what_went_astray(continuum: Command) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": 5}')
    continuum("terminate", "order/o-1", "--yes", "--why", "a test")
    [letter] = continuum("show", "order/o-1", "--json").json()["dead_letters"]
    assert letter["event"] == "Paid"
    text = continuum("show", "order/o-1").out
    assert "terminated: a test" in text
    assert re.search(r"\nDead letters\n.*\nPaid ", text)


def test_show_tells_how_a_failed_run_ended(continuum: Command, url: str) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Refused", "--data", '{"reason": "too dear"}', *APP)
    work_until_over(url, "o-1")
    text = continuum("show", "order/o-1").out
    assert "order/o-1  failed" in text
    assert "failed in refused" in text
    assert "too dear" in text


def test_starting_a_known_machine_needs_no_code(continuum: Command) -> None:
    start(continuum, "o-1")
    order = '{"order_id": "o-2", "total": 1}'
    assert continuum("start", "order", "--key", "o-2", "--input", order, "--json").json()["states"] == []


def test_a_run_is_given_a_deadline_and_its_waiting_is_shown(continuum: Command) -> None:
    order = '{"order_id": "o-1", "total": 5}'
    told = continuum("start", "order", "-k", "o-1", "--input", order, "--deadline", "2h", *APP)
    assert told.code == 0, told.err
    assert "deadline" in continuum("show", "order/o-1").out
    [own] = [each for each in continuum("show", "order/o-1", "--json").json()["waiting"] if not each["state"]]
    assert own["event"] == "deadline"
    assert continuum("show", "order/o-1", "--at", "1", "--json").json()["deadline"] == own["due"]


def test_waiting_for_a_run_that_failed(continuum: Command, url: str) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Refused", "--data", '{"reason": "no"}')
    work_until_over(url, "o-1")
    again = ("start", "order", "--key", "o-1", "--input", '{"order_id": "o-1", "total": 5}', "--wait")
    told = continuum(*again)
    assert told.code == 4
    assert "failed in state 'refused'" in told.err
    as_json = continuum(*again, "--json")
    assert as_json.code == 4
    assert as_json.json()["outcome"]["value"] == "no"


def test_input_from_standard_input(
    continuum: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_text('{"order_id": "é", "total": 5}', encoding="utf-8")
    with (tmp_path / "in.json").open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        done = continuum("start", "order", "--input", "-", *APP, "--json")
    assert done.json()["context"]["order"]["order_id"] == "é"


# --- list --------------------------------------------------------------------------------------------


def test_list_pages_by_cursor(continuum: Command) -> None:
    for number in range(5):
        start(continuum, f"o-{number}")
    first = continuum("list", "--limit", "2", "--json")
    cursor = json.loads(first.err)["cursor"]
    rest = continuum("list", "--json", "--cursor", cursor)
    assert [run["key"] for run in first.jsons() + rest.jsons()] == ["o-4", "o-3", "o-2", "o-1", "o-0"]
    assert rest.err == ""


def test_list_filters(continuum: Command) -> None:
    start(continuum, "o-1")
    start(continuum, "o-2")
    continuum("suspend", "order/o-2", "--why", "a look")
    assert [run["key"] for run in continuum("list", "--status", "suspended", "--json").jsons()] == ["o-2"]
    assert continuum("list", "--machine", "other", "--json").jsons() == []
    assert len(continuum("list", "--since", "1h", "--all", "--json").jsons()) == 2
    assert continuum("list", "--since", "2999-01-01", "--json").jsons() == []


def test_list_as_a_table(continuum: Command) -> None:
    start(continuum, "o-1")
    none = continuum("list", "--status", "parked")
    assert (none.code, none.out) == (0, "")
    assert none.err.startswith("no such runs in namespace 'default' of sqlite:")
    head, row, *waits = continuum("list").out.splitlines()
    assert head.split() == ["run", "status", "states", "changed"]
    assert row.split()[:3] == ["order/o-1", "running", "waiting"]
    assert "unclaimable" in waits[0], "no worker is alive"


# --- orders ------------------------------------------------------------------------------------------


def test_orders_say_what_they_did(continuum: Command) -> None:
    start(continuum, "o-1")
    assert continuum("suspend", "order/o-1", "--why", "a look").out == "order/o-1: suspended\n"
    assert continuum("suspend", "order/o-1").out == "order/o-1: nothing to do, it is suspended\n"
    assert continuum("unpark", "order/o-1").out == "order/o-1: nothing to do, it is suspended\n"
    assert continuum("resume", "order/o-1").out == "order/o-1: resumed\n"
    assert continuum("cancel", "order/o-1").out == "order/o-1: asked to stop\n"
    assert continuum("terminate", "order/o-1", "--yes").out == "order/o-1: terminated\n"
    assert continuum("resume", "order/o-1").code == 1


def test_orders_are_signed_and_kept(continuum: Command) -> None:
    start(continuum, "o-1")
    continuum("suspend", "order/o-1", "--why", "a look")
    continuum("resume", "order/o-1", "--who", "bob")
    orders = continuum("history", "order/o-1", "--json").jsons()[1:]
    assert [(o["kind"], o["event"], o["who"], o["why"]) for o in orders] == [
        ("control", "suspend", "ada", "a look"),
        ("control", "resume", "bob", None),
    ]
    assert "by ada: a look" in continuum("history", "order/o-1").out


def test_an_order_as_json_tells_both_statuses(continuum: Command) -> None:
    start(continuum, "o-1")
    done = continuum("suspend", "order/o-1", "--json").json()
    assert (done["status_before"], done["status"]) == ("running", "suspended")


def test_a_parked_run_says_why_and_can_be_unparked(continuum: Command, url: str) -> None:
    start(continuum, "o-1")
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": -1}')
    work_until(url, "o-1", RunStatus.PARKED)
    text = continuum("show", "order/o-1").out
    assert "order/o-1  parked" in text
    assert "nobody pays less than nothing" in text
    assert re.search(r"Paid +held +poison", text)
    assert "nobody pays less than nothing" in " ".join(continuum("list", "--status", "parked").out.split())
    why = continuum("why", "order/o-1").out
    assert re.fullmatch(
        r"order/o-1:2  \S+ \S+  park\n  .*nobody pays less than nothing\n"
        r"  ↑ by the engine, on Paid from a client\n",
        why,
    ), why
    [link] = continuum("why", "order/o-1", "--json").jsons()
    [held] = continuum("show", "order/o-1", "--json").json()["waiting"][:1]
    assert (link["on"], held["event"], link["delivery"] is None) == ("Paid", "Paid", False)
    assert continuum("resume", "order/o-1").out.startswith("order/o-1: parked, not suspended")
    assert continuum("unpark", "order/o-1").out == "order/o-1: unparked\n"


def test_a_failed_run_says_what_failed(continuum: Command, url: str) -> None:
    """By its row where that tells, by its last record where it does not."""
    start(continuum, "o-1", -1)
    continuum("send", "order/o-1", "Paid", "--data", '{"amount": 0}')
    work_until_over(url, "o-1")
    said = "ValueError: nobody is charged less than nothing"
    assert f"\n  {said}\n" in continuum("list").out
    assert continuum("show", "order/o-1", "--json").json()["reason"] == said
    assert "nobody is charged less than nothing" in " ".join(continuum("history", "order/o-1").out.split())
    assert "\n  nobody is charged less than nothing\n" in continuum("why", "order/o-1").out
    for key, reason in (("o-2", "stolen card"), ("o-3", "")):
        start(continuum, key)
        continuum("send", f"order/{key}", "Refused", "--data", json.dumps({"reason": reason}))
    work_until_over(url, "o-2", "o-3")
    assert "\n  stolen card\n" in continuum("list").out
    assert "failed in refused: after Refused\n" in continuum("show", "order/o-3").out, "its row knows no more"
    assert "\n  after Refused\n" in continuum("list").out


# --- hostile text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [("show", *APP), ("show",), ("history", "--full"), ("list",)])
def test_what_users_wrote_cannot_drive_the_terminal(continuum: Command, verb: tuple[str, ...]) -> None:
    run = start(continuum, HOSTILE, order_id=HOSTILE)
    continuum("suspend", run, "--why", HOSTILE)
    name, *options = verb
    out = continuum(name, *options, *([run] if name != "list" else [])).out
    assert all(line.isprintable() for line in out.split("\n"))
    assert not any(line.startswith("error: forged") for line in out.splitlines())


def test_errors_cannot_be_forged_either(continuum: Command) -> None:
    err = continuum("show", f"order/{HOSTILE}").err
    assert all(line.isprintable() for line in err.split("\n"))
    assert [line[:6] for line in err.splitlines() if line.startswith("error:")] == ["error:"]


def test_json_is_ascii(continuum: Command) -> None:
    run = start(continuum, HOSTILE, order_id=HOSTILE)
    done = continuum("show", run, "--json")
    assert done.out.isascii()
    assert done.json()["key"] == HOSTILE
