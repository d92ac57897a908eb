"""How wide a text is, without a font: advance widths of the common sans faces (per mille of the size).

The drawing states this width in the SVG (`textLength`), so that the text fits in every font.
"""

from __future__ import annotations

import unicodedata

__all__ = ["columns", "text_width", "wrapped"]

_WIDTHS = {
    222: "ijl'‘’|",
    278: " !,./:;I[]ft\\()·",
    333: 'r-`"',
    355: "{}^*",
    500: "ckszvxyJ",
    556: "abdeghnopquL0123456789?_#$…",
    584: "+<>=~→",
    611: "FTZ",
    667: "ABEKPSVXY&",
    722: "CDHNRUw",
    778: "GOQ",
    833: "mM",
    889: "%—",
    944: "W",
    1015: "@",
}
_TABLE = {character: width for width, characters in _WIDTHS.items() for character in characters}
_BOLD = 1.07


def text_width(text: str, size: float, *, bold: bool = False) -> int:
    """Whole pixels that `text` takes at `size` pixels, rounded up."""
    mille = 0.0
    for character in text:
        if character in _TABLE:
            mille += _TABLE[character]
        elif unicodedata.combining(character):
            continue
        elif unicodedata.east_asian_width(character) in "WF":
            mille += 1000
        else:
            mille += 640
    return int(mille * size * (_BOLD if bold else 1.0) / 1000 + 0.999)


def wrapped(text: str, size: float, room: int, rows: int, *, bold: bool = False) -> list[str]:
    """`text` in at most `rows` rows of at most `room` pixels; what does not fit ends with an ellipsis."""
    words = [part for word in text.split(" ") for part in _broken(word, size, room, bold)]
    lines: list[str] = []
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if line and text_width(longer, size, bold=bold) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > rows:
        lines = [*lines[: rows - 1], " ".join(lines[rows - 1 :])]
    return [_cut(line, size, room, bold) for line in lines]


def _broken(word: str, size: float, room: int, bold: bool) -> list[str]:
    """A word in parts that fit a row: source without blanks may be longer than any row."""
    parts: list[str] = []
    part = ""
    for character in word:
        if part and text_width(part + character, size, bold=bold) > room:
            parts.append(part)
            part = ""
        part += character
    return [*parts, part]


def _cut(line: str, size: float, room: int, bold: bool) -> str:
    if text_width(line, size, bold=bold) <= room:
        return line
    while line and text_width(line + "…", size, bold=bold) > room:
        line = line[:-1]
    return line + "…"


def columns(text: str) -> int:
    """Columns that `text` takes in a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
