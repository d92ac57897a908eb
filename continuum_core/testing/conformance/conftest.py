"""Fixtures of the conformance kit, and how its coroutine tests are run without a plugin for them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from continuum_core.testing.conformance.given import new_id

pytest.register_assert_rewrite(
    "continuum_core.testing.conformance.kit", "continuum_core.testing.conformance.machine"
)

from continuum_core.testing.conformance.kit import Kit  # noqa: E402 (after its asserts are rewritten)

_HERE = Path(__file__).parent
_PROMISE = re.compile(r"test_p(\d\d)_")


@pytest.fixture
def journal_url(request: pytest.FixtureRequest) -> str:
    """The URL of the store under test; a store of this test's own where the option has ``{fresh}``."""
    url = str(request.config.getoption("--journal"))
    return url.replace("{fresh}", new_id().hex)


@pytest.fixture
def kit(journal_url: str) -> Iterator[Kit]:
    """The test's hand on its store."""
    kit = Kit(journal_url, f"kit-{new_id().hex}")
    try:
        yield kit
    finally:
        kit.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note on each of the kit's tests the number of its promise, for the last word of the run."""
    for item in items:
        if item.path.parent == _HERE and (found := _PROMISE.match(item.path.name)):
            item.user_properties.append(("continuum_promise", int(found[1])))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests on the loop of their `kit`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in wanted}
    kit: Kit = arguments["kit"]
    kit.run(pyfuncitem.obj(**arguments))
    return True
