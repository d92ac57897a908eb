"""The client: every call in one class, and handles on single runs."""

from __future__ import annotations

from typing import Any, TypeVar, overload
from uuid import UUID

from continuum_core.arguments import Length, seconds, text
from continuum_core.client.asking import Asking
from continuum_core.client.broadcasting import Broadcasting
from continuum_core.client.handle import Handle, Ref, run_id_of
from continuum_core.client.looking import Looking
from continuum_core.client.travelling import Travelling
from continuum_core.definition.declare import Machine
from continuum_core.ending import result_of
from continuum_core.errors import ResultTimeout, RunNotFound, UsageError
from continuum_core.mapper import derive_run_id
from continuum_core.registry import Entry

__all__ = ["Client"]

O = TypeVar("O")  # noqa: E741


class Client(Travelling, Broadcasting, Asking, Looking):
    """A connection to a journal, for one namespace and one event loop.

    :param journal: a URL such as ``sqlite:///orders.db``, an unopened journal, or an engine or pool that a
        backend takes (see `journal.connect.connect`).
    :param machines: machine classes known from the start; others are met when they are first used.
    :param patience: how long a call waits for a journal that is away before it raises JournalUnavailable:
        seconds, or a `timedelta`.
    :param poll: after how long awaited runs are read though nothing hints at a change.
    :param plugins: the installed ones that the environment chooses, unless given.
    """

    async def __aenter__(self) -> Client:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _held(self, run_id: UUID, entry: Entry | None) -> Handle[Any]:
        return Handle(self, run_id, entry)

    # --- find ---

    def handle(self, run: Ref) -> Handle[Any]:
        """A handle on a run by its id. Nothing is read."""
        return run if isinstance(run, Handle) else Handle(self, run_id_of(run))

    @overload
    def get(self, machine: type[Machine[Any, Any, O]], key: str) -> Handle[O]: ...
    @overload
    def get(self, machine: str, key: str) -> Handle[Any]: ...
    def get(self, machine: Any, key: str) -> Handle[Any]:
        """A handle on the run that is, or will be, started with this key. Nothing is read."""
        text("key", key, "'o-1'")
        if isinstance(machine, str):
            return Handle(self, derive_run_id(self.namespace, machine, key))
        entry = self._met(machine)
        return Handle(self, derive_run_id(self.namespace, entry.chart.name, key), entry)

    # --- wait ---

    async def result(self, run: Ref, timeout: Length | None = None) -> Any:
        """Wait for a run to end and return its result.

        :param timeout: seconds, or a `timedelta`; None waits for ever.

        Raises RunFailed with the typed verdict, RunTimedOut, RunCancelled, RunTerminated, ResultTimeout,
        RunNotFound.
        """
        self._check()
        wait = None if timeout is None else seconds("timeout", timeout)
        run_id, entry = self._ref(run)
        end = await self.waiting.end(run_id, wait)
        self.watch()
        if end is None and not self._open:
            raise UsageError("this client was closed while it waited; the run goes on")
        if end is None:
            raise ResultTimeout(str(run_id), wait or 0.0)
        if end.outcome is None:
            raise RunNotFound(str(run_id))
        if entry is None:
            entry = self._registry.find((await self._row(run_id)).fingerprint)
        return result_of(str(run_id), end.outcome, entry)
