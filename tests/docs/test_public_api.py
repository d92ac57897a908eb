"""The public API is one page, and the page is what the code has: a change of either is seen here."""

from __future__ import annotations

import difflib
import importlib
import os
import re

import pytest

from continuum_core.journal.protocol import MEANINGS, Capability
from tests.docs import public_api
from tests.docs.pages import ROOT
from tests.docs.public_api import PUBLIC, page, public_names

PAGE = ROOT / "docs" / "reference" / "public-api.md"


def difference(known: str, now: str) -> str:
    return "\n".join(
        difflib.unified_diff(known.splitlines(), now.splitlines(), "the page", "the code", "", "", 1, "")
    )


def test_the_page_is_what_the_code_has() -> None:
    now = page()
    if os.environ.get("CONTINUUM_GOLDEN") == "write":
        PAGE.write_text(now, encoding="utf-8")
    known = PAGE.read_text(encoding="utf-8")
    assert now == known, (
        "the public API has changed:\n"
        f"{difference(known, now)}\n"
        "where this is meant, run this test with CONTINUUM_GOLDEN=write and write a changelog fragment"
    )


def test_a_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter more, a name less: both are in the difference."""
    connect = importlib.import_module("continuum_core.journal.connect")
    before = page()

    def capabilities(url: str, *, hidden: bool = False) -> frozenset[str]:
        raise NotImplementedError

    monkeypatch.setattr(connect, "capabilities", capabilities)
    monkeypatch.setattr(connect, "__all__", [name for name in connect.__all__ if name != "available"])
    told = difference(before, page())
    assert "-def available() -> list[Installed]" in told
    assert "+def capabilities(url: str, *, hidden: bool = False) -> frozenset[str]" in told


def test_every_public_module_says_which_names_are_public() -> None:
    for module, names in public_names().items():
        found = importlib.import_module(module)
        assert names, f"{module} has no __all__"
        assert [name for name in names if not hasattr(found, name)] == []


def test_the_listing_hides_no_text_of_an_object() -> None:
    """An address in it would differ from run to run."""
    assert not re.search(r"0x[0-9a-f]{6,}", page())
    assert len({section.title for section in PUBLIC}) == len(public_api.PUBLIC)


def test_every_capability_has_a_meaning() -> None:
    constants = {value for name, value in vars(Capability).items() if name.isupper()}
    assert constants == set(MEANINGS)
