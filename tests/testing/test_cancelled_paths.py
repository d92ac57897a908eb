"""Test paths of machines that say what a cancel does, and of those with a deadline."""

from __future__ import annotations

import pytest

from continuum_core.testing import Engine, Path, explore
from tests.limits.machines import Partial, Tidy
from tests.runtime.sagas import Booking


def test_a_cancel_is_a_move_where_a_state_says_what_it_does() -> None:
    found = explore(Tidy)
    ways = [str(path) for path in found.edges()]
    assert "start > 1 h > cancel" in ways, (
        "the deadline takes the edge of a cancel, and then comes another one"
    )
    assert not found.gaps
    assert not any("cancel" in str(path) for path in explore(Partial).edges())


def test_what_is_taken_back_after_a_cancel_is_on_the_ways() -> None:
    pairs = [str(path) for path in explore(Booking).pairs()]
    assert any("cancel" in way for way in pairs)


@pytest.mark.parametrize("path", [*explore(Tidy).edges(), *explore(Partial).edges()], ids=str)
async def test_an_engine_walks_them_too(path: Path) -> None:
    async with Engine([path.machine]) as engine:
        await path.run(engine)
