"""Workers of several releases on runs of all of them: nothing is lost, nothing runs under other logic."""

from __future__ import annotations

import pytest

from continuum_core.testing.simulation import ROLLING_PLANTED, planted, run_rolling

_CHUNK = 50
_SEEDS = 400


def _violations(first: int, count: int) -> list[str]:
    return [f"seed {s}: {what}" for s in range(first, first + count) for what in run_rolling(s).violations]


@pytest.mark.parametrize("first", range(0, 100, _CHUNK))
def test_no_invariant_breaks(first: int) -> None:
    assert _violations(first, _CHUNK) == []


@pytest.mark.long
@pytest.mark.parametrize("first", range(100, 10_000, 10 * _CHUNK))
def test_no_invariant_breaks_in_many_more(first: int) -> None:
    assert _violations(first, 10 * _CHUNK) == []


_FOUND = {"deferred_over_a_migration": 80, "old_entries_stay_open": 80}
"""Where to begin to look for bugs that take a rare meeting."""


@pytest.mark.parametrize("name", sorted(ROLLING_PLANTED))
def test_a_planted_bug_is_caught(name: str) -> None:
    first = _FOUND.get(name, 0)
    with planted(name):
        for seed in range(first, first + _SEEDS):
            if run_rolling(seed).violations:
                return
    pytest.fail(f"{name} survived {_SEEDS} schedules")
