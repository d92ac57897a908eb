"""How runs and machines are named in storage, and how a start is told from another."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID, uuid5

import msgspec

__all__ = ["derive_run_id", "machine_name", "start_digest"]

_RUNS = UUID("6d3c2a0e-5d3b-5c57-9a35-0b8f5c1d7e42")
"""The UUID namespace under which keyed runs derive their ids. Never change it."""


def machine_name(machine: Any) -> str:
    """The name of a machine that is given as its class or by its name."""
    return machine if isinstance(machine, str) else str(machine.chart.name)


def derive_run_id(namespace: str, machine: str, key: str) -> UUID:
    """The id of the run started with `key`: anyone who knows the three can address it."""
    return uuid5(_RUNS, f"{namespace}\x00{machine}\x00{key}")


def start_digest(machine: str, data: bytes) -> bytes:
    """Tells a repeated start from another one: the same value, however its JSON was laid out."""
    canonical = msgspec.json.encode(msgspec.json.decode(data), order="deterministic")
    return hashlib.blake2b(machine.encode() + b"\x00" + canonical, digest_size=16).digest()
