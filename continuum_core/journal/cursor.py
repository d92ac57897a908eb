"""Cursors of pages: where the next one begins, bound to the question that gave them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from continuum_core.clock import Micros
from continuum_core.errors import PayloadRefused
from continuum_core.journal.commit import Query
from continuum_core.journal.records import Run

__all__ = ["position", "write"]

_CURSOR = struct.Struct(">8sq16s")


def write(query: Query, last: Run) -> str:
    """The cursor of the page that follows the one which ends with `last`."""
    packed = _CURSOR.pack(_mark(last.namespace, query), last.created, last.run_id.bytes)
    return base64.urlsafe_b64encode(packed).decode("ascii")


def position(namespace: str, query: Query, cursor: str | None) -> tuple[Micros, bytes] | None:
    """(created, run id) that a cursor stands for. Raises PayloadRefused if this query did not give it."""
    if cursor is None:
        return None
    try:
        mark, created, run_id = _CURSOR.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        raise PayloadRefused("cursor", "it is no cursor of this journal") from None
    if mark != _mark(namespace, query):
        raise PayloadRefused("cursor", "it belongs to another query or namespace")
    return created, run_id


def _mark(namespace: str, query: Query) -> bytes:
    """Eight bytes that tell one question from another."""
    status = None if query.status is None else int(query.status)
    parent = None if query.parent is None else query.parent.hex
    question = repr((namespace, query.machine, status, parent, query.created_from, query.created_to))
    return hashlib.blake2b(question.encode("utf-8", "surrogatepass"), digest_size=8).digest()
