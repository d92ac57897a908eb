"""The kit's tests, every one of them, on the backends that keep what they are given.

They are taken from the kit's own files, so that the suite's workers share them out one by one. That the
kit can fail, and that memory passes it as users run it, is shown in `test_kit`. Parity compares the same
few examples each time, fewer than the kit's own; ``--journal-examples`` asks for more.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from uuid import uuid4

import pytest

from continuum_core.testing import conformance
from continuum_core.testing.conformance import test_p22_parity
from continuum_core.testing.conformance.kit import Kit

EXAMPLES = 15
PROMISES = sorted(path.stem for path in Path(conformance.__file__).parent.glob("test_p*.py"))


def kits_tests() -> dict[str, FunctionType]:
    """Every test of the kit, by a name that begins with its promise's."""
    found: dict[str, FunctionType] = {}
    for promise in PROMISES:
        module = importlib.import_module(f"{conformance.__name__}.{promise}")
        for name, test in vars(module).items():
            if name.startswith("test_") and isinstance(test, FunctionType):
                told = f"{promise[:8]}_{name.removeprefix('test_')}"
                assert told not in found, f"two tests are called {told}: one would hide the other"
                found[told] = test
    return found


globals().update(kits_tests())


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def kit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    """The test's hand on its store: a file of its own, or namespaces of its own in one schema."""
    monkeypatch.setattr(test_p22_parity, "_EXAMPLES", EXAMPLES)
    if request.param == "sqlite":
        template = f"sqlite:///{request.getfixturevalue('tmp_path')}/%s.db"
    elif request.param == "postgres":
        template = f"{request.getfixturevalue('postgres_database')}?schema=%s"
    else:
        template = f"{request.getfixturevalue('redis_server')}?prefix=%s"
    kit = Kit(template % "kit", f"kit-{uuid4().hex}", lambda: template % f"kit_{uuid4().hex[:12]}")
    try:
        yield kit
    finally:
        kit.end()


def test_every_promise_has_its_tests() -> None:
    numbers = sorted({promise[:8] for promise in PROMISES})
    assert numbers == [f"test_p{number:02}" for number in range(1, 24)]
    assert {name[:8] for name in kits_tests()} == {promise[:8] for promise in PROMISES}
