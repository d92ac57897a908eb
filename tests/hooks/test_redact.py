"""Fields that are hidden from people: by name, and where a class marks them."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import pytest
from attrs import field, frozen

from continuum_core.cli import output
from continuum_core.cli.logs import JsonLines, RunIds, TextLines
from continuum_core.hooks import MachineFacts, PluginRefused, Plugins, Redactor, hookimpl
from continuum_core.hooks.redaction import redaction_of
from continuum_redact import HIDDEN, LogFilter, Redact
from continuum_redact.marks import marked_names
from continuum_redact.names import MASK, Names


@frozen
class Account:
    iban: str = field(metadata=HIDDEN)
    bank: str


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    birthday: str = dataclasses.field(metadata=HIDDEN)


@frozen
class Payment:
    account: Account | None
    people: tuple[Person, ...]
    amount: int


def test_values_are_hidden_by_name_at_every_depth() -> None:
    names = Names(["*card*", "password"])
    value = {"cardNumber": "4111", "items": [{"PASSWORD": {"a": 1}, "sku": "x"}], "cards": [1, 2], "n": None}
    assert names.data(value) == {
        "cardNumber": MASK,
        "items": [{"PASSWORD": MASK, "sku": "x"}],
        "cards": MASK,
        "n": None,
    }
    noted = {"note": "the password: 'x y' was wrong"}
    assert names.data(noted) == {"note": f"the password: '{MASK}' was wrong"}
    assert Names().data(value) is value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card=4111 is gone", f"card={MASK} is gone"),
        ("Payment(card='41 \\' 11', amount=3)", f"Payment(card='{MASK}', amount=3)"),
        ('{"card": "41\\"11", "n": 3}', f'{{"card": "{MASK}", "n": 3}}'),
        ('{"card": {"a": [1, "}"]}, "n": 3}', f'{{"card": {MASK}, "n": 3}}'),
        ("card: Card(number='4111', cvc=(1, 2)), n=3", f"card: {MASK}, n=3"),
        ('{\\"card\\": \\"4111\\"}', f'{{\\"card\\": {MASK}}}'),
        ("card: [1, 2", f"card: {MASK}"),
        ("card=", "card="),
        ("discard=1 my-card=2", "discard=1 my-card=2"),
        ("a card and no value", "a card and no value"),
        ("card=1 card=2", f"card={MASK} card={MASK}"),
    ],
)
def test_texts_are_hidden_behind_their_names(text: str, shown: str) -> None:
    names = Names(["card"])
    assert names.text(text) == shown
    assert names.text(shown) == shown, "what is hidden stays so"


@pytest.mark.parametrize("pattern", ["", "*", "?", "a b", "a.b", "(x)"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no pattern of names"):
        Redact([pattern])


def test_marked_fields_are_found_in_all_that_a_machine_carries() -> None:
    assert marked_names([Payment, int, None]) == {"iban", "birthday"}
    redact = Redact()
    redact.machine_registered(MachineFacts("shop", 1, "f", (), types=(Payment,)))
    value = Payment(Account("DE02", "Bank"), (Person("Ann", "1. 1."),), 3)
    [redactor] = redact.redactors()
    assert redactor.data(value) == {
        "account": {"iban": MASK, "bank": "Bank"},
        "people": [{"name": "Ann", "birthday": MASK}],
        "amount": 3,
    }
    assert redactor.text(repr(value)).count(MASK) == 2


@pytest.fixture
def hiding() -> Any:
    output.hide_with(redaction_of(Plugins(Redact(["card"]))))
    yield
    output.hide_with(None)


def test_the_command_line_and_its_log_hide(hiding: None, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"data": {"card": "4111"}, "cause": "card='4111'"})
    output.say("card=4111\nand card: 4111")
    rows = output.Rows([("a", 40)])
    rows.add([(output.safe("card=4111"),)])
    assert output.pretty({"card": "4111"}) == [json.dumps({"card": MASK})]
    try:
        raise ValueError("card=4111")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "%s", ("card=4111",), (type(error), error, None)
        )
    RunIds().filter(record)
    printed = capsys.readouterr().out + TextLines().format(record) + JsonLines().format(record)
    assert printed.count("4111") == 0
    assert printed.count(MASK) >= 8


def test_a_log_set_up_by_the_program_hides_with_a_filter() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "paid with %s", ("card=4111",), None)
    assert LogFilter(Redact(["card"])).filter(record)
    assert record.getMessage() == f"paid with card={MASK}"


def test_a_redactor_that_raises_hides_everything() -> None:
    class Broken:
        def data(self, value: Any) -> Any:
            raise RuntimeError("no luck")

        def text(self, text: str) -> str:
            raise RuntimeError("no luck")

    class Brings:
        @hookimpl
        def redactors(self) -> list[Redactor]:
            return [Broken()]

    plugins = Plugins(Brings())
    redaction = redaction_of(plugins)
    assert redaction is not None
    assert redaction.data({"card": 1}) == "(not shown: plugin Brings raised)"
    assert redaction.text("card") == "(not shown: plugin Brings raised)"
    assert plugins.failures == {("Brings", "redactors"): 2}

    class Raises:
        @hookimpl
        def redactors(self) -> list[Redactor]:
            raise ValueError("wrong pattern")

    with pytest.raises(PluginRefused, match="wrong pattern"):
        redaction_of(Plugins(Raises()))
    assert redaction_of(Plugins()) is None
