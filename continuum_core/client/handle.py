"""One run, as its starter or anyone else who knows its id holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload
from uuid import UUID

from typing_extensions import TypeVar as Defaulting

from continuum_core.arguments import Length
from continuum_core.blame import Change
from continuum_core.causes import Link
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import Question
from continuum_core.errors import UsageError
from continuum_core.forking import Edit
from continuum_core.journal.attributes import Value
from continuum_core.lineage import MOST, Lineage
from continuum_core.members import CrewView, Parent
from continuum_core.past import Moment
from continuum_core.registry import Entry
from continuum_core.view import RunView, Step

if TYPE_CHECKING:
    from continuum_core.client.client import Client

__all__ = ["Handle", "Ref", "run_meant"]

C = Defaulting("C", default=Any)
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
T = TypeVar("T")


class Handle(Generic[O, C]):
    """One run, as its starter or anyone else who knows its id holds it.

    Typed by the result of its machine and, where the class was at hand, by its context.
    """

    __slots__ = ("_client", "entry", "id", "name")

    def __init__(self, client: Client, run_id: UUID, entry: Entry | None = None, name: str = "") -> None:
        self.id = run_id
        self._client = client
        self.entry = entry
        self.name = name  # machine/key, where it was got by them

    def __repr__(self) -> str:
        return f"<run {self.name} {self.id}>" if self.name else f"<run {self.id}>"

    async def send(
        self,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: Length | None = None,
        connection: object | None = None,
    ) -> None:
        """Send the run an event; see `Client.send`."""
        await self._client.send(self, event, data, dedupe=dedupe, delay=delay, connection=connection)

    @overload
    async def ask(self, event: Question[R], *, timeout: Length | None = None, id: str | None = None) -> R: ...
    @overload
    async def ask(
        self, event: str, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any: ...
    async def ask(
        self, event: Any, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any:
        """Send the run a question and wait for its reply; see `Client.ask`."""
        return await self._client.ask(self, event, data, timeout=timeout, id=id)

    @overload
    async def query(self, function: Callable[[C], T]) -> T: ...
    @overload
    async def query(self, function: Callable[[C, RunView[C]], T]) -> T: ...
    async def query(self, function: Callable[..., Any]) -> Any:
        """What a function makes of the run's context as it is; see `Client.query`."""
        return await self._client.query(self, function)

    def result(self, timeout: Length | None = None) -> Coroutine[Any, Any, O]:
        """Wait for the result; see `Client.result`."""
        return self._client.result(self, timeout)

    async def view(self) -> RunView[C]:
        """The run as it is now. Raises RunNotFound."""
        return await self._client.view(self)

    async def history(self, after: int = 0, limit: int = 1_000) -> list[Step]:
        """What happened, oldest first."""
        return await self._client.history(self, after, limit)

    async def cancel(self, why: str = "", *, who: str = "") -> None:
        """Ask the run to stop; acknowledged, it is not lost. Raises RunOver, RunNotFound."""
        await self._client.cancel(self, why, who=who)

    async def suspend(self, why: str = "", *, who: str = "") -> bool:
        """Let the run rest until it is resumed; see `Client.suspend`."""
        return await self._client.suspend(self, why, who=who)

    async def resume(self, why: str = "", *, who: str = "") -> bool:
        """Let the run go on, if it is suspended; see `Client.resume`."""
        return await self._client.resume(self, why, who=who)

    async def terminate(self, why: str = "", *, who: str = "") -> None:
        """End the run at once; see `Client.terminate`."""
        await self._client.terminate(self, why, who=who)

    async def unpark(self, why: str = "", *, who: str = "") -> bool:
        """Let the run try again, if it is parked; see `Client.unpark`."""
        return await self._client.unpark(self, why, who=who)

    async def attributes(self) -> Mapping[str, Value | tuple[Value, ...]]:
        """What the run is found by; see `Client.attributes`."""
        return await self._client.attributes(self)

    async def set_attributes(self, values: Mapping[str, Any], why: str = "", *, who: str = "") -> None:
        """Set attributes that are for clients to set; see `Client.set_attributes`."""
        await self._client.set_attributes(self, values, why, who=who)

    async def at(self, point: int | datetime) -> Moment:
        """The run as it was at an earlier point; see `Client.at`."""
        return await self._client.at(self, point)

    async def fork(
        self,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
    ) -> Handle[O, C]:
        """Start another run that goes on from this one's past; see `Client.fork`."""
        return await self._client.fork(self, version, ctx=ctx, key=key, machine=machine)

    async def reset(
        self,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        why: str = "",
        who: str = "",
    ) -> Handle[O, C]:
        """Fork the run and terminate it; see `Client.reset`."""
        return await self._client.reset(self, version, ctx=ctx, key=key, machine=machine, why=why, who=who)

    async def blame(self, field: str) -> Sequence[Change]:
        """Which records set a field of the context, newest first; see `Client.blame`."""
        return await self._client.blame(self, field)

    async def why(self, version: int | None = None) -> Sequence[Link]:
        """The way from a record back to its root cause; see `Client.why`."""
        return await self._client.why(self, version)

    async def followed(
        self, version: int | None = None, *, limit: int = 1_000
    ) -> tuple[Sequence[Link], bool]:
        """All that followed from a record, and whether there is more; see `Client.followed`."""
        return await self._client.followed(self, version, limit=limit)

    async def crews(self, *, most: int = 10) -> Sequence[CrewView]:
        """The child runs that the run waits for, and its members; see `Client.crews`."""
        return await self._client.crews(self, most=most)

    async def parent(self) -> Parent | None:
        """The run that this one is a child or a fork of; see `Client.parent`."""
        return await self._client.parent(self)

    async def lineage(self, *, most: int = MOST) -> Lineage:
        """All runs that hang together with this one; see `Client.lineage`."""
        return await self._client.lineage(self, most=most)


Ref = Handle[Any] | UUID | str
"""A run: its handle, its id, or ``machine/key``."""


def run_meant(run: object) -> UUID | tuple[str, str]:
    """The id of a run, or the machine and the key that it is named by. Raises UsageError."""
    if isinstance(run, UUID):
        return run
    if isinstance(run, str):
        with contextlib.suppress(ValueError):
            return UUID(run)
        machine, _, key = run.partition("/")
        if machine and key:
            return machine, key
    raise UsageError(f"{run!r} names no run; give its id, or MACHINE/KEY, such as order/o-1")
