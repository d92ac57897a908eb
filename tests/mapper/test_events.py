"""Deliveries as events: what each kind says to a run."""

from __future__ import annotations

import pytest

from continuum_core import Failure
from continuum_core.errors import PayloadRefused, UnexpectedEvent, UnknownVersion
from continuum_core.interpreter.events import (
    Cancel,
    Event,
    Failed,
    Finished,
    Signal,
    Start,
    TimedOut,
    Undeclared,
)
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.records import DeliveryKind
from continuum_core.mapper import (
    Image,
    decode_event,
    decode_failure,
    encode_cancel,
    encode_failed,
    encode_failure,
    encode_output,
    encode_signal,
    encode_signal_raw,
    encode_start,
    peek_event,
)
from tests.mapper.machines import NOW, Dig, Home, Leave, after, entry_of
from tests.runtime.machines import Go

HOME = entry_of(Home)
GARDEN = after(HOME, Dig())
TOKEN = GARDEN.snapshot.tokens[HOME.numbers["home.garden"]]
FAILURE = Failure("m.Dry", "no water", ("Exception",), "Traceback …", {"litres": 0})


def decoded(
    kind: DeliveryKind, payload: bytes, token: int = 0, slot: int = 0, image: Image = GARDEN
) -> Event:
    return decode_event(HOME, image.snapshot, kind, payload, token, slot)


def test_each_kind_of_delivery() -> None:
    assert decoded(DeliveryKind.START, encode_start(HOME, "ann")) == Start("ann")
    assert decoded(DeliveryKind.SIGNAL, encode_signal(HOME, Leave("x"))) == Signal(Leave("x"))
    assert decoded(DeliveryKind.TIMER, b"", TOKEN) == TimedOut(TOKEN, 0)
    assert decoded(DeliveryKind.OUTCOME, encode_output(b"7"), TOKEN) == Finished(TOKEN, 0, 7)
    assert decoded(DeliveryKind.OUTCOME, encode_failed(FAILURE), TOKEN) == Failed(TOKEN, 0, FAILURE)
    assert decoded(DeliveryKind.CANCEL, encode_cancel("why not")) == Cancel("why not")


def test_a_failure_comes_back_as_it_was() -> None:
    assert decode_failure(encode_failure(FAILURE)) == FAILURE


def test_the_outcome_of_a_state_entry_that_is_over_is_stale_whatever_it_carries() -> None:
    event = decoded(DeliveryKind.OUTCOME, b"never looked at", TOKEN + 1)
    assert event == Finished(TOKEN + 1, 0, None)
    assert step(HOME.program, GARDEN.snapshot, event, NOW).disposition is Disposition.STALE


def test_the_outcome_of_an_activity_that_the_state_no_longer_has_is_not_guessed_at() -> None:
    with pytest.raises(UnknownVersion, match=r"home\.garden no longer has activity number 4"):
        decoded(DeliveryKind.OUTCOME, encode_output(b"7"), TOKEN, 4)


def test_an_output_of_another_type_is_refused() -> None:
    with pytest.raises(PayloadRefused, match="Expected `int`"):
        decoded(DeliveryKind.OUTCOME, encode_output(b'"seven"'), TOKEN)


def test_an_event_that_the_definition_never_mentions() -> None:
    with pytest.raises(UnexpectedEvent, match="Go"):
        encode_signal(HOME, Go())
    event = decoded(DeliveryKind.SIGNAL, encode_signal_raw("Odd", b'{"a":1}'))
    assert event == Undeclared("Odd")
    assert step(HOME.program, GARDEN.snapshot, event, NOW).disposition is Disposition.UNHANDLED


@pytest.mark.parametrize(
    ("kind", "payload", "word", "data"),
    [
        (DeliveryKind.START, encode_start(HOME, "ann"), "start", "ann"),
        (DeliveryKind.SIGNAL, encode_signal(HOME, Leave("x")), "Leave", {"word": "x"}),
        (DeliveryKind.TIMER, b"", "timer", None),
        (DeliveryKind.OUTCOME, encode_output(b"7", activity="water"), "done water", 7),
        (DeliveryKind.OUTCOME, encode_output(b"7", activity="water", tries=3), "done water (try 3)", 7),
        (DeliveryKind.CANCEL, encode_cancel("why not"), "cancel", "why not"),
    ],
)
def test_a_delivery_in_a_word_needs_no_code(
    kind: DeliveryKind, payload: bytes, word: str, data: object
) -> None:
    assert peek_event(kind, payload) == (word, data)


def test_a_failure_in_a_word() -> None:
    word, data = peek_event(DeliveryKind.OUTCOME, encode_failed(FAILURE, activity="water", losses=2))
    assert word == "failed water: Dry (2 lost)"
    assert data["message"] == "no water"
