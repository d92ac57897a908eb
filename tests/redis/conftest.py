"""Journals on a real Redis: one private server a worker, namespaces a test."""

from __future__ import annotations

from uuid import uuid4

import pytest


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a journal; a test takes namespaces of its own in it."""
    return redis_server


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex}"
