"""Turns that cannot be written as they are: whatever is at fault parks the run, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from attrs import frozen
from msgspec.structs import replace

from continuum_core import Machine, Question, event, root
from continuum_core.due import Due
from continuum_core.errors import PayloadRefused
from continuum_core.journal.records import Delivery, DeliveryKind, Held, RecordKind, RunStatus
from continuum_core.mapper import (
    ASK,
    Image,
    encode_image,
    encode_signal,
    encode_start,
    ending,
    unborn,
)
from continuum_core.registry import Entry
from continuum_core.turn import Turn, take_turn
from tests.mapper.machines import NOW, RUN, entry_of, ids

TOO_LARGE = 2_000_000


@event
class Add:
    word: str


@event
class Stop:
    pass


@event
class Ask(Question[str]):
    size: int


class Odd(Exception):
    """An error whose text cannot be told."""

    def __str__(self) -> str:
        raise LookupError("no words")


@frozen
class Words:
    said: str = ""


def said(c: Words, e: Add) -> Words:
    if e.word == "half a pair":
        raise ValueError("\ud83d and \0")
    if e.word == "odd":
        raise Odd
    return Words(c.said + e.word)


def machine(word: str, limit: int = 5) -> Entry:
    class Tells(Machine[Words, int, str], name="tells"):
        s = root(Words)
        telling = s.state(initial=True)
        done = s.final()
        if word == "ephemeral":
            s.remember("ephemeral")
        s.attribute("said", str, lambda c: c.said)
        telling.on(Add, assign=said)
        telling.answer(Ask, lambda c, e: "x" * e.size, assign=lambda c, e: Words("asked"))
        telling.on(Stop, done)

        @staticmethod
        def init(i: int) -> Words:
            return Words()

        @staticmethod
        def result(c: Words) -> str:
            return "x" * TOO_LARGE if len(c.said) > limit else c.said

    return entry_of(Tells)


ALL, EPHEMERAL = machine("all"), machine("ephemeral")
BOTH = pytest.mark.parametrize("entry", [ALL, EPHEMERAL], ids=["all", "ephemeral"])


def signal(entry: Entry, number: int, event: Any) -> Delivery:
    made = Delivery(UUID(int=number), RUN, DeliveryKind.SIGNAL, encode_signal(entry, event))
    return replace(made, dedupe=f"{ASK}{number}") if isinstance(event, Ask) else made


def taken(entry: Entry, image: Image, deliveries: Sequence[Delivery], stored: bytes = b"") -> Turn:
    due = Due("default", RUN, 3, UUID(int=8), image, tuple(deliveries), NOW, stored=stored)
    return take_turn(entry, due, ids())


def begun(entry: Entry) -> Image:
    start = Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(entry, 0))
    return taken(entry, unborn(), [start]).image


def parked(made: Turn, poison: int, consumed: Sequence[int]) -> str:
    commit = made.commit
    assert commit.status is RunStatus.PARKED
    assert commit.hold == ((UUID(int=poison), Held.POISON),)
    assert [id_.int for id_ in commit.consumed] == list(consumed)
    assert commit.outcome is None
    assert commit.records[-1].kind is RecordKind.CONTROL
    assert json.loads(commit.records[-1].body)["why"] == commit.cause
    assert made.fault is not None
    return commit.cause


@BOTH
def test_an_outcome_that_cannot_be_stored_parks_on_what_ended_the_run(entry: Entry) -> None:
    deliveries = [signal(entry, n, e) for n, e in enumerate((Add("a"), Add("too long"), Stop()), 1)]
    made = taken(entry, begun(entry), deliveries)
    cause = parked(made, 3, [1, 2])
    assert cause.startswith("outcome cannot be stored: ")
    assert "2,000,002 bytes" in cause
    assert made.image.snapshot.context == Words("atoo long")


@BOTH
def test_an_outcome_that_can_be_stored_is_written_once_and_read_alike(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    real = ending

    def counted(*given: Any) -> bytes | None:
        nonlocal calls
        calls += 1
        return real(*given)

    image = begun(entry)
    monkeypatch.setattr("continuum_core.fold.ending", counted)
    commit = taken(entry, image, [signal(entry, 1, Stop())]).commit
    assert commit.status is RunStatus.COMPLETED
    assert calls == 1
    assert json.loads(commit.outcome or b"")["value"] == ""
    for record in commit.records:
        assert json.loads(record.body)["outcome"] == json.loads(commit.outcome or b"")


@BOTH
def test_a_turn_that_cannot_be_written_is_folded_one_delivery_at_a_time(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encode_image

    def fails(entry: Entry, image: Image) -> bytes:
        if "bad" in image.snapshot.context.said:
            raise PayloadRefused("$", "not this one")
        return real(entry, image)

    image = begun(entry)
    deliveries = [signal(entry, 1, Add("ok")), signal(entry, 2, Add("bad")), signal(entry, 3, Add("ok"))]
    stored = encode_image(entry, image)
    monkeypatch.setattr("continuum_core.fold.encode_image", fails)
    first = taken(entry, image, deliveries, stored)
    assert first.fault is None
    assert [id_.int for id_ in first.commit.consumed] == [1], "the others are due still"
    then = encode_image(entry, replace(first.image, context=b'{"said":"ok"}'))
    second = taken(entry, first.image, deliveries[1:], then)
    assert parked(second, 2, []) == "turn cannot be written: payload refused at $: not this one"
    assert second.commit.snapshot == then, "as the journal has it"
    assert second.commit.fingerprint == entry.fingerprint


@BOTH
def test_a_run_whose_first_turn_here_cannot_be_written_stays_in_the_definition_it_came_from(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> bytes:
        raise MemoryError

    image = begun(entry)
    monkeypatch.setattr("continuum_core.fold.encode_image", fails)
    due = Due("default", RUN, 3, UUID(int=8), image, (signal(entry, 1, Add("a")),), NOW, stored=b"{}")
    made = take_turn(entry, replace(due, former="older"), ids())
    assert made.commit.status is RunStatus.PARKED
    assert made.commit.fingerprint == "older"


@BOTH
def test_no_place_is_taken_for_a_task_of_a_turn_that_cannot_be_written(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> bytes:
        raise MemoryError

    def born(*_: Any) -> Any:
        raise AssertionError("a task was born")

    image = begun(entry)
    monkeypatch.setattr("continuum_core.fold.encode_image", fails)
    due = Due("default", RUN, 3, UUID(int=8), image, (signal(entry, 1, Add("a")),), NOW, stored=b"{}")
    assert parked(take_turn(entry, due, ids(), born), 1, []) == "turn cannot be written: MemoryError: "


@BOTH
@pytest.mark.parametrize(
    ("word", "told"), [("half a pair", r"ValueError: \ud83d and \x00"), ("odd", ": Odd")]
)
def test_an_error_whose_text_cannot_be_stored_parks_in_other_words(
    entry: Entry, word: str, told: str
) -> None:
    made = taken(entry, begun(entry), [signal(entry, 1, Add("a")), signal(entry, 2, Add(word))])
    assert told in parked(made, 2, [1])


def test_an_error_without_words_is_told_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> bytes:
        raise Odd

    image = begun(ALL)
    monkeypatch.setattr("continuum_core.fold.encode_image", fails)
    assert parked(taken(ALL, image, [signal(ALL, 1, Add("a"))]), 1, []) == "turn cannot be written: Odd"


@BOTH
def test_a_reply_that_cannot_be_stored_leaves_what_the_run_is_found_by(entry: Entry) -> None:
    made = taken(entry, begun(entry), [signal(entry, 1, Ask(TOO_LARGE))])
    assert parked(made, 1, []).startswith("reply cannot be stored: ")
    assert made.commit.attributes == (), "its step was rolled back"
    assert made.commit.replies == ()
