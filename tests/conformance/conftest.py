"""Strangers' backends for the tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.strange import Install, installer


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one backend: `install(scheme, source)` gives its names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return installer(tmp_path)
