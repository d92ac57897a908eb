"""Schedules of runs that have deadlines: whatever fails, each is over by itself."""

from __future__ import annotations

import pytest

from continuum_core.testing.simulation.planted import LATE_PLANTED, planted
from continuum_core.testing.simulation.schedule import run_late

_LONG = 2_000
_CHUNK = 100
_SEEDS = 300


def _violations(first: int, count: int) -> list[str]:
    found: list[str] = []
    for seed in range(first, first + count):
        found += [f"seed {seed}: {violation}" for violation in run_late(seed).violations]
    return found


def test_no_run_outlives_its_deadline() -> None:
    assert _violations(0, 25) == []


@pytest.mark.long
@pytest.mark.parametrize("first", range(25, _LONG, _CHUNK))
def test_no_run_outlives_its_deadline_in_many_more(first: int) -> None:
    assert _violations(first, _CHUNK) == []


@pytest.mark.parametrize("name", sorted(LATE_PLANTED))
def test_planted_bug_is_caught(name: str) -> None:
    with planted(name):
        assert any(run_late(seed).violations for seed in range(_SEEDS)), f"{name} survived {_SEEDS} schedules"
