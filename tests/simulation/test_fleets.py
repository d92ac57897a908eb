"""Schedules of runs that have child runs: whatever fails, families stay whole."""

from __future__ import annotations

import pytest

from continuum_core.testing.simulation.schedule import run_fleets

_LONG = 3_000
_CHUNK = 100


def _violations(first: int, count: int) -> list[str]:
    found: list[str] = []
    for seed in range(first, first + count):
        found += [f"seed {seed}: {violation}" for violation in run_fleets(seed).violations]
    return found


def test_no_invariant_of_families_breaks() -> None:
    assert _violations(0, 60) == []


@pytest.mark.long
@pytest.mark.parametrize("first", range(60, _LONG, _CHUNK))
def test_no_invariant_of_families_breaks_in_many_more(first: int) -> None:
    assert _violations(first, _CHUNK) == []
