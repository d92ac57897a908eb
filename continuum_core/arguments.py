"""What callers give, checked at the door: lengths of time, moments, numbers, names.

Rule: a length of time is a `timedelta`, or a number of seconds, wherever one is asked for; a moment is a
`datetime` with a time zone. What cannot be used is refused in words that name the argument, what was given,
and what to give instead: nothing of the wrong type gets far enough to fail as something else.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from continuum_core.clock import Micros, from_datetime, span
from continuum_core.errors import UsageError
from continuum_core.texts import LONGEST_NAME, LONGEST_REASON, text_flaw, time_flaw

__all__ = [
    "NONE",
    "Length",
    "chosen",
    "kept",
    "kept_time",
    "length",
    "micros",
    "moment",
    "reason",
    "seconds",
    "suggestion",
    "text",
    "timed",
    "whole",
]

Length = timedelta | float
"""A length of time: a `timedelta`, or a number of seconds."""

NONE = timedelta()
"""No time at all."""

E = TypeVar("E", bound=Enum)


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known name, or ""."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1) or [k for k in names if k.lower() == name.lower()]
    return f"did you mean {near[0]!r}?" if near else ""


def timed(given: object) -> object:
    """A number of seconds as a `timedelta`; all else as it is, also a number that is no length of time."""
    if isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given):
        try:
            return timedelta(seconds=given)
        except OverflowError:
            return given
    return given


def length(name: str, given: Length, *, least: timedelta = timedelta.min, above: bool = False) -> timedelta:
    """A length of time that was given for an argument. Raises UsageError.

    :param least: the shortest that can be used.
    :param above: it has to be longer than that.
    """
    found = timed(given)
    if not isinstance(found, timedelta):
        raise UsageError(
            f"{name}={given!r} is no length of time: give seconds as a number, or a timedelta, such as "
            "timedelta(minutes=5)"
        )
    if found < least or (above and found == least):
        words = "longer than" if above else "no shorter than"
        raise UsageError(
            f"{name}={given!r} cannot be: give a length of time {words} {least.total_seconds():g} s"
        )
    return found


def seconds(name: str, given: Length, *, above: bool = False) -> float:
    """The same as a number of seconds, not negative; with `above` more than none. Raises UsageError."""
    return length(name, given, least=NONE, above=above).total_seconds()


def micros(name: str, given: Length, *, least: timedelta = timedelta.min, above: bool = False) -> int:
    """The same in microseconds, as the journal counts. Raises UsageError."""
    return span(length(name, given, least=least, above=above))


def moment(name: str, given: datetime) -> Micros:
    """When it is, as the journal counts. Raises UsageError."""
    at: Any = given
    if not isinstance(at, datetime):
        raise UsageError(
            f"{name}={given!r} is no time: give a datetime with a time zone, such as datetime.now(UTC)"
        )
    if at.tzinfo is None:
        raise UsageError(
            f"{name}={given!r} does not say when: give it a time zone, such as datetime(..., tzinfo=UTC)"
        )
    return from_datetime(at)


def whole(name: str, given: int, least: int = 1) -> int:
    """A whole number, at least so large. Raises UsageError."""
    number: Any = given
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise UsageError(f"{name}={given!r} cannot be: give a whole number from {least}")
    return number


def text(name: str, given: str, example: str) -> str:
    """A text that is not empty. Raises UsageError."""
    word: Any = given
    if not isinstance(word, str) or not word:
        raise UsageError(f"{name}={given!r} names nothing: give a text that is not empty, such as {example}")
    return word


def kept(name: str, given: str, example: str, ahead: str = "") -> str:
    """A text that is not empty, and that every journal can hold as a name or a key. Raises UsageError.

    :param ahead: what is put before it when it is stored.
    """
    word = text(name, given, example)
    if flaw := text_flaw(word, LONGEST_NAME - len(ahead)):
        raise UsageError(f"{name}={_shown(word)} {flaw}. Give another, such as {example}")
    return word


def reason(name: str, given: str) -> str:
    """What is said for people to read, and may be empty, if every journal can hold it. Raises UsageError."""
    words: Any = given
    if not isinstance(words, str):
        raise UsageError(f"{name}={given!r} is no text: say it in words, or leave it out")
    if flaw := text_flaw(words, LONGEST_REASON):
        raise UsageError(f"{name}={_shown(words)} {flaw}. Say it in other words")
    return words


def _shown(word: str) -> str:
    return repr(word) if len(word) <= 60 else f"{word[:57]!r}…"


def kept_time(name: str, given: object, at: Micros) -> Micros:
    """The time that came of an argument, if every journal can hold it. Raises UsageError."""
    if flaw := time_flaw(at):
        raise UsageError(f"{name}={given!r} {flaw}. Give a time that is nearer")
    return at


def chosen(name: str, given: E | str, kind: type[E]) -> E:
    """A member of an enumeration, given as it is or by its name in any case. Raises UsageError."""
    if isinstance(given, kind):
        return given
    names = [each.name.lower() for each in kind]
    if isinstance(given, str) and given.lower() in names:
        return kind[given.upper()]
    hint = suggestion(given, names) if isinstance(given, str) else ""
    raise UsageError(f"{name}={given!r} is none of {', '.join(names)}{f'; {hint}' if hint else ''}")
