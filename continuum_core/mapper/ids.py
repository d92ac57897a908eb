"""How runs and machines are named in storage."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

__all__ = ["derive_run_id", "machine_name"]

_RUNS = UUID("6d3c2a0e-5d3b-5c57-9a35-0b8f5c1d7e42")
"""The UUID namespace under which keyed runs derive their ids. Never change it."""


def machine_name(machine: Any) -> str:
    """The name of a machine that is given as its class or by its name."""
    return machine if isinstance(machine, str) else str(machine.chart.name)


def derive_run_id(namespace: str, machine: str, key: str) -> UUID:
    """The id of the run started with `key`: anyone who knows the three can address it."""
    return uuid5(_RUNS, f"{namespace}\x00{machine}\x00{key}")
