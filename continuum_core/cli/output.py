"""What is printed and how: escaped text, tables that fit the terminal, JSON for machines.

Rule: whatever came from a user or a journal passes through `safe` (or through JSON's ASCII form) before
it reaches a terminal. A payload may hold line ends and escape sequences; printed raw they could forge
lines of a table or drive the terminal of whoever looks. And all that is printed passes what plugins hide
(`hide_with`): here, where everything passes, and not at each verb.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from attrs import frozen
from rich.console import Console
from rich.text import Text

from continuum_core.hooks.redaction import Redaction

__all__ = [
    "Noted",
    "Rows",
    "ascii_only",
    "console",
    "hidden",
    "hide_with",
    "moment",
    "pretty",
    "print_json",
    "safe",
    "say",
    "short_id",
    "span_words",
]

_hiding: list[Redaction] = []


def hide_with(redaction: Redaction | None) -> None:
    """From now on print nothing that this hides; None: print everything."""
    _hiding[:] = [] if redaction is None else [redaction]


def hidden(value: Any) -> Any:
    """JSON values, or a text, as they may be shown."""
    for redaction in _hiding:
        value = redaction.text(value) if isinstance(value, str) else redaction.data(value)
    return value


_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(value: object) -> str:
    """Text with what is hidden left out, and what does not print written as an escape, such as ``\\x1b``."""
    text = str(hidden(str(value)))
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def console(*, stderr: bool = False) -> Console:
    """A console on the current stream: no escape sequences unless it is a terminal, none with NO_COLOR."""
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, color_system=colours, highlight=False, markup=False, emoji=False)


def ascii_only() -> bool:
    """Whether standard output can show no more than ASCII."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("_", "-")
    return not encoding.startswith("utf")


def say(text: str, *, stderr: bool = False, style: str = "") -> None:
    """Print a text, line by line and unwrapped, so that what is copied from a terminal is whole."""
    out = console(stderr=stderr)
    for line in hidden(text).split("\n"):
        out.print(Text(safe(line), style=style), soft_wrap=True)


def print_json(value: Any, *, stderr: bool = False) -> None:
    """One JSON value on one line, in ASCII, and at once: a reader of a stream does not wait."""
    print(json.dumps(hidden(value), ensure_ascii=True), file=sys.stderr if stderr else sys.stdout, flush=True)


def pretty(value: Any, width: int = 80) -> list[str]:
    """JSON values as lines for people; what is short stays on one line."""
    value = hidden(value)
    flat = json.dumps(value, ensure_ascii=False)
    lines = [flat] if len(flat) <= width else json.dumps(value, ensure_ascii=False, indent=2).split("\n")
    return [safe(line) for line in lines]


@frozen
class Noted:
    """A row with lines below it, which stand whole, each on its own, under no column."""

    cells: Sequence[str | Text]
    notes: Sequence[str | Text] = ()


class Rows:
    """A table that is printed in pieces: columns have fixed widths, so that pieces stand in line.

    On a terminal, or where ``COLUMNS`` says how wide it is, what is longer than its column goes on below.
    Elsewhere a program reads it: nothing is folded, and a row is a line.

    :param columns: titles with widths in characters; one column may have width 0 and takes what is left.
    :param whole: the first column is never folded: it holds ids, to be copied. What does not fit stands on
        a line of its own.
    """

    def __init__(self, columns: Sequence[tuple[str, int]], *, whole: bool = False) -> None:
        self._out = console()
        self._folds = self._out.is_terminal or "COLUMNS" in os.environ
        fixed = sum(width for _, width in columns) + _GAP * (len(columns) - 1)
        rest = max(self._out.width - fixed, 12)
        self._titles = [title for title, _ in columns]
        self._widths = [width or (rest if self._folds else 0) for _, width in columns]
        self._whole = whole
        self._begun = False

    def add(self, rows: Iterable[Sequence[str | Text] | Noted]) -> None:
        """Print these rows now; the first call prints the titles, too. A text may have several lines."""
        noted = [row if isinstance(row, Noted) else Noted(row) for row in rows]
        lines: list[Text] = []
        if not self._begun:
            if not self._folds:  # they stay what the first piece makes them
                self._widths = [max(self._widths[at], *self._lengths(noted, at)) for at in self._columns()]
            lines += self._lines([Text(title, style="bold") for title in self._titles])
            self._begun = True
        for row in noted:
            lines += self._lines([_cell(each) for each in row.cells])
            lines += [Text("  ").append_text(line) for note in row.notes for line in _cell(note).split("\n")]
        with self._out.capture() as printed:
            for line in lines:
                self._out.print(line, soft_wrap=True)
        # Columns are padded with blanks; without colours nothing ends in them that should be kept.
        for each in printed.get().splitlines():
            self._out.file.write(each.rstrip() + "\n")
        self._out.file.flush()

    def _columns(self) -> range:
        return range(len(self._titles))

    def _lengths(self, rows: Sequence[Noted], at: int) -> Iterator[int]:
        yield len(self._titles[at])
        yield from (line.cell_len for row in rows for line in _cell(row.cells[at]).split("\n"))

    def _lines(self, cells: Sequence[Text]) -> Iterator[Text]:
        """The lines of one row."""
        columns = [self._folded(cell, at) for at, cell in enumerate(cells)]
        if self._whole and any(each.cell_len > self._widths[0] for each in columns[0]):
            yield from columns[0]
            columns[0] = []
        for number in range(max(map(len, columns))):
            line = Text()
            for at, column in enumerate(columns):
                if number < len(column):
                    line.append_text(column[number])
                if at + 1 < len(columns):
                    ends = sum(self._widths[: at + 1]) + _GAP * (at + 1)
                    line.append(" " * (ends - line.cell_len))
            yield line

    def _folded(self, cell: Text, at: int) -> list[Text]:
        if not self._folds or (self._whole and at == 0):
            return list(cell.split("\n", allow_blank=True))
        return list(cell.wrap(self._out, self._widths[at], overflow="fold"))


_GAP = 2


def _cell(value: str | Text) -> Text:
    """A cell: the line ends in it are the caller's own, who passed every part through `safe`."""
    return value if isinstance(value, Text) else Text(value)


# --- times and ids -----------------------------------------------------------------------------------


def moment(at: datetime, *, millis: bool = False) -> str:
    """A time in UTC, such as ``2026-03-01 12:00:05Z``."""
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{at.microsecond // 1000:03}Z" if millis else f"{text}Z"


def span_words(length: timedelta) -> str:
    """A length of time with its two largest units: ``3d 4h``, ``29m 58s``, ``0.8s``; not below zero."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def short_id(id_: object) -> str:
    """The end of an id: ids of one minute share their beginning."""
    return re.sub("-", "", str(id_))[-8:]
