"""Typed values ⇄ JSON bytes, exactly or not at all.

`encode` writes what `decode` gives back equal and of the same type; anything else is refused with the
path. `decode` trusts rows we wrote and is the engine's quick path; `parse` trusts nobody. A field that
a stored row has and the class has not is ignored by `decode`: it was written by another version.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar, overload

import attrs
import msgspec

from continuum_core.codec.annotations import type_name
from continuum_core.codec.node import Node, Refusal, class_of, read_error
from continuum_core.codec.plan import plan
from continuum_core.codec.strict import check_text, load
from continuum_core.errors import CodecError, PayloadRefused, UnknownVersion

__all__ = ["LIMITS", "Codec", "Limits", "codec_for", "unsupported"]

T = TypeVar("T")

_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


@attrs.frozen
class Limits:
    """What one payload may be: `size` in bytes of JSON, `depth` in levels of arrays and objects."""

    size: int = 1 << 20
    depth: int = 64


LIMITS = Limits()


class Codec(Generic[T]):
    """The codec of one type; make it with `codec_for`."""

    def __init__(self, tp: Any, node: Node, limits: Limits) -> None:
        self.tp = tp
        self.name = type_name(tp)
        self.limits = limits
        self.node = node
        self._check = node.check
        # Of int, str and the like the class says all: one comparison saves a call.
        self._plain = node.types[0] if node.settled and len(node.types) == 1 else None
        self._lower = None if node.whole_writes else node.lower
        self._decoder = msgspec.json.Decoder(tp).decode if node.whole_reads else None

    def __repr__(self) -> str:
        return f"Codec({self.name})"

    def encode(self, value: T) -> bytes:
        """The value as JSON bytes; equal values of types without dicts have equal bytes.

        Raises PayloadRefused, with the path, for a value that would not come back equal, and for one
        beyond the limits.
        """
        try:
            if class_of(value) is not self._plain:
                self._check(value, self.limits.depth)
            data = _write(value if self._lower is None else self._lower(value))
        except Refusal as refusal:
            raise refusal.refused() from None
        except UnicodeEncodeError as error:
            raise self._bad_text(value) or PayloadRefused("$", f"cannot be written: {error}") from None
        except RecursionError:
            raise PayloadRefused("$", "nested too deep, or the value contains itself") from None
        except Exception as error:  # an attribute never set, an integer of 5,000 digits
            raise PayloadRefused("$", f"cannot be written: {error}") from error
        if len(data) > self.limits.size:
            size = f"{len(data):,} bytes, the limit is {self.limits.size:,}"
            raise PayloadRefused("$", f"{size}; store it elsewhere and carry its name")
        # One scan of the output instead of one of every string; a text that spells the escape is let go.
        if b"\\u0000" in data:
            refused = self._bad_text(value)
            if refused is not None:
                raise refused
        return data

    def decode(self, data: bytes) -> T:
        """The value of stored bytes.

        Raises PayloadRefused when they do not fit the type, UnknownVersion when they name a class of
        a union that this process does not know.
        """
        try:
            if self._decoder is not None:
                read: T = self._decoder(data)
                return read
            lifted: T = self.node.lift(_read(data), False)
            return lifted
        except msgspec.ValidationError as error:
            raise read_error(error).refused() from error
        except Refusal as refusal:
            if refusal.version:
                raise UnknownVersion(f"{self.name} at {refusal.path}: {refusal.reason}") from None
            raise refusal.refused() from refusal.__cause__
        except Exception as error:  # not JSON at all, or the class's own __attrs_post_init__ failed
            raise PayloadRefused("$", f"cannot be read as {self.name}: {error}") from error

    def parse(self, text: str | bytes) -> T:
        """The value of JSON that somebody handed in; raises PayloadRefused with the path and what to do."""
        try:
            found = load(text, self.limits.size, self.limits.depth)
            lifted: T = self.node.lift(found, True)
            # Whatever is accepted here can be stored: defaults and converted values are checked, too.
            self._check(lifted, self.limits.depth)
        except Refusal as refusal:
            raise refusal.refused() from refusal.__cause__
        except Exception as error:
            raise PayloadRefused("$", f"cannot be read as {self.name}: {error}") from error
        return lifted

    def _bad_text(self, value: Any) -> PayloadRefused | None:
        """Where the value holds text that cannot be kept; None when it does not."""
        try:
            _find_text(msgspec.to_builtins(value if self._lower is None else self._lower(value)))
        except Refusal as refusal:
            return refusal.refused()
        return None


def _find_text(found: Any) -> None:
    cls = class_of(found)
    if cls is str:
        check_text(found)
    elif cls is dict:
        for key, item in found.items():
            try:
                _find_text(key)
            except Refusal as refusal:
                raise Refusal(f"a key: {refusal.reason}") from None
            try:
                _find_text(item)
            except Refusal as refusal:
                raise refusal.at(f".{key}") from None
    elif cls is list or cls is tuple:
        for index, item in enumerate(found):
            try:
                _find_text(item)
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from None


@overload
def codec_for(tp: type[T], limits: Limits = ...) -> Codec[T]: ...
@overload
def codec_for(tp: object, limits: Limits = ...) -> Codec[Any]: ...
def codec_for(tp: Any, limits: Limits = LIMITS) -> Codec[Any]:
    """The codec of a type; planned once and kept. Raises CodecError for a type that cannot be carried."""
    try:
        return _cached(tp, limits)
    except TypeError:  # an unhashable type (Annotated with a list): planned each time
        return _make(tp, limits)


def _make(tp: Any, limits: Limits) -> Codec[Any]:
    node, faults = plan(tp, type_name(tp))
    if faults or node is None:
        raise faults[0]
    return Codec(tp, node, limits)


_cached = lru_cache(maxsize=4096)(_make)


def unsupported(tp: object, path: str) -> list[CodecError]:
    """Everything in a type that cannot be carried, each with its place (below `path`) and remedy."""
    return plan(tp, path)[1]
