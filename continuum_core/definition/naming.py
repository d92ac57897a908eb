"""How a class is named in stored data. One rule, so that a name written by one side is found by the other.

A stored name is only ever compared, never imported.
"""

from __future__ import annotations

__all__ = ["LISTED", "qualified_name"]

LISTED = "_root"
"""The attribute with the root of a machine that was written as a list of steps; no step can be called so."""


def qualified_name(cls: type) -> str:
    """The name of `cls` with its module; builtins without one, as tracebacks print them."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"
