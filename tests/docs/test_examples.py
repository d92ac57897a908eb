"""Every example of README.md and the manual does what its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.conftest import Read
from tests.docs.pages import ROOT, pages, read
from tests.docs.reader import EXAMPLES

TRIED = [page for page in pages() if any(block.role not in ("", "skip") for block in read(page))]


@pytest.mark.parametrize("page", TRIED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_does_what_it_says(page: Path, run_page: Read) -> None:
    done = run_page(page)
    assert done.code == 0, done.printed


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda example: str(example.name))
def test_an_example_file_imports_alone(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_skip_gives_its_reason() -> None:
    silent = [
        f"{page.relative_to(ROOT)}:{block.line}"
        for page in pages()
        for block in read(page)
        if block.notes.get("skip") == ""
    ]
    assert not silent, "give the reason: <!-- skip: reason -->"
