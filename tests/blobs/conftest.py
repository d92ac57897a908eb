"""Fresh journals of every backend, as many as a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import fresh_journal


@pytest.fixture
def fresh_on(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """`fresh_on("redis&tags=4")` is the URL of a journal that nobody opened before."""

    def url(on: str) -> str:
        backend, mark, option = on.partition("&")
        if backend == "memory":
            return f"memory://{uuid4().hex[:12]}"
        made: str = fresh_journal(backend, request)
        return f"{made.replace('journal.db', f'{uuid4().hex[:12]}.db')}{mark}{option}"

    return url
