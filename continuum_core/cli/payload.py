"""JSON that somebody typed, piped or keeps in a file: read, and refused with the place where it is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from continuum_core.codec import Json, codec_for
from continuum_core.errors import PayloadRefused, UsageError

__all__ = ["read_values"]

_json = codec_for(Json)
_SHOWN = 76  # characters of the line that is at fault


def read_values(given: str, option: str) -> Any:
    """The JSON values that an option names: as typed, a file's (``@FILE``) or standard input's (``-``).

    They are read as strictly as the codec reads: no duplicate keys, no infinities. Raises UsageError,
    with the place, for what cannot be read or is no JSON, PayloadRefused for what is refused in it.
    """
    if given == "-":
        text, source = _standard_input(option), "standard input"
    elif given.startswith("@"):
        text, source = _file(Path(given[1:]), option), given[1:]
    else:
        text, source = given, ""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(_told(text, option, source, error)) from None
    except RecursionError:
        raise UsageError(f"{option} is nested too deep") from None
    try:
        return _json.parse(text)
    except PayloadRefused as error:
        raise PayloadRefused(f"{option} {error.path}", error.reason) from None


def _standard_input(option: str) -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} -: standard input is not UTF-8: {error}") from None


def _file(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{option} @{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} @{path} is not UTF-8: {error}") from None


def _told(text: str, option: str, source: str, error: json.JSONDecodeError) -> str:
    where = f" ({source})" if source else ""
    head = f"{option}{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    lines = text.split("\n")
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    column = error.colno - 1
    start = max(0, column - _SHOWN // 2)
    # One character a column, so that the mark stands below what it is about.
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + _SHOWN])
    return f"{head}\n{shown}\n{' ' * (column - start)}^" if shown.strip() else head
