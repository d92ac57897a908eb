"""The client for plain code: every call in one class. What a call means is said by its asynchronous twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload

from continuum_core.arguments import Length
from continuum_core.blame import Change
from continuum_core.causes import Link
from continuum_core.client import Broadcast, Count, Wanted
from continuum_core.client.looking import page_of
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import Question
from continuum_core.forking import Edit
from continuum_core.journal.attributes import Value
from continuum_core.journal.commit import Pruned
from continuum_core.journal.records import RunStatus
from continuum_core.lineage import MOST, Lineage
from continuum_core.members import CrewView, Parent
from continuum_core.past import Moment
from continuum_core.sync_client.handle import SyncHandle, SyncRef, ref_of
from continuum_core.sync_client.starting import Starting
from continuum_core.view import RunView, Step

__all__ = ["SyncClient"]

R = TypeVar("R")
T = TypeVar("T")


class SyncClient(Starting):
    """A connection to a journal for plain code; see `Client` for the parameters.

    `client` is the asynchronous client behind it; `wait_for` runs any of its coroutines.
    """

    def send(
        self,
        run: SyncRef,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: Length | None = None,
        connection: object | None = None,
    ) -> None:
        """See `Client.send`. The connection is a plain one, not one for asyncio."""
        self.wait_for(
            self.client.send(ref_of(run), event, data, dedupe=dedupe, delay=delay, connection=connection)
        )

    @overload
    def ask(
        self, run: SyncRef, event: Question[R], *, timeout: Length | None = None, id: str | None = None
    ) -> R: ...
    @overload
    def ask(
        self,
        run: SyncRef,
        event: str,
        data: Any = None,
        *,
        timeout: Length | None = None,
        id: str | None = None,
    ) -> Any: ...
    def ask(
        self,
        run: SyncRef,
        event: Any,
        data: Any = None,
        *,
        timeout: Length | None = None,
        id: str | None = None,
    ) -> Any:
        """See `Client.ask`."""
        return self.wait_for(self.client.ask(ref_of(run), event, data, timeout=timeout, id=id))

    @overload
    def query(self, run: SyncRef, function: Callable[[Any], T]) -> T: ...
    @overload
    def query(self, run: SyncRef, function: Callable[[Any, RunView], T]) -> T: ...
    def query(self, run: SyncRef, function: Callable[..., Any]) -> Any:
        """See `Client.query`."""
        return self.wait_for(self.client.query(ref_of(run), function))

    def result(self, run: SyncRef, timeout: Length | None = None) -> Any:
        """See `Client.result`."""
        return self.wait_for(self.client.result(ref_of(run), timeout))

    def view(self, run: SyncRef) -> RunView:
        """See `Client.view`."""
        return self.wait_for(self.client.view(ref_of(run)))

    def history(self, run: SyncRef, after: int = 0, limit: int = 1_000) -> list[Step]:
        """See `Client.history`."""
        return self.wait_for(self.client.history(ref_of(run), after, limit))

    def list(
        self,
        *,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        status: RunStatus | str | None = None,
        parent: SyncRef | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunView], str | None]:
        """See `Client.list`."""
        work = self.client.list(
            machine=machine,
            status=status,
            parent=None if parent is None else ref_of(parent),
            created_from=created_from,
            created_to=created_to,
            limit=limit,
            cursor=cursor,
        )
        return self.wait_for(work)

    def runs(
        self,
        query: Wanted = "",
        *,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        status: RunStatus | str | None = None,
    ) -> Iterator[RunView]:
        """See `Client.runs`: a plain iterator."""
        cursor: str | None = None
        while True:
            page, cursor = self.wait_for(page_of(self.client, query, machine, status, cursor))
            yield from page
            if cursor is None:
                return

    def prune(
        self,
        older_than: Length,
        *,
        limit: int = 1_000,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        dry_run: bool = False,
        generations: bool = False,
    ) -> Pruned:
        """See `Client.prune`."""
        work = self.client.prune(
            older_than, limit=limit, machine=machine, dry_run=dry_run, generations=generations
        )
        return self.wait_for(work)

    def find(
        self, query: Wanted = "", *, limit: int = 100, cursor: str | None = None
    ) -> tuple[Sequence[RunView], str | None]:
        """See `Client.find`."""
        return self.wait_for(self.client.find(query, limit=limit, cursor=cursor))

    def count(self, query: Wanted = "", *, exact: bool = False) -> Count:
        """See `Client.count`."""
        return self.wait_for(self.client.count(query, exact=exact))

    def attributes(self, run: SyncRef) -> Mapping[str, Value | tuple[Value, ...]]:
        """See `Client.attributes`."""
        return self.wait_for(self.client.attributes(ref_of(run)))

    def set_attributes(
        self, run: SyncRef, values: Mapping[str, Any], why: str = "", *, who: str = ""
    ) -> None:
        """See `Client.set_attributes`."""
        self.wait_for(self.client.set_attributes(ref_of(run), values, why, who=who))

    def broadcast(
        self,
        query: Wanted,
        event: Any,
        data: Any = None,
        *,
        key: str,
        progress: Callable[[Broadcast], None] | None = None,
    ) -> Broadcast:
        """See `Client.broadcast`. `progress` is called on the client's own thread."""
        return self.wait_for(self.client.broadcast(query, event, data, key=key, progress=progress))

    def cancel(self, run: SyncRef, why: str = "", *, who: str = "") -> None:
        """See `Client.cancel`."""
        self.wait_for(self.client.cancel(ref_of(run), why, who=who))

    def suspend(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.suspend`."""
        return self.wait_for(self.client.suspend(ref_of(run), why, who=who))

    def resume(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.resume`."""
        return self.wait_for(self.client.resume(ref_of(run), why, who=who))

    def terminate(self, run: SyncRef, why: str = "", *, who: str = "") -> None:
        """See `Client.terminate`."""
        self.wait_for(self.client.terminate(ref_of(run), why, who=who))

    def unpark(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.unpark`."""
        return self.wait_for(self.client.unpark(ref_of(run), why, who=who))

    def at(self, run: SyncRef, point: int | datetime) -> Moment:
        """See `Client.at`."""
        return self.wait_for(self.client.at(ref_of(run), point))

    def fork(
        self,
        run: SyncRef,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
    ) -> SyncHandle[Any]:
        """See `Client.fork`."""
        work = self.client.fork(ref_of(run), version, ctx=ctx, key=key, machine=machine)
        return SyncHandle(self, self.wait_for(work))

    def reset(
        self,
        run: SyncRef,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | str | None = None,
        why: str = "",
        who: str = "",
    ) -> SyncHandle[Any]:
        """See `Client.reset`."""
        work = self.client.reset(ref_of(run), version, ctx=ctx, key=key, machine=machine, why=why, who=who)
        return SyncHandle(self, self.wait_for(work))

    def blame(self, run: SyncRef, field: str) -> Sequence[Change]:
        """See `Client.blame`."""
        return self.wait_for(self.client.blame(ref_of(run), field))

    def why(self, run: SyncRef, version: int | None = None) -> Sequence[Link]:
        """See `Client.why`."""
        return self.wait_for(self.client.why(ref_of(run), version))

    def followed(
        self, run: SyncRef, version: int | None = None, *, limit: int = 1_000
    ) -> tuple[Sequence[Link], bool]:
        """See `Client.followed`."""
        return self.wait_for(self.client.followed(ref_of(run), version, limit=limit))

    def lineage(self, run: SyncRef, *, most: int = MOST) -> Lineage:
        """See `Client.lineage`."""
        return self.wait_for(self.client.lineage(ref_of(run), most=most))

    def crews(self, run: SyncRef, *, most: int = 10) -> Sequence[CrewView]:
        """See `Client.crews`."""
        return self.wait_for(self.client.crews(ref_of(run), most=most))

    def parent(self, run: SyncRef) -> Parent | None:
        """See `Client.parent`."""
        return self.wait_for(self.client.parent(ref_of(run)))
