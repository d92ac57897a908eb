"""Journals for crews: every backend, and Redis with several hash tags, where parent and child live apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.conftest import TAGGED, fresh_journal


@pytest.fixture(params=["memory", *TAGGED])
def tagged_journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal, of each backend in turn."""
    backend, mark, option = request.param.partition("&")
    return f"{fresh_journal(backend, request)}{mark}{option}"


@pytest.fixture(params=TAGGED)
def fresh_tagged(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes the URL of a fresh journal at each call, of each backend in turn."""
    backend, mark, option = request.param.partition("&")
    numbers = itertools.count()

    def fresh() -> str:
        url: str = fresh_journal(backend, request)
        return f"{url.replace('journal.db', f'{next(numbers)}.db')}{mark}{option}"

    return fresh
