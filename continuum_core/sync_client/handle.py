"""A handle on one run for plain code; each method waits for its asynchronous twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

from typing_extensions import TypeVar as Defaulting

from continuum_core.arguments import Length
from continuum_core.blame import Change
from continuum_core.causes import Link
from continuum_core.client import Handle
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import Question
from continuum_core.forking import Edit
from continuum_core.journal.attributes import Value
from continuum_core.lineage import MOST, Lineage
from continuum_core.members import CrewView, Parent
from continuum_core.past import Moment
from continuum_core.sync_client.connected import Connected
from continuum_core.view import RunView, Step

__all__ = ["SyncHandle", "SyncRef", "ref_of"]

C = Defaulting("C", default=Any)
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
T = TypeVar("T")


class SyncHandle(Generic[O, C]):
    """One run; see `Handle`."""

    __slots__ = ("_client", "handle")

    def __init__(self, client: Connected, handle: Handle[O, C]) -> None:
        self._client = client
        self.handle = handle

    def __repr__(self) -> str:
        return repr(self.handle)

    @property
    def id(self) -> UUID:
        return self.handle.id

    @property
    def name(self) -> str:
        return self.handle.name

    def send(
        self,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: Length | None = None,
        connection: object | None = None,
    ) -> None:
        """See `Handle.send`. The connection is a plain one, not one for asyncio."""
        self._client.wait_for(
            self.handle.send(event, data, dedupe=dedupe, delay=delay, connection=connection)
        )

    @overload
    def ask(self, event: Question[R], *, timeout: Length | None = None, id: str | None = None) -> R: ...
    @overload
    def ask(
        self, event: str, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any: ...
    def ask(
        self, event: Any, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any:
        """See `Handle.ask`."""
        return self._client.wait_for(self.handle.ask(event, data, timeout=timeout, id=id))

    @overload
    def query(self, function: Callable[[C], T]) -> T: ...
    @overload
    def query(self, function: Callable[[C, RunView[C]], T]) -> T: ...
    def query(self, function: Callable[..., Any]) -> Any:
        """See `Handle.query`."""
        return self._client.wait_for(self.handle.query(function))

    def result(self, timeout: Length | None = None) -> O:
        """See `Handle.result`."""
        return self._client.wait_for(self.handle.result(timeout))

    def view(self) -> RunView[C]:
        """See `Handle.view`."""
        return self._client.wait_for(self.handle.view())

    def history(self, after: int = 0, limit: int = 1_000) -> list[Step]:
        """See `Handle.history`."""
        return self._client.wait_for(self.handle.history(after, limit))

    def attributes(self) -> Mapping[str, Value | tuple[Value, ...]]:
        """See `Handle.attributes`."""
        return self._client.wait_for(self.handle.attributes())

    def set_attributes(self, values: Mapping[str, Any], why: str = "", *, who: str = "") -> None:
        """See `Handle.set_attributes`."""
        self._client.wait_for(self.handle.set_attributes(values, why, who=who))

    def cancel(self, why: str = "", *, who: str = "") -> None:
        """See `Handle.cancel`."""
        self._client.wait_for(self.handle.cancel(why, who=who))

    def suspend(self, why: str = "", *, who: str = "") -> bool:
        """See `Handle.suspend`."""
        return self._client.wait_for(self.handle.suspend(why, who=who))

    def resume(self, why: str = "", *, who: str = "") -> bool:
        """See `Handle.resume`."""
        return self._client.wait_for(self.handle.resume(why, who=who))

    def terminate(self, why: str = "", *, who: str = "") -> None:
        """See `Handle.terminate`."""
        self._client.wait_for(self.handle.terminate(why, who=who))

    def unpark(self, why: str = "", *, who: str = "") -> bool:
        """See `Handle.unpark`."""
        return self._client.wait_for(self.handle.unpark(why, who=who))

    def at(self, point: int | datetime) -> Moment:
        """See `Handle.at`."""
        return self._client.wait_for(self.handle.at(point))

    def fork(
        self,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
    ) -> SyncHandle[O, C]:
        """See `Handle.fork`."""
        work = self.handle.fork(version, ctx=ctx, key=key, machine=machine)
        return SyncHandle(self._client, self._client.wait_for(work))

    def reset(
        self,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        why: str = "",
        who: str = "",
    ) -> SyncHandle[O, C]:
        """See `Handle.reset`."""
        work = self.handle.reset(version, ctx=ctx, key=key, machine=machine, why=why, who=who)
        return SyncHandle(self._client, self._client.wait_for(work))

    def blame(self, field: str) -> Sequence[Change]:
        """See `Handle.blame`."""
        return self._client.wait_for(self.handle.blame(field))

    def why(self, version: int | None = None) -> Sequence[Link]:
        """See `Handle.why`."""
        return self._client.wait_for(self.handle.why(version))

    def followed(self, version: int | None = None, *, limit: int = 1_000) -> tuple[Sequence[Link], bool]:
        """See `Handle.followed`."""
        return self._client.wait_for(self.handle.followed(version, limit=limit))

    def crews(self, *, most: int = 10) -> Sequence[CrewView]:
        """See `Handle.crews`."""
        return self._client.wait_for(self.handle.crews(most=most))

    def parent(self) -> Parent | None:
        """See `Handle.parent`."""
        return self._client.wait_for(self.handle.parent())

    def lineage(self, *, most: int = MOST) -> Lineage:
        """See `Handle.lineage`."""
        return self._client.wait_for(self.handle.lineage(most=most))


SyncRef = SyncHandle[Any] | UUID | str


def ref_of(run: SyncRef) -> Any:
    """What the asynchronous client takes for it."""
    return run.handle if isinstance(run, SyncHandle) else run
