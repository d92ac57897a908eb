"""Fresh journals of every backend, as many as a test asks for."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.conftest import fresh_journal

Fresh = Callable[[str], str]


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """`fresh("redis")` is the URL of a journal that nobody opened before."""

    numbers = itertools.count()

    def url(backend: str) -> str:
        return fresh_journal(backend, request).replace("journal.db", f"{next(numbers)}.db")

    return url
