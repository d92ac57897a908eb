"""Bytes that nobody of this release wrote: every decoder says so with an error of ours, and never crashes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core.errors import PayloadRefused, UnknownVersion
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    decode_control,
    decode_event,
    decode_failure,
    decode_image,
    decode_outcome,
    decode_step,
    encode_cancel,
    encode_control,
    encode_image,
    encode_output,
    encode_signal,
    encode_start,
    encode_termination,
    peek_event,
)
from tests.mapper.machines import Dig, Home, Leave, after, entry_of

HOME = entry_of(Home)
GARDEN = after(HOME, Dig())
[TOKEN] = GARDEN.snapshot.tokens.values()


def _record(data: bytes) -> Record:
    return Record(UUID(int=1), 1, RecordKind.STEP, 0, UUID(int=2), UUID(int=3), data)


def _event(kind: DeliveryKind) -> Callable[[bytes], Any]:
    return lambda data: decode_event(HOME, GARDEN.snapshot, kind, data, TOKEN, 0)


DECODERS: dict[str, Callable[[bytes], Any]] = {
    "image": lambda data: decode_image(HOME, 1, data),
    "outcome": decode_outcome,
    "failure": decode_failure,
    "step": lambda data: decode_step(_record(data)),
    "control": lambda data: decode_control(_record(data)),
    "start": _event(DeliveryKind.START),
    "signal": _event(DeliveryKind.SIGNAL),
    "cancel": _event(DeliveryKind.CANCEL),
    "outcome of a task": _event(DeliveryKind.OUTCOME),
}
WRITTEN: dict[str, bytes] = {
    "image": encode_image(HOME, GARDEN),
    "outcome": encode_termination("why"),
    "control": encode_control("park", "engine", "why"),
    "start": encode_start(HOME, "ann"),
    "signal": encode_signal(HOME, Leave()),
    "outcome of a task": encode_output(b"7"),
    "cancel": encode_cancel("why"),
}

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["v", "states", "now", "context", "tokens", "history", "type", "data", "input", "kind"]
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=8,
)
GARBAGE = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())


@settings(max_examples=300, deadline=None)
@given(data=GARBAGE)
def test_garbage_is_refused_by_every_decoder(data: bytes) -> None:
    for decode in DECODERS.values():
        with contextlib.suppress(UnknownVersion, PayloadRefused):
            decode(data)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(WRITTEN)), at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_byte_is_refused_or_harmless(name: str, at: float, byte: int) -> None:
    data = bytearray(WRITTEN[name])
    data[int(at * len(data))] = byte
    with contextlib.suppress(UnknownVersion, PayloadRefused):
        DECODERS[name](bytes(data))


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(DeliveryKind), data=GARBAGE)
def test_looking_at_garbage_shows_something(kind: DeliveryKind, data: bytes) -> None:
    word, _ = peek_event(kind, data)
    assert isinstance(word, str)


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_format_of_a_later_release_is_refused_by_its_number(name: str) -> None:
    told = json.loads(WRITTEN[name])
    assert told["v"] == 1
    DECODERS[name](json.dumps(told).encode())
    with pytest.raises(UnknownVersion, match="has format 2; this release reads 1"):
        DECODERS[name](json.dumps({**told, "v": 2}).encode())


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_field_that_a_later_release_added_is_passed_over(name: str) -> None:
    told = json.loads(WRITTEN[name])
    assert DECODERS[name](json.dumps({**told, "later": [1]}).encode()) is not None


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_nesting_beyond_all_measure_is_refused(name: str) -> None:
    deep = b"[" * 100_000
    for data in (deep, b'{"v":1,"data":' + deep, b'{"v":1,"context":' + deep):
        with pytest.raises((UnknownVersion, PayloadRefused)):
            DECODERS[name](data)
