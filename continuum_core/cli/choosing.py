"""The option that chooses runs by a query, and what it finds.

Rule: ``--query`` is it for every verb that takes one; what a verb cannot do without may stand alone as well.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from continuum_core.cli.strange import warn_strange
from continuum_core.client import Client

__all__ = ["Spelt", "Which", "found_by", "one_of"]

Which = Annotated[
    str | None, typer.Option("--query", "-q", metavar="QUERY", help="Those that it finds, of these.")
]

Spelt = Annotated[
    str | None,
    typer.Option("--query", "-q", metavar="QUERY", help="The same, as other verbs take it."),
]


def one_of(words: str | None, query: str | None) -> str | None:
    """The query that was given, in either way. Raises typer.BadParameter where it was given in both."""
    if words is not None and query is not None:
        raise typer.BadParameter("a query is given once: as it is, or with --query", param_hint="QUERY")
    return query if words is None else words


async def found_by(
    client: Client, query: str, machine: str | None = None, *, as_json: bool = False
) -> list[UUID]:
    """The runs that a query finds, in its order, each once. Raises QueryRefused.

    :param machine: of these, those of this machine. The query stays as it was written: errors show it.
    """
    await warn_strange(client.journal, query, as_json=as_json)
    found = [view.id async for view in client.runs(query) if machine in (None, view.machine)]
    return list(dict.fromkeys(found))
