"""JSON handed in by people and other programs, read without forgiveness.

Python's own reader accepts what is not JSON or loses part of it: NaN, 1e400, the last of two equal
keys. Each has its sentence here. Numbers with a point become Decimal, so that no digit is lost
before the type is known.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from continuum_core.codec.node import Refusal, class_of

__all__ = ["DIGITS", "check_text", "load"]

DIGITS = 4300
"""Most digits of an integer: CPython's own limit, past which conversion takes quadratic time."""


class _Bad:
    """What the reader met, kept in its place until the walk knows the path."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def load(text: str | bytes, size: int, depth: int) -> Any:
    """Parsed JSON of at most `size` bytes and `depth` levels; raises Refusal."""
    source = _source(text, size)
    try:
        found = _READER.decode(source)
    except RecursionError:
        raise Refusal(f"nested deeper than {depth} levels") from None
    except json.JSONDecodeError as error:
        raise Refusal(_not_json(source, error)) from None
    _walk(found, depth)
    return found


def _source(text: str | bytes, size: int) -> str:
    if isinstance(text, str):
        if len(text) > size or len(text.encode("utf-8", "surrogatepass")) > size:
            raise Refusal(f"larger than {size:,} bytes")
        source = text
    else:
        if len(text) > size:
            raise Refusal(f"larger than {size:,} bytes ({len(text):,})")
        try:
            source = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refusal(f"not UTF-8 (byte {error.start})") from None
    if source.startswith("\ufeff"):
        raise Refusal("begins with a byte order mark; save it as UTF-8 without one")
    if not source.strip():
        raise Refusal("is empty; JSON has at least one value")
    return source


def _not_json(source: str, error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg == "Extra data":
        return f"something follows the JSON value ({where})"
    near = source[error.pos : error.pos + 12]
    return f"not JSON: {error.msg} ({where}" + (f", at {near!r})" if near else ", at the end)")


def _integer(text: str) -> Any:
    if len(text.lstrip("-")) > DIGITS:
        return _Bad(f"an integer of {len(text.lstrip('-')):,} digits; the limit is {DIGITS:,}")
    return int(text)


def _fraction(text: str) -> Any:
    if math.isinf(float(text)):
        return _Bad(f"{text[:40]} is larger than a float can be; write it as a string for a Decimal")
    return Decimal(text)


def _constant(text: str) -> Any:
    return _Bad(f"{text} is not JSON; use null for a missing number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = _Bad(f"the key {key!r} stands here twice; keep one")
            seen.add(key)
    return found


_READER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _walk(found: Any, left: int) -> None:
    cls = class_of(found)
    if cls is str:
        check_text(found)
    elif cls is _Bad:
        raise Refusal(found.reason)
    elif cls is list or cls is dict:
        if left <= 0:
            raise Refusal("nested deeper than the limit")
        for key, item in found.items() if cls is dict else enumerate(found):
            if isinstance(key, str):
                check_text(key)
            try:
                _walk(item, left - 1)
            except Refusal as refusal:
                raise refusal.at(_piece(key)) from None


def _piece(key: str | int) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def check_text(text: str) -> None:
    """Refuse text that some store or reader would refuse or change later."""
    if "\0" in text:
        raise Refusal("its text holds U+0000, which not every journal can keep; take it out")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise Refusal(
                f"its text holds half a surrogate pair (U+{code:04X}), which is no character"
            ) from None
