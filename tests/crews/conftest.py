"""Journals for crews: every backend, and Redis with several hash tags, where parent and child live apart."""

from __future__ import annotations

import pytest

from tests.conftest import fresh_journal


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis", "redis&tags=4"])
def tagged_journal(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal, of each backend in turn."""
    backend, mark, option = request.param.partition("&")
    return f"{fresh_journal(backend, request)}{mark}{option}"
