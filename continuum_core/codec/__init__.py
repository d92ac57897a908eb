"""Typed values ⇄ JSON bytes: see `codec` for the promise, `plan` for which types are carried."""

from continuum_core.codec.codec import LIMITS, Codec, Limits, codec_for, unsupported
from continuum_core.codec.describe import describe, schema
from continuum_core.codec.envelope import Envelope, Raw, seal, unseal
from continuum_core.codec.product import TAG
from continuum_core.codec.scalar import Json

__all__ = [
    "LIMITS",
    "TAG",
    "Codec",
    "Envelope",
    "Json",
    "Limits",
    "Raw",
    "codec_for",
    "describe",
    "schema",
    "seal",
    "unseal",
    "unsupported",
]
