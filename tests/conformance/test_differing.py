"""An author whose journal answers otherwise than the reference is told in which member."""

from __future__ import annotations

from typing import Any

import pytest

from continuum_core.testing.conformance.differing import check_alike, differing


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        (
            {"": "Claims", "runs": [{"tries": 1}]},
            {"": "Claims", "runs": [{"tries": 2}]},
            "runs[0].tries: {} 1{} 2",
        ),
        ({"reached": None, "now": 7}, {"reached": 7, "now": 7}, "reached: {} None{} 7"),
        ([1, 2], [1], "[1]: {} 2{} nothing"),
        ([], [3], "[0]: {} nothing{} 3"),
        (
            {"": "Claims"},
            {"": "Page", "runs": []},
            "the answer: {} {{'': 'Claims'}}{} {{'': 'Page', 'runs': []}}",
        ),
        (None, [], "the answer: {} None{} []"),
    ],
)
def test_the_place_is_named_with_both_values(mine: Any, theirs: Any, told: str) -> None:
    assert differing(mine, theirs) == "  " + told.format("the reference has", ", this journal")


def test_what_is_alike_says_nothing() -> None:
    both = {"runs": [{"id": 1}, {"id": 2}]}
    assert differing(both, {"runs": [{"id": 1}, {"id": 2}]}) == ""
    check_alike(both, both, "answers")


def test_many_places_are_counted() -> None:
    told = differing(list(range(20)), list(range(1, 21))).splitlines()
    assert told[0] == "  [0]: the reference has 0, this journal 1"
    assert told[-1] == "  and 8 places more"
    assert len(told) == 13


def test_a_difference_fails_with_the_places_alone() -> None:
    with pytest.raises(AssertionError) as caught:
        check_alike({"now": 1, "runs": [0] * 99}, {"now": 2, "runs": [0] * 99}, "answers")
    assert str(caught.value) == (
        "answers differ from the reference's:\n  now: the reference has 1, this journal 2"
    )
