"""The payload codec: AES-256-GCM, a key of its own for each payload, what the payload is authenticated.

    length of the key's id  id  salt (16)  nonce (12)  ciphertext and tag

Each payload is encrypted under a key derived from the configured one and a random salt (HMAC-SHA256), so that
the limit of 2³² messages for random nonces under one key is never near. The associated data are the payload's
place (namespace, run, kind, version …) and its head: one that is put in another's place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from continuum_core.errors import PayloadLocked, UsageError
from continuum_crypto.keys import Key

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as missing:
    raise UsageError(
        "keys are configured for continuum_crypto, and its library is missing: "
        'pip install "continuum-core[crypto]"'
    ) from missing

__all__ = ["AesGcm"]

_SALT = 16
_NONCE = 12
_DIGEST = 16


class AesGcm:
    """The codec. Raises ValueError where there is no key, or two have one id.

    :param keys: the first writes, all of them read.
    :param required: refuse what was stored without it.
    """

    tag = "aes"
    order = 200
    writes = True

    def __init__(self, keys: tuple[Key, ...], *, required: bool = False) -> None:
        if not keys:
            raise ValueError("continuum_crypto needs at least one key")
        self._keys = {key.id: key.secret for key in keys}
        if len(self._keys) < len(keys):
            raise ValueError("continuum_crypto: two keys have the same id")
        self._writing = keys[0].id
        self.required = required
        self._digests = _derived(keys[0].secret, b"digest")

    def encode(self, data: bytes, bound: bytes) -> bytes:
        """Encrypt."""
        id_ = self._writing.encode()
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        cipher = AESGCM(_derived(self._keys[self._writing], salt))
        head = bytes([len(id_)]) + id_
        return head + salt + nonce + cipher.encrypt(nonce, data, bound + head)

    def decode(self, data: bytes, bound: bytes) -> bytes:
        """Decrypt. Raises PayloadLocked: its key is not here, or it is not what was stored in this place."""
        end = 1 + data[0] if data else 0
        if len(data) < end + _SALT + _NONCE + _DIGEST:
            raise PayloadLocked("it is too short to be what was stored")
        head = data[:end]
        id_ = head[1:].decode("ascii", "replace")
        secret = self._keys.get(id_)
        if secret is None:
            here = ", ".join(self._keys)
            raise PayloadLocked(f"it needs key {id_!r}, and this process has: {here}; give it that key, too")
        salt, nonce = data[end : end + _SALT], data[end + _SALT : end + _SALT + _NONCE]
        try:
            cipher = AESGCM(_derived(secret, salt))
            return cipher.decrypt(nonce, data[end + _SALT + _NONCE :], bound + head)
        except InvalidTag:
            raise PayloadLocked(
                f"it was changed, or put in the place of another one, or key {id_!r} is not the one it was "
                "written with"
            ) from None

    def digest(self, data: bytes) -> bytes:
        """A keyed digest, by the key that writes."""
        return hmac.digest(self._digests, data, hashlib.sha256)[:_DIGEST]


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, b"continuum-crypto-1" + purpose, hashlib.sha256)
