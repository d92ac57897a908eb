"""What all tests share: coroutine tests, and a fresh journal of every backend that is embedded."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path
from uuid import uuid4

import pytest

# No test depends on what else is installed on this machine.
os.environ.setdefault("CONTINUUM_PLUGINS", "")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    with asyncio.Runner() as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh journal, of each embedded backend in turn."""
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def shared_journal(tmp_path: Path) -> str:
    """The URL of a fresh journal that several processes may open."""
    return f"sqlite:///{tmp_path}/journal.db"
