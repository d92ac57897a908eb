"""Fresh journals of every backend, as many as a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

Fresh = Callable[[str], str]


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """`fresh("redis")` is the URL of a journal that nobody opened before."""

    def url(backend: str) -> str:
        name = uuid4().hex[:12]
        if backend == "memory":
            return f"memory://{name}"
        if backend == "sqlite":
            return f"sqlite:///{tmp_path}/{name}.db"
        if backend == "redis":
            return f"{request.getfixturevalue('redis_server')}?prefix=carriage_{name}"
        return f"{request.getfixturevalue('postgres_database')}?schema=carriage_{name}"

    return url
