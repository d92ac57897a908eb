"""Texts and times that every journal holds: what a caller or a machine may give for one to be stored.

Rule: journals differ in what they can hold. PostgreSQL keeps no NUL, UTF-8 has no lone surrogates, an index
takes short entries, a Lua script counts to 2**53. So that the same call is answered alike on all of them,
these are the bounds of the narrowest, and what is beyond them is refused at the door, or is a fault of the
machine that asked for it, before anything is sent. What is stored already is read whatever it is.
"""

from __future__ import annotations

from continuum_core.clock import Micros

__all__ = ["LATEST", "LONGEST_NAME", "LONGEST_REASON", "LONGEST_WAIT", "text_flaw", "time_flaw"]

LONGEST_NAME = 800
"""Bytes, in UTF-8, of a key, an id or a name. Three of them are one entry of an index of PostgreSQL, which
has room for 2,700."""

LONGEST_REASON = 8_000
"""Bytes, in UTF-8, of what is said for people to read: why an order was given, and by whom."""

LATEST: Micros = 8_993_721_600_000_000
"""The first moment of the year 2255, which is none any more: a number that no script of Redis rounds. As far
before 1970 is the earliest."""

LONGEST_WAIT = 100 * 365 * 86_400_000_000
"""Microseconds, a hundred years: the longest that counts from a time which is not known yet."""


def text_flaw(text: str, most: int = LONGEST_NAME) -> str:
    """What keeps a text from being held by every journal, as words that follow the text; "" where nothing.

    :param most: bytes of UTF-8.
    """
    if "\0" in text:
        return "contains NUL, which no text in a journal can"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "contains half of a surrogate pair, which is no character"
    return f"has {size:,} bytes in UTF-8; a journal holds {most:,}" if size > most else ""


def time_flaw(at: Micros) -> str:
    """What keeps a time from being held by every journal, as words that follow it; "" where nothing."""
    if -LATEST < at < LATEST:
        return ""
    return (
        "is beyond what every journal can hold: the end of the year 2254"
        if at > 0
        else ("is before what every journal can hold: the year 1685")
    )
