"""What is handed in by name where the machine's code is not: checked against its stored definition."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from continuum_core import Machine, PayloadRefused, UnexpectedEvent, event, root
from continuum_core.codec import codec_for
from continuum_core.shape import check_event, check_input, parse_json
from tests.mapper.machines import entry_of


@frozen
class Parcel:
    weight: int
    label: str = ""


@event
class Packed:
    parcel: str
    by: str = "somebody"


@event
class Sealed:
    pass


class Packing(Machine[Parcel, Parcel, int], name="packing"):
    s = root(Parcel)
    open_ = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: Parcel) -> Parcel:
        return i

    @staticmethod
    def result(c: Parcel) -> int:
        return c.weight

    open_.on(Packed)
    open_.on(Sealed, done)


DEFINITION = entry_of(Packing).definition


def test_what_fits_becomes_json() -> None:
    assert check_input(DEFINITION, {"weight": 3}) == b'{"weight":3}'
    assert check_event(DEFINITION, "Packed", {"parcel": "p"}) == b'{"parcel":"p"}'
    assert check_event(DEFINITION, "Sealed", None) == b"{}", "an event without fields needs no data"


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        ({}, "$", "Parcel needs weight"),
        ({"weight": 3, "lable": "x"}, "$.lable", "no such field; did you mean 'label'?"),
        ({"weight": 3, "zzz": 1}, "$.zzz", "no such field; it has: weight, label"),
        (3, "$", "Parcel is an object with fields, not int"),
        ({"weight": float("nan")}, "$['weight']", "finite"),
        ({"weight": object()}, "$['weight']", "object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(value: Any, path: str, why: str) -> None:
    with pytest.raises(PayloadRefused) as caught:
        check_input(DEFINITION, value)
    assert caught.value.path == path
    assert why in caught.value.reason


def test_an_event_with_fields_needs_its_data() -> None:
    with pytest.raises(PayloadRefused, match="Packed needs parcel"):
        check_event(DEFINITION, "Packed", None)
    with pytest.raises(PayloadRefused, match="it has: none"):
        check_event(DEFINITION, "Sealed", {"x": 1})


def test_an_event_that_is_not_in_the_definition_is_told_with_those_that_are() -> None:
    with pytest.raises(UnexpectedEvent) as caught:
        check_event(DEFINITION, "Opened", {})
    assert caught.value.known == ("Packed", "Sealed")


def test_with_the_code_values_are_read_strictly() -> None:
    codec = codec_for(Parcel)
    assert parse_json(codec, {"weight": 3}) == Parcel(3)
    with pytest.raises(PayloadRefused, match="weight"):
        parse_json(codec, {"weight": "3"})
