"""Bugs that are planted on purpose must be found: each within a thousand seeds, most within twenty."""

from __future__ import annotations

import pytest

from continuum_core.testing.simulation import PLANTED, planted, run_seed, shrink

_SEEDS = 1_000

# What a broken engine does by itself is found; a plant that no longer fits the code would only raise these.
_UNFIT = ("TypeError", "AttributeError", "NameError")


_FOUND = {
    "failures_are_believed": 175,
    "fused_turns_overtake": 50,
    "interrupted_deeds": 80,
    "no_fence_check": 500,
    "orders_keep_the_fence": 115,
    "stale_results": 25,
}
"""Where to begin to look for bugs that take a rare meeting; the long tests begin at the first schedule."""


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_planted_bug_is_caught(name: str) -> None:
    _caught(name, _FOUND.get(name, 0))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(_FOUND))
def test_planted_bug_is_caught_from_the_first_schedule_on(name: str) -> None:
    _caught(name, 0)


def _caught(name: str, first: int) -> None:
    with planted(name):
        for seed in range(first, first + _SEEDS):
            violations = run_seed(seed).violations
            if violations:
                assert not any(word in violation for violation in violations for word in _UNFIT), violations
                return
    pytest.fail(f"{name} survived {_SEEDS} schedules")


def test_what_is_planted_is_mended() -> None:
    with planted("no_fence_check"):
        pass
    assert run_seed(3).violations == ()


def test_a_failing_schedule_is_shrunk_to_what_it_needs() -> None:
    with planted("no_dedupe"):
        report = next(r for r in map(run_seed, range(_SEEDS)) if r.violations and len(r.mishaps) > 5)
        small = shrink(report)
    assert small.violations
    assert len(small.mishaps) < len(report.mishaps)
    assert len(small.actions) <= len(report.actions)
    assert small.trace
