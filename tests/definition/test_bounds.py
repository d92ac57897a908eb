"""Names and lengths of time that not every journal holds: refused where they are declared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import DefinitionError, Limits, Queue, Retry, UsageError, activity
from continuum_core.texts import LONGEST_NAME, LONGEST_WAIT

CENTURIES = timedelta(days=365 * 300)


def declared(**policy: Any) -> None:
    async def water(name: str) -> str:
        return name

    activity(**policy)(water)


def test_the_longest_names_are_declared() -> None:
    longest = "é" * (LONGEST_NAME // 2)
    declared(name=longest, queue=longest)
    declared(queue=Queue(longest))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"name": "x" * 801}, "its name has 801 bytes in UTF-8; a journal holds 800"),
        ({"name": "a\0"}, "its name contains NUL"),
        ({"queue": "x" * 801}, "of a queue has 801 bytes"),
        ({"queue": "\ud800"}, "of a queue contains half of a surrogate pair"),
        ({"queue": Queue("a\0")}, "of a queue contains NUL"),
        ({"timeout": CENTURIES}, "is too long to be reckoned with"),
        ({"heartbeat": CENTURIES}, "is too long to be reckoned with"),
    ],
)
def test_what_not_every_journal_holds_is_a_fault_of_the_declaration(policy: Any, told: str) -> None:
    with pytest.raises(DefinitionError, match="C409") as caught:
        declared(**policy)
    assert told in str(caught.value)


def test_no_delay_between_attempts_is_longer_than_a_journal_reckons() -> None:
    assert Retry(attempts=None, first=CENTURIES, cap=timedelta.max).delay(3, 0.0) == LONGEST_WAIT


@pytest.mark.parametrize("window", ["dedupe_window", "result_window", "loss_backoff"])
def test_a_window_that_no_journal_reckons_with(window: str) -> None:
    given: dict[str, Any] = {window: CENTURIES}
    with pytest.raises(UsageError, match=f"{window}=.*a hundred years at most"):
        Limits(**given)
