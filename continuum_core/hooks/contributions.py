"""What plugins contribute: payload codecs, type handlers, redactors. Their shapes."""

from __future__ import annotations

from typing import Any, Protocol

from continuum_core.codec.handled import TypeHandler

__all__ = ["PayloadCodec", "Redactor", "TypeHandler"]


class PayloadCodec(Protocol):
    """Bytes to bytes, around every payload that a journal keeps: compression, encryption.

    Not to be taken for the codec of typed values, which has made JSON of them before. Codecs are called from
    several threads at once, and must give the same plain bytes for ever.

    :ivar tag: the word by which stored payloads name it: 1 to 16 of ``a-z 0-9 -``. Never change it.
    :ivar order: codecs write in rising order and read in falling order: compression has 100, encryption 200.
    :ivar writes: False for one that is here only to read what was written when it was in use.
    :ivar required: True for one without which no stored payload is taken for real: a plain one, which was
        written before the codec was in use or put there by somebody else, is locked then.
    """

    @property
    def tag(self) -> str: ...

    @property
    def order(self) -> int: ...

    @property
    def writes(self) -> bool: ...

    @property
    def required(self) -> bool: ...

    def encode(self, data: bytes, bound: bytes) -> bytes:
        """What is stored for `data`; never called where `writes` is False.

        Raises anything where it cannot be written now: callers are told, and a worker's work waits.

        :param bound: says what the payload is (namespace, run, kind, version): to be authenticated by a codec
            that authenticates, and not part of what is stored.
        """
        ...

    def decode(self, data: bytes, bound: bytes) -> bytes:
        """What `encode` was given. Raises PayloadLocked: a key is not here, or it is not what was stored."""
        ...

    def digest(self, data: bytes) -> bytes | None:
        """A keyed digest of `data`, 16 bytes; None where this codec has no key.

        The journal keeps one of every input, to tell a repeated start from another one. Unkeyed, it would let
        who reads the journal try inputs until one fits.
        """
        ...


class Redactor(Protocol):
    """Hides what people and programs outside are not to see: in logs, on the command line, in exports.

    Values that application code asks the client for are not touched.
    """

    def data(self, value: Any) -> Any:
        """The same value with parts hidden.

        :param value: JSON values, or a typed value (an instance of an attrs class or dataclass): then what is
            returned may be JSON values.
        """
        ...

    def text(self, text: str) -> str:
        """The same line or lines with parts hidden."""
        ...
