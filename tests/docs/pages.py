"""What a page of the manual says that can be tried: its fenced blocks, and the notes that stand before them.

CONTRIBUTING.md tells authors the notes. A note that is not known, or that stands before no block, is a fault:
a misspelt `skip` must not turn into an example nobody runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

__all__ = ["ROOT", "Block", "blocks", "pages", "read"]

ROOT = Path(__file__).resolve().parents[2]

NOTES = ("skip", "file", "append", "output", "exit", "background")
_NOTE = re.compile(r"\s*<!--\s*(?P<name>[a-z]+)(?::\s*(?P<value>.*?))?\s*-->\s*$")
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[^\s`]*)")


@frozen
class Block:
    """A fenced block: its language, the line of its first content line (from 1), its text and its notes."""

    language: str
    line: int
    text: str
    notes: dict[str, str]

    @property
    def role(self) -> str:
        """What trying the page does with it: skip, file, append, output, python, console, or nothing."""
        for note in ("skip", "file", "append", "output"):
            if note in self.notes:
                return note
        return self.language if self.language in ("python", "console") else ""


def pages() -> list[Path]:
    """README.md and every page of the manual."""
    manual = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in manual if "_build" not in page.parts)]


def read(page: Path) -> list[Block]:
    """The fenced blocks of the page in this file. Raises ValueError as `blocks` does, naming the page."""
    try:
        return blocks(page.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise ValueError(f"{page}: {fault}") from fault


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page in order. Raises ValueError for a note that is unknown or leads nowhere."""
    return list(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    notes: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if note := _NOTE.match(line):
            if note["name"] in NOTES:
                notes[note["name"]] = note["value"] or ""
            elif note["value"] is not None:  # `<!-- word: text -->` reads as a note; other comments are free
                raise ValueError(f"line {number}: no note is called {note['name']!r}; there are {NOTES}")
        elif opening := _FENCE.match(line):
            length = _length(lines, number, opening["fence"])
            content = lines[number : number + length]
            text = "".join(line.removeprefix(opening["indent"]) + "\n" for line in content)
            yield Block(opening["language"], number + 1, text, notes)
            notes = {}
            number += length + 1
        elif notes and line.strip():
            raise ValueError(f"line {number}: the note {next(iter(notes))!r} stands before no block")
    if notes:
        raise ValueError(f"line {number}: the note {next(iter(notes))!r} stands before no block")


def _length(lines: list[str], start: int, fence: str) -> int:
    """How many lines from `start` on belong to the block that `fence` opened."""
    closing = re.compile(rf"\s*{re.escape(fence[0])}{{{len(fence)},}}\s*$")
    for length, line in enumerate(lines[start:]):
        if closing.match(line):
            return length
    raise ValueError(f"line {start}: the block is never closed")
