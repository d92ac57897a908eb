"""What the manual says is not there is not there: a page once written outlives what it denies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages

DOCS = ROOT / "docs"

# What others call it, and the page that has it here.
HAD = {
    "child workflow": "howto/child-runs.md",
    "sub-machine": "howto/child-runs.md",
    "workflows from workflows": "howto/child-runs.md",
    "fan-out": "howto/child-runs.md",
    "continue-as-new": "howto/continue-as-new.md",
    "compensation": "howto/take-back.md",
    "saga": "howto/take-back.md",
    "search attribute": "howto/query.md",
    "encryption": "howto/payloads.md",
    "interceptor": "howto/write-a-plugin.md",
    "metrics": "howto/traces-and-metrics.md",
    "fork": "howto/time-travel.md",
    "transaction": "howto/your-transaction.md",
    "update": "howto/ask-and-query.md",
    "rate limit": "howto/queues.md",
    "redis": "howto/redis-journal.md",
}

_HEADING = re.compile(r"^## .* and this has not$", re.MULTILINE)
_YET = re.compile(
    r"not\s+there\s+yet|not\s+yet\s+(there|possible|implemented)|to\s+come\s+later", re.IGNORECASE
)


def denied(text: str) -> set[str]:
    """Of what is there, what a page for those who come from elsewhere says is not."""
    [_, *sections] = _HEADING.split(text)
    said = re.sub(r"\n  +", " ", " ".join(sections)).lower()
    # A bullet's second sentence says what there is here instead.
    first = " ".join(bullet.partition(". ")[0] for bullet in said.split("\n- "))
    empty = set(re.findall(r"^\|.*\| *[–-] *\|$", text, re.MULTILINE))
    return {word for word in HAD if word in first} | empty


@pytest.mark.parametrize("page", sorted((DOCS / "coming-from").glob("*.md")), ids=lambda page: str(page.stem))
def test_nothing_that_is_there_is_denied(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(_HEADING.findall(text)) == 1, "a page ends with what the other one has"
    assert not denied(text)


def test_a_denial_is_found() -> None:
    page = (
        "| a | – |\n\n## What X has and this has not\n\n- Search\n  attributes, child workflows.\n"
        "- A console. Forks are here.\n"
    )
    assert denied(page) == {"| a | – |", "search attribute", "child workflow"}


def test_what_is_named_has_its_page() -> None:
    assert [page for page in HAD.values() if not (DOCS / page).is_file()] == []


def test_only_one_page_says_what_is_not_there_yet() -> None:
    """And that is "Not yet" of the guarantees, to which the first page leads."""
    texts = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages()}
    said = {page for page, text in texts.items() if _YET.search(text)}
    assert said <= {"docs/index.md"}
