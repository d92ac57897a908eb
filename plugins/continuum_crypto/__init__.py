"""Payloads encrypted with AES-256-GCM: what a journal keeps of users' data is unreadable without a key.

It acts only where keys are configured, in the environment or by a program of yours; see `keys`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from continuum_core.hooks import PayloadCodec, hookimpl
from continuum_crypto.keys import Key, flag, keys_from

__all__ = ["HOOKS_VERSION", "Crypto", "Key", "payload_codecs"]

HOOKS_VERSION = 2


class Crypto:
    """The plugin, for programs that bring their keys: ``Worker(…, plugins=Plugins(Crypto(keys)))``.

    :param keys: called when a worker or client is made; the first key writes, all of them read.
    :param required: refuse what was stored without encryption.
    """

    HOOKS_VERSION = HOOKS_VERSION

    def __init__(self, keys: Callable[[], Iterable[Key]], *, required: bool = False) -> None:
        self._keys = keys
        self._required = required

    @hookimpl
    def payload_codecs(self) -> Iterable[PayloadCodec]:
        """One codec, on the keys as they are now."""
        # Only where keys are: importing the library takes longer than many a command of the command line.
        from continuum_crypto.aes import AesGcm  # noqa: PLC0415

        return [AesGcm(tuple(self._keys()), required=self._required)]


@hookimpl
def payload_codecs() -> Iterable[PayloadCodec]:
    """The codec on the keys of the environment; none where it names none."""
    found = keys_from(os.environ)
    if found is None:
        return []
    return Crypto(found, required=flag(os.environ, "CONTINUUM_CRYPTO_REQUIRED")).payload_codecs()
