"""Keys and where they come from.

- ``CONTINUUM_CRYPTO_KEYS``: ``ID:BASE64`` with commas; the first writes, all of them read;
- ``CONTINUUM_CRYPTO_KEYS_FROM``: ``MODULE:FUNCTION``, a function without arguments that returns `Key`s in the
  same order: for keys that lie in a vault.

A key's id is stored beside what it encrypted, in the clear. The key is not, nor ever in a message.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from attrs import field, frozen

__all__ = ["Key", "flag", "keys_from"]

_KEYS = "CONTINUUM_CRYPTO_KEYS"
_FROM = "CONTINUUM_CRYPTO_KEYS_FROM"
_SIZE = 32
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_LONGEST_ID = 32


@frozen
class Key:
    """A key and its name. Raises ValueError for a name or a size that will not do.

    :ivar id: 1 to 32 letters, digits, dots, hyphens and underscores; never use one again for another key.
    :ivar secret: 32 random bytes.
    """

    id: str
    secret: bytes = field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.id) <= _LONGEST_ID or not _ID.issuperset(self.id):
            raise ValueError(f"a key's id cannot be {self.id!r}: 1 to 32 letters, digits, dots, hyphens, _")
        if len(self.secret) != _SIZE:
            raise ValueError(f"key {self.id!r} has {len(self.secret)} bytes; it must have {_SIZE}")


def keys_from(environment: Mapping[str, str]) -> Callable[[], Iterable[Key]] | None:
    """What gives the keys that an environment names; None where it names none. Raises ValueError."""
    text, place = environment.get(_KEYS, ""), environment.get(_FROM, "")
    if text and place:
        raise ValueError(f"{_KEYS} and {_FROM} are both set; use one of them")
    if place:
        return _function(place)
    if not text:
        return None
    found = tuple(_key(each.strip()) for each in text.split(",") if each.strip())
    return lambda: found


def _key(text: str) -> Key:
    id_, colon, secret = text.partition(":")
    if not colon:
        raise ValueError(f"{_KEYS}: a key is ID:BASE64, such as 2026-a:$(openssl rand -base64 32)")
    try:
        return Key(id_, base64.b64decode(secret, validate=True))
    except binascii.Error:
        raise ValueError(f"{_KEYS}: key {id_!r} is no base64") from None


def _function(place: str) -> Callable[[], Iterable[Key]]:
    module, colon, name = place.partition(":")
    if not colon:
        raise ValueError(f"{_FROM} should be MODULE:FUNCTION, not {place!r}")
    loaded = importlib.import_module(module)  # noqa: TID251 (whoever configures the process typed it)
    found = getattr(loaded, name, None)
    if not callable(found):
        raise ValueError(f"{_FROM}: module {module} has no function {name!r}")
    return cast(Callable[[], Iterable[Key]], found)


def flag(environment: Mapping[str, str], name: str) -> bool:
    """Whether a setting is on. Raises ValueError for a word that is neither yes nor no."""
    word = environment.get(name, "").strip().lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("", "0", "no", "false", "off"):
        return False
    raise ValueError(f"{name} is {word!r}; it should be 1 or 0")
