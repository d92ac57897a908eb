"""What people are told when they err. The texts are pinned whole: they are the interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

ORDER = '{"order_id": "o-1", "total": 5}'
APP = ("--app", "tests.cli.shop")


@pytest.fixture
def ordered(continuum: Command) -> str:
    """The id of order/o-1."""
    return str(continuum("start", "order", "--key", "o-1", "--input", ORDER, *APP, "--json").json()["run"])


def test_a_scheme_that_nobody_serves(continuum: Command) -> None:
    done = continuum("list", "--journal", "sqlit:///orders.db")
    assert done.code == 3
    assert done.err.startswith(
        "error: no installed backend serves 'sqlit' journals; did you mean 'sqlite'? ("
    )
    assert "installed: memory, " in done.err


def test_no_journal(continuum: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTINUUM_JOURNAL")
    done = continuum("list")
    assert done.code == 2
    assert "--journal sqlite:///orders.db" in " ".join(done.err.replace("│", " ").split())


def test_a_module_that_is_not_there(continuum: Command, tmp_path: Path) -> None:
    (tmp_path / "billing.py").write_text("")
    done = continuum("check", "biling")
    assert done.code == 1
    assert done.out == (
        f"error: no module 'biling' here, in {tmp_path}, or among what is installed\n"
        "  did you mean 'billing'?\n"
    )


def test_a_file_where_a_module_should_be_named(continuum: Command) -> None:
    done = continuum("draw", "shop/orders.py")
    assert (done.code, done.err) == (
        1,
        "error: 'shop/orders.py' is a file's name; name the module instead: shop.orders\n",
    )


def test_check_of_a_file_says_how_to_name_it(continuum: Command) -> None:
    done = continuum("check", "orders.py")
    assert (done.code, done.out) == (
        1,
        "error: 'orders.py' is a file's name; name the module instead: orders\n",
    )


def test_a_module_that_cannot_be_imported_shows_the_users_own_frames_only(
    continuum: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken_shop.py").write_text("import broken_prices\n")
    (tmp_path / "broken_prices.py").write_text("PRICE = 1\n\nTOTAL = PRICE * quantity\n")
    done = continuum("draw", "broken_shop")
    assert done.code == 1
    lines = done.err.splitlines()
    assert lines[0] == "error: module 'broken_shop' cannot be imported:"
    assert [line.strip() for line in lines if "File " in line] == [
        f'File "{tmp_path}/broken_shop.py", line 1, in <module>',
        f'File "{tmp_path}/broken_prices.py", line 3, in <module>',
    ]
    assert lines[-1] == "  NameError: name 'quantity' is not defined"
    assert "Traceback" not in done.err


def test_an_unknown_machine(continuum: Command, ordered: str) -> None:
    done = continuum("start", "odrer", "--input", ORDER)
    assert done.code == 1
    assert done.err == (
        "error: no machine 'odrer' here; known: order\n"
        "hint: did you mean 'order'?\n"
        "hint: a machine is known once a worker ran it on this journal; or give --app MODULE\n"
    )


def test_input_that_is_no_json(continuum: Command) -> None:
    done = continuum("start", "order", "--input", '{"order_id": "o-1", "total": }')
    assert done.code == 1
    assert done.err == (
        "error: --input is not JSON: Expecting value at line 1, column 30\n"
        '  {"order_id": "o-1", "total": }\n'
        "                               ^\n"
    )


def test_input_from_a_file_that_is_no_json_names_the_file(continuum: Command, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text('{\n  "order_id": "o-1"\n  "total": 5\n}\n')
    done = continuum("start", "order", "--input", "@order.json")
    assert done.code == 1
    assert done.err == (
        "error: --input (order.json) is not JSON: Expecting ',' delimiter at line 3, column 3\n"
        '    "total": 5\n'
        "    ^\n"
    )


def test_a_file_that_is_not_there(continuum: Command) -> None:
    done = continuum("start", "order", "--input", "@nowhere.json")
    assert (done.code, done.err) == (1, "error: --input @nowhere.json: No such file or directory\n")


def test_input_of_the_wrong_type_names_the_field(continuum: Command) -> None:
    done = continuum("start", "order", "--input", '{"order_id": "o-1", "total": "5"}', *APP)
    assert done.code == 1
    assert done.err.startswith("error: payload refused at $.total: ")


def test_no_input_where_some_is_needed(continuum: Command) -> None:
    done = continuum("start", "order", *APP)
    assert done.code == 1
    assert done.err.endswith("hint: no --input was given\n")


def test_an_unknown_event(continuum: Command, ordered: str) -> None:
    done = continuum("send", "order/o-1", "Payed")
    assert done.code == 1
    assert done.err == (
        "error: order has no edge for event Payed; it knows: Paid, Refused\nhint: did you mean 'Paid'?\n"
    )


def test_an_unknown_run(continuum: Command, ordered: str) -> None:
    done = continuum("show", "ordr/o-2")
    assert done.code == 1
    lines = done.err.splitlines()
    assert lines[0] == "error: no run ordr/o-2 in this namespace"
    assert lines[1] == "hint: no machine 'ordr' ever ran in this journal; did you mean 'order'?"
    assert lines[2].startswith("hint: this is namespace 'default' of the journal")


def test_a_run_of_another_namespace(continuum: Command, ordered: str) -> None:
    other = ("--namespace", "other")
    assert continuum("start", "order", "--key", "o-2", "--input", ORDER, *APP, *other).code == 0
    done = continuum("show", ordered, *other)
    assert done.code == 1
    assert done.err.endswith("hint: this is namespace 'other' of the journal\n")


def test_what_names_no_run(continuum: Command, ordered: str) -> None:
    done = continuum("cancel", "o-1")
    assert (done.code, done.err) == (
        1,
        "error: 'o-1' names no run; give its id, or MACHINE/KEY, such as order/o-1\n",
    )


def test_a_run_that_is_over(continuum: Command, ordered: str) -> None:
    assert continuum("terminate", "order/o-1", "--yes").code == 0
    done = continuum("send", "order/o-1", "Paid", "--data", '{"amount": 5}')
    assert done.code == 1
    assert done.err == (
        "error: run order/o-1 is over and takes no more events\n"
        "hint: `continuum show order/o-1` tells how it ended\n"
    )


def test_a_key_that_was_used_with_another_input(continuum: Command, ordered: str) -> None:
    done = continuum("start", "order", "--key", "o-1", "--input", '{"order_id": "o-1", "total": 6}')
    assert done.code == 1
    assert done.err == (
        f"error: order 'o-1' was already started with another input (run {ordered}); "
        "use another key, or send the run an event\n"
    )


def test_waiting_too_long_has_its_own_code(continuum: Command) -> None:
    done = continuum("start", "order", "--input", ORDER, *APP, "--timeout", "10ms")
    assert done.code == 5
    assert "has not ended within 0.01 s: no live worker takes" in done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("send", "order/o-1", "Paid", "--delay", "soon"), "'soon' is no length of time"),
        (("list", "--since", "yesterday"), "'yesterday' is no time"),
        (("worker", "--app", "tests.cli.shop", "--queue", "mail"), "'mail' should be NAME=N"),
        (("worker", "--app", "tests.cli.shop", "--queue", "mail=3"), "there are: default"),
        (("terminate", "order/o-1"), "add --yes"),
        (("worker",), "say which machines to run"),
        (("strat",), "start"),
    ],
)
def test_usage(continuum: Command, arguments: tuple[str, ...], sentence: str) -> None:
    done = continuum(*arguments)
    assert done.code == 2
    assert sentence in " ".join(done.err.replace("│", " ").split())


def test_errors_as_json(continuum: Command, ordered: str) -> None:
    done = continuum("send", "order/o-1", "Payed", "--json")
    assert done.code == 1
    assert done.out == ""
    assert json.loads(done.err) == {
        "error": {
            "type": "UnexpectedEvent",
            "message": "order has no edge for event Payed; it knows: Paid, Refused",
            "hints": ["did you mean 'Paid'?"],
        }
    }


def test_debug_shows_the_traceback_and_nothing_else_does(continuum: Command) -> None:
    assert "Traceback" not in continuum("show", "order/o-1").err
    assert "Traceback" in continuum("show", "order/o-1", "--debug").err
