"""What a planted bug is: names of the code under test, each with what stands in its place."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Limits

__all__ = ["Plant", "backend"]

Plant = tuple[Any, str, Any]
"""(where, the name there, what to put in its place)."""


def backend(noun: str) -> ModuleType:
    """A module of the memory backend, found from its URL: the core names no backend."""
    package = type(connect("memory://", "default", Limits())).__module__.rpartition(".")[0]
    return importlib.import_module(f"{package}.{noun}")
