"""On memory all of it; on other journals by default what crosses the port, the rest with the long tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.conftest import fresh_journal

REAL = ("sqlite", "postgres", "redis")


@pytest.fixture(params=["memory", *(pytest.param(each, marks=pytest.mark.long) for each in REAL)])
def journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal."""
    return fresh_journal(request.param, request)


@pytest.fixture(params=REAL)
def real_journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal, of each backend that stores something."""
    return fresh_journal(request.param, request)


@pytest.fixture(params=REAL)
def fresh_real(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes the URL of a fresh journal at each call, of each backend that stores something."""
    numbers = itertools.count()
    return lambda: fresh_journal(request.param, request).replace("journal.db", f"{next(numbers)}.db")
