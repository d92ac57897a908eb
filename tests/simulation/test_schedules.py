"""Thousands of schedules, each from one seed, none of which may break an invariant.

A failure names its seed; ``python -m continuum_core.testing.simulation --seeds 1 --from SEED`` runs it again,
shrinks it and prints every call.
"""

from __future__ import annotations

import os

import pytest

from continuum_core.testing.simulation import run_seed

_CHUNK = 100
_ALWAYS = 400
_FIRST = int(os.environ.get("CONTINUUM_FIRST_SEED", "0"))
_LONG = int(os.environ.get("CONTINUUM_SCHEDULES", "20000"))


def _violations(first: int) -> list[str]:
    found: list[str] = []
    for seed in range(first, first + _CHUNK):
        found += [f"seed {seed}: {violation}" for violation in run_seed(seed).violations]
    return found


@pytest.mark.parametrize("first", range(0, _ALWAYS, _CHUNK))
def test_no_invariant_breaks(first: int) -> None:
    assert _violations(first) == []


@pytest.mark.long
@pytest.mark.parametrize("first", range(_FIRST, _FIRST + _LONG, _CHUNK))
def test_no_invariant_breaks_in_many_more(first: int) -> None:
    assert _violations(first) == []


def test_faults_do_happen() -> None:
    """A simulator in which nothing goes wrong would pass everything."""
    reports = [run_seed(seed) for seed in range(60)]
    kinds = {mishap.fault.kind for report in reports for mishap in report.mishaps.values()}
    assert len(kinds) == 9
    assert sum(report.deaths for report in reports) > 20
    assert any(mishap.freeze for report in reports for mishap in report.mishaps.values())
    assert sum(not report.mishaps for report in reports) < 20
