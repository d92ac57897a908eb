"""Blocks of text with a size: the rows of a state's box, of a heading, of an edge's label."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from continuum_core.definition.layout.glyphs import text_width, wrapped
from continuum_core.definition.wording import Row, Sign, Tone

__all__ = ["Block", "Text", "caption_block", "history_block", "name_block", "state_block"]

TITLE_SIZE = 13.0
ROW_SIZE = 11.5
TITLE_HEIGHT = 18
ROW_HEIGHT = 15
SIGN_ROOM = 15
ROOM = 170
"""Widest row in pixels before it is wrapped."""


@frozen
class Text:
    """One row at (x, y of its base line), in pixels from the block's upper left corner."""

    text: str
    x: int
    y: int
    width: int
    size: float
    tone: str
    sign: Sign | None = None
    full: str = ""


@frozen
class Block:
    """Rows of text and the size they take; `rule` is the y of the line below a title, if there is one."""

    texts: tuple[Text, ...]
    width: int
    height: int
    rule: int | None = None


def caption_block(rows: Iterable[Row]) -> Block:
    """An edge's label: its line runs along the block's left side, five pixels from the text."""
    texts, bottom = _rows(list(rows), 5, 0)
    return Block(tuple(texts), _right(texts), bottom + 3)


def name_block(name: str, tone: str = "name") -> Block:
    """A name alone, for a final state or a choice."""
    size = ROW_SIZE
    text = wrapped(name, size, ROOM, 1)[0]
    width = text_width(text, size)
    return Block((Text(text, 0, 12, width, size, tone, full=name),), width, 16)


def history_block(deep: bool, words: str) -> Block:
    """The sign of a history, 26 pixels high and wide, and below it where it leads at first, if said."""
    sign, below = name_block("H*" if deep else "H").texts[0], name_block(words, "quiet").texts[0]
    if not words:
        return Block((evolve(sign, x=13 - sign.width // 2, y=17),), 26, 26)
    width = max(26, below.width)
    texts = (
        evolve(sign, x=width // 2 - sign.width // 2, y=17),
        evolve(below, x=(width - below.width) // 2, y=39),
    )
    return Block(texts, width, 44)


def state_block(title: str, rows: Iterable[Row], *, heading: bool = False, tone: str = "title") -> Block:
    """The text of a state: its name and what it does; a heading stands at the left without a rule."""
    lines = wrapped(title, TITLE_SIZE, ROOM + 40, 2, bold=True)
    width = max(text_width(line, TITLE_SIZE, bold=True) for line in lines)
    texts = [
        Text(
            line,
            12,
            20 + TITLE_HEIGHT * number,
            text_width(line, TITLE_SIZE, bold=True),
            TITLE_SIZE,
            tone,
            full=title if line != title else "",
        )
        for number, line in enumerate(lines)
    ]
    bottom = 10 + TITLE_HEIGHT * len(lines)
    found = list(rows)
    rule = None
    if found:
        rule = None if heading else bottom + 2
        more, bottom = _rows(found, 12, bottom + (1 if heading else 5))
        texts += more
        width = max(width, _right(more) - 12)
    return Block(tuple(texts), width + 24, bottom + (4 if heading else 8), rule)


def _right(texts: list[Text]) -> int:
    return max((text.x + text.width for text in texts), default=0)


def _rows(rows: list[Row], left: int, top: int) -> tuple[list[Text], int]:
    texts: list[Text] = []
    for row in rows:
        sign = row.sign
        x = left + (SIGN_ROOM if sign is not None else 0)
        for line in wrapped(row.text, ROW_SIZE, ROOM, 2):
            width = text_width(line, ROW_SIZE)
            tone = "plain" if row.tone is Tone.PLAIN else row.tone.value
            texts.append(Text(line, x, top + 12, width, ROW_SIZE, tone, sign, row.full))
            sign = None
            top += ROW_HEIGHT
    return texts, top
