"""One run, as its starter or anyone else who knows its id holds it."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from continuum_core.errors import PayloadRefused
from continuum_core.registry import Entry
from continuum_core.view import RunView, Step

if TYPE_CHECKING:
    from continuum_core.client.client import Client

__all__ = ["Handle", "Ref", "run_id_of"]

O = TypeVar("O")  # noqa: E741


class Handle(Generic[O]):
    """One run, as its starter or anyone else who knows its id holds it."""

    __slots__ = ("_client", "entry", "id")

    def __init__(self, client: Client, run_id: UUID, entry: Entry | None = None) -> None:
        self.id = run_id
        self._client = client
        self.entry = entry

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    async def send(
        self,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: timedelta | None = None,
        connection: object | None = None,
    ) -> None:
        """Send the run an event; see `Client.send`."""
        await self._client.send(self, event, data, dedupe=dedupe, delay=delay, connection=connection)

    def result(self, timeout: float | None = None) -> Coroutine[Any, Any, O]:
        """Wait for the result; see `Client.result`."""
        return self._client.result(self, timeout)

    async def view(self) -> RunView:
        """The run as it is now. Raises RunNotFound."""
        return await self._client.view(self)

    async def history(self, after: int = 0, limit: int = 1_000) -> list[Step]:
        """What happened, oldest first."""
        return await self._client.history(self, after, limit)

    async def cancel(self, reason: str = "", *, who: str = "") -> None:
        """Ask the run to stop; acknowledged, it is not lost. Raises RunOver, RunNotFound."""
        await self._client.cancel(self, reason, who=who)


Ref = Handle[Any] | UUID | str


def run_id_of(run: UUID | str) -> UUID:
    if isinstance(run, UUID):
        return run
    try:
        return UUID(run)
    except ValueError:
        raise PayloadRefused(
            "run", f"{run!r} is not a run id; a run started with a key is found by get()"
        ) from None
