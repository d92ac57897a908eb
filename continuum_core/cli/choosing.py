"""The option that chooses runs by a query, for verbs that take others as well, and what it finds."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from continuum_core.client import Client

__all__ = ["Which", "found_by"]

Which = Annotated[
    str | None, typer.Option("--query", "-q", metavar="QUERY", help="Those that it finds, of these.")
]


async def found_by(client: Client, query: str, machine: str | None = None) -> list[UUID]:
    """The runs that a query finds, in its order, each once. Raises QueryRefused.

    :param machine: of these, those of this machine. The query stays as it was written: errors show it.
    """
    found = [view.id async for view in client.runs(query) if machine in (None, view.machine)]
    return list(dict.fromkeys(found))
