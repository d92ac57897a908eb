"""Fixtures of the conformance kit, and how its coroutine tests are run without a plugin for them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuum_core.errors import IncompatibleJournal, UnknownBackend
from continuum_core.journal.connect import connect
from continuum_core.testing.conformance.given import new_id
from continuum_core.testing.pytest_plugin import asked_url
from continuum_core.testing.verdicts import PROMISE, TOLD

pytest.register_assert_rewrite(
    "continuum_core.testing.conformance.kit", "continuum_core.testing.conformance.run_rules"
)

from continuum_core.testing.conformance.kit import Kit  # noqa: E402 (after its asserts are rewritten)

_HERE = Path(__file__).parent
_PROMISE = re.compile(r"test_p(\d\d)_")


@pytest.fixture
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str] | None:
    """Gives URLs of stores that nobody has opened, where the option has ``{fresh}`` or ``{tmp}``."""
    template = asked_url(request.config)
    if "{fresh}" not in template and "{tmp}" not in template:
        return None

    def another() -> str:
        name = new_id().hex
        folder = tmp_path / name
        folder.mkdir()
        return template.replace("{fresh}", name).replace("{tmp}", str(folder))

    return another


@pytest.fixture
def journal_url(request: pytest.FixtureRequest, unopened: Callable[[], str] | None) -> str:
    """The URL of the store under test; a store of this test's own where there can be one."""
    return asked_url(request.config) if unopened is None else unopened()


@pytest.fixture
def kit(journal_url: str, unopened: Callable[[], str] | None) -> Iterator[Kit]:
    """The test's hand on its store."""
    kit = Kit(journal_url, f"kit-{new_id().hex}", unopened)
    try:
        yield kit
    finally:
        kit.end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note on each of the kit's tests the number of its promise, for the last word of the run.

    Raises UsageError for a journal that no backend understands: that is no promise which somebody broke.
    """
    for item in items:
        if item.path.parent == _HERE and (found := _PROMISE.match(item.path.name)):
            item.user_properties.append((PROMISE, int(found[1])))
    if any(item.path.parent == _HERE for item in items):
        _check_url(asked_url(config))


def _check_url(template: str) -> None:
    url = template.replace("{fresh}", new_id().hex).replace("{tmp}", "/tmp")
    try:
        connect(url)
    except (UnknownBackend, IncompatibleJournal) as error:
        raise pytest.UsageError(f"--journal {template}: {error}") from error


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests on the loop of their `kit`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in wanted}
    kit: Kit = arguments["kit"]
    try:
        kit.run(pyfuncitem.obj(**arguments))
    finally:
        if kit.told is not None:
            pyfuncitem.user_properties.append((TOLD, [kit.told.durability, kit.told.schema]))
    return True
