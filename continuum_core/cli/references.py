"""Which run is meant: an id, or `machine/key`; and errors about it in the words that were typed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from continuum_core.arguments import suggestion
from continuum_core.cli.reasons import reason_of
from continuum_core.cli.strange import strange_machine
from continuum_core.client import Client, Handle
from continuum_core.errors import RunNotFound, RunOver, TooManyPending, UnexpectedEvent
from continuum_core.view import RunView

__all__ = ["find", "name_of", "named"]


def name_of(view: RunView) -> str:
    """What a run is called: ``machine/key``, or its id."""
    return f"{view.machine}/{view.key}" if view.key is not None else str(view.id)


def find(client: Client, run: str) -> Handle[Any]:
    """The handle of a run that was typed. Nothing is read. Raises UsageError for what cannot be one."""
    return client.handle(run)


@asynccontextmanager
async def named(client: Client, run: str) -> AsyncGenerator[Handle[Any], None]:
    """The run's handle; within it, errors about the run call it by what was typed, and say what helps."""
    handle = find(client, run)
    try:
        yield handle
    except RunNotFound:
        told = RunNotFound(run)
        for hint in await _hints(client, run, handle.id):
            told.add_note(hint)
        raise told from None
    except RunOver:
        moved = (await reason_of(client, await client.view(handle))).moved
        over = RunOver(run, moved)
        over.add_note(f"give --journal {moved}" if moved else f"`continuum show {run}` tells how it ended")
        raise over from None
    except TooManyPending as error:
        raise TooManyPending(run, error.cap) from None
    except UnexpectedEvent as error:
        if hint := suggestion(error.event, error.known):
            error.add_note(hint)
        raise


async def _hints(client: Client, run: str, run_id: UUID) -> list[str]:
    machine, slash, _ = run.partition("/")
    hints: list[str] = []
    if slash and (strange := await strange_machine(client.journal, machine)):
        hints.append(strange)
    where = f"this is namespace {client.namespace!r} of the journal"
    hints.append(f"{where}, where it would have the id {run_id}" if slash else where)
    return hints
