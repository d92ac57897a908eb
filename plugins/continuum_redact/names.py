"""Hides values by the names they stand under: in JSON values and typed ones, and in lines of text.

In a text a value is found behind its name and ``=`` or ``:``, as representations of Python objects, JSON and
most log lines have it. What stands in a text without its name is not found: keep such things out of messages.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

__all__ = ["MASK", "Names"]

MASK = "[hidden]"

_PATTERN = re.compile(r"[\w*?-]+")
_OPEN = {"{": "}", "[": "]", "(": ")"}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_BARE = re.compile(r"[^\s,;)\]}]+")


_class_of: Callable[[Any], type[Any]] = type  # as a function it narrows nothing for the type checker


class Names:
    """A redactor that grows: names are added, and never taken away."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns: set[str] = set()
        self._whole: re.Pattern[str] | None = None
        self._named: re.Pattern[str] | None = None
        self.add_patterns(patterns)

    def add(self, names: Iterable[str]) -> None:
        """Hide what stands under these names."""
        self._grow({re.escape(name.lower()) for name in names})

    def add_patterns(self, patterns: Iterable[str]) -> None:
        """Hide what stands under names like these. Raises ValueError."""
        made: set[str] = set()
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern) or not pattern.strip("*?"):
                raise ValueError(f"{pattern!r} is no pattern of names: letters, digits, _, -, with * and ?")
            made.add(re.escape(pattern.lower()).replace(r"\*", r"[\w-]*").replace(r"\?", r"[\w-]"))
        self._grow(made)

    def _grow(self, made: set[str]) -> None:
        if made <= self._patterns:
            return
        self._patterns |= made
        names = "|".join(sorted(self._patterns, key=lambda each: (-len(each), each)))
        self._whole = re.compile(f"(?:{names})", re.IGNORECASE)
        # The name may be quoted, and what quotes it may be escaped: JSON within JSON.
        self._named = re.compile(rf"(?<![\w-])(?:{names})\\*[\"']?\s*[=:]\s*", re.IGNORECASE)

    # --- values ------------------------------------------------------------------------------------------

    def data(self, value: Any) -> Any:
        """The value with all hidden that stands under one of the names."""
        if self._whole is None:
            return value
        return self._hidden(value)

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        cls = _class_of(value)
        if issubclass(cls, Mapping):
            return {n: MASK if self._hides(n) else self._hidden(item) for n, item in value.items()}
        if issubclass(cls, list | tuple | set | frozenset):
            return [self._hidden(item) for item in value]
        if attrs.has(cls):
            return self._hidden({f.name: getattr(value, f.name) for f in attrs.fields(cls)})
        if dataclasses.is_dataclass(cls):
            return self._hidden({f.name: getattr(value, f.name) for f in dataclasses.fields(cls)})
        return value

    def _hides(self, name: object) -> bool:
        return isinstance(name, str) and self._whole is not None and self._whole.fullmatch(name) is not None

    # --- texts -------------------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """The text with all hidden that stands behind one of the names."""
        if self._named is None:
            return text
        made: list[str] = []
        at = 0
        while (found := self._named.search(text, at)) is not None:
            end = _end_of_value(text, found.end())
            made += [text[at : found.end()], _masked(text[found.end() : end])]
            at = end
        return "".join([*made, text[at:]]) if made else text


def _masked(value: str) -> str:
    """What stands for a value: in its quotes, so that JSON stays JSON."""
    quote = value[0] if value[:1] in ("'", '"') and len(value) > 1 else ""
    return f"{quote}{MASK}{quote}" if value else ""


def _end_of_value(text: str, start: int) -> int:
    """Where the value ends that begins here: a quoted one, one in brackets, or a word."""
    quoted = _QUOTED.match(text, start)
    if quoted is not None:
        return quoted.end()
    if text[start : start + 1] in _OPEN:
        return _closed(text, start)
    bare = _BARE.match(text, start)
    end = start if bare is None else bare.end()
    # A call, such as Card(number='4111'): the word goes on to its closing bracket.
    opening = text.find("(", start, end)
    return end if opening < 0 else _closed(text, opening)


def _closed(text: str, start: int) -> int:
    """Behind the bracket that closes the one here; the end of the text where none does."""
    waiting: list[str] = []
    at = start
    while at < len(text):
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            at = quoted.end()
            continue
        character = text[at]
        at += 1
        if character in _OPEN:
            waiting.append(_OPEN[character])
        elif waiting and character == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at
    return len(text)
