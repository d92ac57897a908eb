"""Headers: small texts that travel beside a payload, such as the W3C ``traceparent`` of who sent it.

They lie where the payload lies, so that they are as durable as it is and reach whichever process takes it:

- a delivery's are the field ``headers`` of its envelope, which readers of the envelope pass over; a timer,
  which has no envelope, is given one;
- a task's payload is the bare input; headers stand before it on a line of their own, behind a byte that
  begins no JSON.

A payload without headers is what it was before there were any: they cost nothing where nobody sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from continuum_core.errors import PayloadRefused, UnknownVersion

__all__ = [
    "LIMITS",
    "check_headers",
    "delivery_headers",
    "split_task",
    "task_headers",
    "task_input",
    "with_headers",
    "with_task_headers",
]

LIMITS = (16, 4_096)
"""How many headers a payload may have, and how many bytes they are together."""

_MARK = 0x1E  # the record separator of JSON text sequences: no JSON value begins with it
_FORMAT = 1
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_NONE: Mapping[str, str] = {}


class _Carried(Struct):
    headers: dict[str, str] = {}


class _Line(Struct):
    v: int
    headers: dict[str, str]


_carried = msgspec.json.Decoder(_Carried).decode
_line = msgspec.json.Decoder(_Line).decode
_write = msgspec.json.Encoder().encode


def check_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    """The headers as they may be stored. Raises PayloadRefused."""
    made: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if not isinstance(name, str) or not name or not _NAME.issuperset(name):
            raise PayloadRefused("headers", f"{name!r} is no name: lower-case letters, digits and hyphens")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise PayloadRefused(f"headers.{name}", "a header is printable ASCII text")
        size += len(name) + len(value)
        made[name] = value
    if len(made) > LIMITS[0] or size > LIMITS[1]:
        what = f"{len(made)} headers of {size:,} bytes; at most {LIMITS[0]} of {LIMITS[1]:,} together"
        raise PayloadRefused("headers", what)
    return made


def with_headers(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """A delivery's payload with these headers; those that it had already stay unless they are named here.

    :param payload: an envelope, or nothing: a timer's.
    """
    if not headers:
        return payload
    if not payload:
        return _write(_Line(_FORMAT, dict(headers)))
    before = delivery_headers(payload)
    if before:  # not spliced in a second time
        body = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        body["headers"] = msgspec.Raw(_write({**before, **headers}))
        return _write(body)
    # An envelope is an object with at least its version: the field is put before the end.
    return payload[:-1] + b',"headers":' + _write(dict(headers)) + b"}"


def delivery_headers(payload: bytes) -> Mapping[str, str]:
    """The headers of a delivery; none of one that cannot be read, which is told elsewhere."""
    if b'"headers"' not in payload:
        return _NONE
    try:
        return _carried(payload).headers
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NONE


def with_task_headers(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """A task's payload, which has none yet, with these headers."""
    return b"\x1e" + _write(_Line(_FORMAT, dict(headers))) + b"\n" + payload if headers else payload


def task_input(payload: bytes) -> bytes:
    """The bare input of a task. Raises UnknownVersion: its headers are not of a form this release reads."""
    if not payload or payload[0] != _MARK:
        return payload
    return split_task(payload)[1]


def task_headers(payload: bytes) -> Mapping[str, str]:
    """The headers of a task; none where they cannot be read, which is told elsewhere."""
    try:
        return split_task(payload)[0]
    except UnknownVersion:
        return _NONE


def split_task(payload: bytes) -> tuple[Mapping[str, str], bytes]:
    """Headers and input. Raises UnknownVersion."""
    if not payload or payload[0] != _MARK:
        return _NONE, payload
    head, _, body = payload[1:].partition(b"\n")
    try:
        line = _line(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownVersion(f"the headers of a stored task cannot be read: {error}") from error
    if line.v != _FORMAT:
        raise UnknownVersion(
            f"the headers of a stored task have format {line.v}; this release reads {_FORMAT}"
        )
    return line.headers, body
