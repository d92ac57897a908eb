"""Starting runs from plain code, and handles on those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, overload

from continuum_core.arguments import Length
from continuum_core.definition.declare import Machine
from continuum_core.sync_client.connected import Connected
from continuum_core.sync_client.handle import SyncHandle, SyncRef, ref_of

__all__ = ["Starting"]

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class Starting(Connected):
    """The part of a client for plain code that gives handles."""

    @overload
    def start(
        self,
        machine: type[Machine[C, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
        connection: object | None = None,
    ) -> SyncHandle[O, C]: ...
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
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
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
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
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
    def get(self, machine: type[Machine[C, Any, O]], key: str) -> SyncHandle[O, C]: ...
    @overload
    def get(self, machine: str, key: str) -> SyncHandle[Any]: ...
    def get(self, machine: Any, key: str) -> SyncHandle[Any]:
        """See `Client.get`."""
        return SyncHandle(self, self.client.get(machine, key))

    def handle(self, run: SyncRef) -> SyncHandle[Any]:
        """See `Client.handle`."""
        return SyncHandle(self, self.client.handle(ref_of(run)))
