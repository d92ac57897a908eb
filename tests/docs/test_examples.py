"""Every example of README.md and the manual does what its page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages, read

TRIED = [page for page in pages() if any(block.role not in ("", "skip") for block in read(page))]

EXAMPLES = ROOT / "docs" / "examples"  # what pages include and draw; they may import it


def run_page(page: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Try `page` as a reader with the project installed would, in an empty `directory`."""
    variables = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(directory), str(EXAMPLES)]),
        "COLUMNS": "100",
        "CONTINUUM_PLUGINS": "scxml",  # a command that comes along; the others are given by programs
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.run_page", str(page)],
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize("page", TRIED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    done = run_page(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


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
