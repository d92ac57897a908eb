"""The manual imports what is public, and nothing else: else its readers' programs break with what is ours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, pages
from tests.docs.public_api import not_public

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def programs(page: Path) -> Iterator[str]:
    """The Python of a page, or of an example; what goes on in a class stands on a page indented."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        yield text
    else:
        yield from (textwrap.dedent(block.text) for block in blocks(text) if block.language == "python")


@pytest.mark.parametrize("page", [*pages(), *EXAMPLES], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_imports_what_is_public(page: Path) -> None:
    found = [name for source in programs(page) for name in not_public(source)]
    assert not found, "import it from where docs/reference/public-api.md has it, or make it public"


def test_what_is_private_is_found() -> None:
    assert not_public("from continuum_core import step\nfrom continuum_core.query import field\n") == []
    events = "continuum_core.interpreter.events"
    assert not_public(f"from {events} import Start") == [(events, "Start")]
    assert not_public("import continuum_core.mapper") == [("continuum_core.mapper", "")]
    assert not_public("from continuum_core.query import reading") == [("continuum_core.query", "reading")]
