"""Values whose class is known by name only: the name, the version that wrote them, and their JSON.

The JSON is carried unread: it is spliced in when written and sliced out when read, so a payload is
encoded once whatever it is embedded in. Which class a name means is the mapper's to know.
"""

from __future__ import annotations

import msgspec
from attrs import frozen

from continuum_core.errors import PayloadRefused, UnknownVersion

__all__ = ["Envelope", "Raw", "seal", "unseal"]

Raw = msgspec.Raw
"""JSON bytes as a field: `Raw(data)` is spliced in as it is; `bytes(raw)` gives what was read."""


class _Stored(msgspec.Struct, frozen=True):
    type: str
    v: int
    data: msgspec.Raw


@frozen
class Envelope:
    """A stored value: the name of its class, the version that wrote it, its JSON."""

    name: str
    version: int
    data: bytes


_write = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Stored)


def seal(name: str, version: int, data: bytes) -> bytes:
    """``{"type": name, "v": version, "data": data}``; `data` is JSON that a codec wrote."""
    return _write(_Stored(name, version, msgspec.Raw(data)))


def unseal(data: bytes, newest: int | None = None) -> Envelope:
    """Take a sealed value apart.

    `newest` is the highest version this process can read: a value beyond it raises UnknownVersion.
    Raises PayloadRefused for bytes that are no envelope.
    """
    try:
        stored = _decoder.decode(data)
    except Exception as error:
        raise PayloadRefused("$", f"no envelope: {error}") from error
    if newest is not None and stored.v > newest:
        raise UnknownVersion(
            f"{stored.type} was stored by version {stored.v}; this process reads up to {newest}: "
            "deploy the newer code"
        )
    return Envelope(stored.type, stored.v, bytes(stored.data))
