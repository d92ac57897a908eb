"""The client: every call in one class, and handles on single runs."""

from __future__ import annotations

from typing import Any, TypeVar, overload
from uuid import UUID

from continuum_core.arguments import Length, seconds, text
from continuum_core.client.asking import Asking
from continuum_core.client.broadcasting import Broadcasting
from continuum_core.client.handle import Handle, Ref, run_meant
from continuum_core.client.holding import held_up
from continuum_core.client.looking import Looking
from continuum_core.client.travelling import Travelling
from continuum_core.clock import to_datetime
from continuum_core.definition.declare import Machine
from continuum_core.ending import result_of
from continuum_core.errors import JournalUnavailable, ResultTimeout, UsageError
from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.registry import Entry
from continuum_core.taking import taken
from continuum_core.view import run_view
from continuum_core.waiting import End

__all__ = ["Client"]

C = TypeVar("C")
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
        """A handle on a run by its id, or by ``machine/key``. Nothing is read. Raises UsageError."""
        if isinstance(run, Handle):
            return run
        meant = run_meant(run)
        return Handle(self, meant) if isinstance(meant, UUID) else self.get(*meant)

    @overload
    def get(self, machine: type[Machine[C, Any, O]], key: str) -> Handle[O, C]: ...
    @overload
    def get(self, machine: str, key: str) -> Handle[Any]: ...
    def get(self, machine: Any, key: str) -> Handle[Any]:
        """A handle on the run that is, or will be, started with this key. Nothing is read."""
        text("key", key, "'o-1'")
        entry = None if isinstance(machine, str) else self._met(machine)
        name = machine if entry is None else entry.chart.name
        return Handle(self, self._keyed(name, key), entry, f"{name}/{key}")

    # --- wait ---

    async def result(self, run: Ref, timeout: Length | None = None) -> Any:
        """Wait for a run to end and return its result.

        :param timeout: seconds, or a `timedelta`; None waits for ever.

        Raises RunFailed with the typed verdict, RunTimedOut, RunCancelled, RunTerminated, ResultTimeout,
        RunNotFound; PayloadLocked where its end cannot be opened here, and IncompatibleJournal where the
        journal refuses for good, however long it was to wait.
        """
        self._check()
        wait = None if timeout is None else seconds("timeout", timeout)
        run_id, entry = self._ref(run)
        end = await self.waiting.end(run_id, wait)
        self.watch()
        if end is None and not self._open:
            raise UsageError("this client was closed while it waited; the run goes on")
        if end is None:
            end = await self._late(run_id, entry, wait or 0.0)
        if end.outcome is None:
            raise self._missing(run_id)
        if entry is None:
            entry = self._registry.find((await self._row(run_id)).fingerprint)
        return result_of(str(run_id), end.outcome, entry)

    async def _late(self, run_id: UUID, entry: Entry | None, waited: float) -> End:
        """The end of a run, if it came at the last moment. Raises ResultTimeout with what it waits for."""
        try:
            found = await self.journal.inspect(run_id)
            known = None if found is None else await self._known(found, entry)
        except JournalUnavailable as error:
            raise ResultTimeout(str(run_id), waited, f"what keeps it cannot be told ({error})") from None
        if found is None:
            raise self._missing(run_id)
        if known is None:
            return End(found.run.status, found.run.outcome)
        raise ResultTimeout(str(run_id), waited, known)

    async def _known(self, found: Inspection, entry: Entry | None) -> str | None:
        """What a run waits for, in words; None for one that has ended."""
        row = found.run
        if row.status in ENDED:
            return None
        takes = row.status is not RunStatus.RUNNING or await taken(self.journal, [row.fingerprint])
        view = run_view(found, self._registry.reader(row.fingerprint, entry), self._clock.estimate())
        return held_up(view, to_datetime(self._clock.estimate()), taken=bool(takes))
