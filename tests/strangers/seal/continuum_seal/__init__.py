"""A plugin that seals stored payloads: a changed one is refused, and counted.

The key comes from the environment. Without it nothing is written or read: a worker that went on would store
payloads that nobody could tell from forged ones.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer

from continuum_core.errors import PayloadLocked
from continuum_core.hooks import HealthSection, PayloadCodec, RunFacts, hookimpl

__all__ = ["HOOKS_VERSION", "KEY", "Seal", "counts"]

HOOKS_VERSION = 2

KEY = "CONTINUUM_SEAL_KEY"
"""Environment variable: the key, 64 hexadecimal digits."""

counts: Counter[str] = Counter()
"""What happened in this process: runs that parked, and payloads whose seal was broken."""

_SEAL = hashlib.sha256().digest_size


class Seal:
    """A payload codec: the seal, then the payload."""

    tag = "seal"
    order = 300  # after encryption: what is stored is what is sealed
    writes = True
    required = True  # a payload without a seal may be anybody's

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, data: bytes, bound: bytes) -> bytes:
        return self._seal(data, bound) + data

    def decode(self, data: bytes, bound: bytes) -> bytes:
        seal, plain = data[:_SEAL], data[_SEAL:]
        if not hmac.compare_digest(seal, self._seal(plain, bound)):
            counts["broken seals"] += 1
            raise PayloadLocked("a payload's seal is broken: it was changed, or sealed with another key")
        return plain

    def digest(self, data: bytes) -> bytes | None:
        return hmac.digest(self._key, b"digest" + data, "sha256")[:16]

    def _seal(self, data: bytes, bound: bytes) -> bytes:
        length = len(bound).to_bytes(4, "big")  # so that no byte can wander from one to the other
        return hmac.digest(self._key, b"seal" + length + bound + data, "sha256")


def _key() -> bytes:
    try:
        key = bytes.fromhex(os.environ.get(KEY, ""))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{KEY} is no key of 64 hexadecimal digits: make one with `continuum seal --new`")
    return key


@hookimpl
def payload_codecs() -> Iterable[PayloadCodec]:
    return [Seal(_key())]


@hookimpl
def run_parked(run: RunFacts) -> None:
    counts["parked runs"] += 1


@hookimpl
def health_sections() -> Iterable[HealthSection]:
    told = {what: counts[what] for what in ("parked runs", "broken seals")}
    return [HealthSection("seal", not counts["broken seals"], told)]


@hookimpl
def register_commands(app: typer.Typer) -> None:
    @app.command("seal")
    def seal(
        new: Annotated[bool, typer.Option("--new", help="Print a new key.")] = False,
    ) -> None:
        """Say which key seals payloads here, by its first digits; exit with 1 where there is none."""
        if new:
            typer.echo(secrets.token_hex(32))
            return
        try:
            key = _key()
        except ValueError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"sealed with key {hashlib.sha256(key).hexdigest()[:8]}")
