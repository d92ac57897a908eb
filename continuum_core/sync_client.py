"""The client for programs without an event loop: the same client, on a thread of its own.

Nothing is written twice: each method hands its asynchronous twin to the loop on that thread and
waits. It may be called from any thread, and from several at once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

from continuum_core.blame import Change
from continuum_core.causes import Link
from continuum_core.client import Broadcast, Client, Count, Handle, Wanted
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import Question
from continuum_core.errors import UsageError
from continuum_core.forking import Edit
from continuum_core.journal.attributes import Value
from continuum_core.journal.connect import Target
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.lineage import MOST, Lineage
from continuum_core.members import CrewView, Parent
from continuum_core.past import Moment
from continuum_core.view import RunView, Step

__all__ = ["SyncClient", "SyncHandle"]

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
T = TypeVar("T")


class SyncHandle(Generic[O]):
    """One run; see `Handle`."""

    __slots__ = ("_client", "handle")

    def __init__(self, client: SyncClient, handle: Handle[O]) -> None:
        self._client = client
        self.handle = handle

    def __repr__(self) -> str:
        return repr(self.handle)

    @property
    def id(self) -> UUID:
        return self.handle.id

    def send(
        self,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: timedelta | None = None,
        connection: object | None = None,
    ) -> None:
        """See `Handle.send`. The connection is a plain one, not one for asyncio."""
        self._client.wait_for(
            self.handle.send(event, data, dedupe=dedupe, delay=delay, connection=connection)
        )

    @overload
    def ask(self, event: Question[R], *, timeout: float | None = None, id: str | None = None) -> R: ...
    @overload
    def ask(
        self, event: str, data: Any = None, *, timeout: float | None = None, id: str | None = None
    ) -> Any: ...
    def ask(
        self, event: Any, data: Any = None, *, timeout: float | None = None, id: str | None = None
    ) -> Any:
        """See `Handle.ask`."""
        return self._client.wait_for(self.handle.ask(event, data, timeout=timeout, id=id))

    @overload
    def query(self, function: Callable[[Any], T]) -> T: ...
    @overload
    def query(self, function: Callable[[Any, RunView], T]) -> T: ...
    def query(self, function: Callable[..., Any]) -> Any:
        """See `Handle.query`."""
        return self._client.wait_for(self.handle.query(function))

    def result(self, timeout: float | None = None) -> O:
        """See `Handle.result`."""
        return self._client.wait_for(self.handle.result(timeout))

    def view(self) -> RunView:
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

    def cancel(self, reason: str = "", *, who: str = "") -> None:
        """See `Handle.cancel`."""
        self._client.wait_for(self.handle.cancel(reason, who=who))

    def at(self, point: int | datetime) -> Moment:
        """See `Handle.at`."""
        return self._client.wait_for(self.handle.at(point))

    def fork(
        self,
        version: int,
        *,
        ctx: Edit | None = None,
        key: str | None = None,
        machine: type[Machine[Any, Any, Any]] | None = None,
    ) -> SyncHandle[O]:
        """See `Handle.fork`."""
        work = self.handle.fork(version, ctx=ctx, key=key, machine=machine)
        return SyncHandle(self._client, self._client.wait_for(work))

    def blame(self, field: str) -> Sequence[Change]:
        """See `Handle.blame`."""
        return self._client.wait_for(self.handle.blame(field))

    def why(self, version: int | None = None) -> Sequence[Link]:
        """See `Handle.why`."""
        return self._client.wait_for(self.handle.why(version))

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


class SyncClient:
    """A connection to a journal for plain code; see `Client` for the parameters.

    `client` is the asynchronous client behind it; `wait_for` runs any of its coroutines.
    """

    def __init__(
        self,
        journal: Target,
        machines: Iterable[type[Machine[Any, Any, Any]]] = (),
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        patience: float = 10.0,
        poll: float = 5.0,
    ) -> None:
        self.client = Client(
            journal, machines, namespace=namespace, limits=limits, patience=patience, poll=poll
        )
        self.client.apart = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def __enter__(self) -> SyncClient:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Start the thread and open the journal. Raises what `Client.open` raises."""
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._loop.run_forever, name="continuum-client", daemon=True)
        self._thread.start()
        try:
            self.wait_for(self.client.open())
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Give everything back."""
        if self._loop is not None and os.getpid() == self._process:
            try:
                self.wait_for(self.client.close())
            finally:
                self._stop()

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of `client` on its loop and return what it returns."""
        loop = self._loop
        refused = ""
        if loop is None:
            refused = "this client is not open; use `with SyncClient(...) as client:`"
        elif os.getpid() != self._process:
            refused = "this client was opened before a fork; open a new one in the child process"
        elif threading.current_thread() is self._thread:
            refused = "this is the client's own thread; await the methods of `client` here"
        if loop is None or refused:
            work.close()
            raise UsageError(refused)
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    @overload
    def start(
        self,
        machine: type[Machine[Any, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: timedelta | None = None,
        debounce: timedelta | None = None,
        debounce_max: timedelta | None = None,
        deadline: timedelta | datetime | None = None,
        connection: object | None = None,
    ) -> SyncHandle[O]: ...
    @overload
    def start(
        self,
        machine: str,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: timedelta | None = None,
        debounce: timedelta | None = None,
        debounce_max: timedelta | None = None,
        deadline: timedelta | datetime | None = None,
        connection: object | None = None,
    ) -> SyncHandle[Any]: ...
    def start(
        self,
        machine: Any,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: timedelta | None = None,
        debounce: timedelta | None = None,
        debounce_max: timedelta | None = None,
        deadline: timedelta | datetime | None = None,
        connection: object | None = None,
    ) -> SyncHandle[Any]:
        """See `Client.start`. The connection is a plain one, not one for asyncio."""
        work = self.client.start(
            machine,
            input,
            key=key,
            attributes=attributes,
            at=at,
            after=after,
            debounce=debounce,
            debounce_max=debounce_max,
            deadline=deadline,
            connection=connection,
        )
        return SyncHandle(self, self.wait_for(work))

    @overload
    def get(self, machine: type[Machine[Any, Any, O]], key: str) -> SyncHandle[O]: ...
    @overload
    def get(self, machine: str, key: str) -> SyncHandle[Any]: ...
    def get(self, machine: Any, key: str) -> SyncHandle[Any]:
        """See `Client.get`."""
        return SyncHandle(self, self.client.get(machine, key))

    def handle(self, run: UUID | str) -> SyncHandle[Any]:
        """See `Client.handle`."""
        return SyncHandle(self, self.client.handle(run))

    def send(
        self,
        run: SyncRef,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: timedelta | None = None,
        connection: object | None = None,
    ) -> None:
        """See `Client.send`. The connection is a plain one, not one for asyncio."""
        self.wait_for(
            self.client.send(_ref(run), event, data, dedupe=dedupe, delay=delay, connection=connection)
        )

    @overload
    def ask(
        self, run: SyncRef, event: Question[R], *, timeout: float | None = None, id: str | None = None
    ) -> R: ...
    @overload
    def ask(
        self,
        run: SyncRef,
        event: str,
        data: Any = None,
        *,
        timeout: float | None = None,
        id: str | None = None,
    ) -> Any: ...
    def ask(
        self,
        run: SyncRef,
        event: Any,
        data: Any = None,
        *,
        timeout: float | None = None,
        id: str | None = None,
    ) -> Any:
        """See `Client.ask`."""
        return self.wait_for(self.client.ask(_ref(run), event, data, timeout=timeout, id=id))

    @overload
    def query(self, run: SyncRef, function: Callable[[Any], T]) -> T: ...
    @overload
    def query(self, run: SyncRef, function: Callable[[Any, RunView], T]) -> T: ...
    def query(self, run: SyncRef, function: Callable[..., Any]) -> Any:
        """See `Client.query`."""
        return self.wait_for(self.client.query(_ref(run), function))

    def result(self, run: SyncRef, timeout: float | None = None) -> Any:
        """See `Client.result`."""
        return self.wait_for(self.client.result(_ref(run), timeout))

    def view(self, run: SyncRef) -> RunView:
        """See `Client.view`."""
        return self.wait_for(self.client.view(_ref(run)))

    def history(self, run: SyncRef, after: int = 0, limit: int = 1_000) -> list[Step]:
        """See `Client.history`."""
        return self.wait_for(self.client.history(_ref(run), after, limit))

    def list(
        self,
        *,
        machine: str | None = None,
        status: RunStatus | None = None,
        parent: SyncRef | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunView], str | None]:
        """See `Client.list`."""
        of = None if parent is None else _ref(parent)
        work = self.client.list(machine=machine, status=status, parent=of, limit=limit, cursor=cursor)
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
        return self.wait_for(self.client.attributes(_ref(run)))

    def set_attributes(
        self, run: SyncRef, values: Mapping[str, Any], why: str = "", *, who: str = ""
    ) -> None:
        """See `Client.set_attributes`."""
        self.wait_for(self.client.set_attributes(_ref(run), values, why, who=who))

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

    def cancel(self, run: SyncRef, reason: str = "", *, who: str = "") -> None:
        """See `Client.cancel`."""
        self.wait_for(self.client.cancel(_ref(run), reason, who=who))

    def suspend(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.suspend`."""
        return self.wait_for(self.client.suspend(_ref(run), why, who=who))

    def resume(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.resume`."""
        return self.wait_for(self.client.resume(_ref(run), why, who=who))

    def terminate(self, run: SyncRef, why: str = "", *, who: str = "") -> None:
        """See `Client.terminate`."""
        self.wait_for(self.client.terminate(_ref(run), why, who=who))

    def unpark(self, run: SyncRef, why: str = "", *, who: str = "") -> bool:
        """See `Client.unpark`."""
        return self.wait_for(self.client.unpark(_ref(run), why, who=who))

    def at(self, run: SyncRef, point: int | datetime) -> Moment:
        """See `Client.at`."""
        return self.wait_for(self.client.at(_ref(run), point))

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
        work = self.client.fork(_ref(run), version, ctx=ctx, key=key, machine=machine)
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
        work = self.client.reset(_ref(run), version, ctx=ctx, key=key, machine=machine, why=why, who=who)
        return SyncHandle(self, self.wait_for(work))

    def blame(self, run: SyncRef, field: str) -> Sequence[Change]:
        """See `Client.blame`."""
        return self.wait_for(self.client.blame(_ref(run), field))

    def why(self, run: SyncRef, version: int | None = None) -> Sequence[Link]:
        """See `Client.why`."""
        return self.wait_for(self.client.why(_ref(run), version))

    def followed(
        self, run: SyncRef, version: int | None = None, *, limit: int = 1_000
    ) -> tuple[Sequence[Link], bool]:
        """See `Client.followed`."""
        return self.wait_for(self.client.followed(_ref(run), version, limit=limit))

    def lineage(self, run: SyncRef, *, most: int = MOST) -> Lineage:
        """See `Client.lineage`."""
        return self.wait_for(self.client.lineage(_ref(run), most=most))

    def crews(self, run: SyncRef, *, most: int = 10) -> Sequence[CrewView]:
        """See `Client.crews`."""
        return self.wait_for(self.client.crews(_ref(run), most=most))

    def parent(self, run: SyncRef) -> Parent | None:
        """See `Client.parent`."""
        return self.wait_for(self.client.parent(_ref(run)))


def _ref(run: SyncRef) -> Any:
    return run.handle if isinstance(run, SyncHandle) else run
