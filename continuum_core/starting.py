"""What a start needs before it reaches the journal: a definition, a checked input, a first turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from continuum_core.due import Born, Due
from continuum_core.errors import UnknownMachine
from continuum_core.journal.commit import NewRun
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Definition, Delivery, DeliveryKind
from continuum_core.lane import Patience
from continuum_core.mapper import derive_run_id, encode_start_raw, start_digest, unborn
from continuum_core.registry import Entry, Registry
from continuum_core.shape import check_input
from continuum_core.turn import Turn, take_turn

__all__ = ["Definitions", "first_turn", "new_run"]


class Definitions:
    """The definitions a client has met: its own machines', stored before their first run, and stored ones."""

    def __init__(self, journal: Journal, registry: Registry, patience: Patience) -> None:
        self._journal = journal
        self._patience = patience
        self._registry = registry
        self._told: set[str] = set()
        self._stored: dict[str, Definition] = {}

    async def of_entry(self, entry: Entry) -> Definition:
        """The definition of a machine that this process has; the journal knows it from now on."""
        if entry.crews:
            crewed(self._journal)
        if entry.fingerprint not in self._told:
            await self._patience(lambda: self._journal.define([entry.definition, *entry.kin]))
            self._told.add(entry.fingerprint)
        return entry.definition

    async def named(self, machine: str) -> Definition:
        """The newest definition of a name: this process's, else the newest stored. Raises UnknownMachine."""
        try:
            entry = self._registry.named(machine)
        except UnknownMachine:
            return await self._newest(machine)
        return await self.of_entry(entry)

    async def every(self) -> Sequence[Definition]:
        """All that are known: this process's machines', and stored ones."""
        stored = await self._read()
        mine = {entry.fingerprint: entry.definition for entry in self._registry.entries()}
        return list({**stored, **mine}.values())

    async def _newest(self, machine: str) -> Definition:
        stored = await self._read()
        newest = max(
            (d for d in stored.values() if d.machine == machine), key=lambda d: d.version, default=None
        )
        if newest is None:
            raise UnknownMachine(machine, sorted({d.machine for d in stored.values()}))
        return newest

    async def of_run(self, fingerprint: str, machine: str) -> Definition:
        """The definition that a run was last run by. Raises UnknownMachine."""
        entry = self._registry.find(fingerprint)
        if entry is not None:
            return entry.definition
        if fingerprint not in self._stored:
            await self._read()
        try:
            return self._stored[fingerprint]
        except KeyError:
            raise UnknownMachine(machine) from None

    async def _read(self) -> dict[str, Definition]:
        self._stored = {d.fingerprint: d for d in await self._patience(self._journal.definitions)}
        return self._stored


def new_run(
    namespace: str,
    definition: Definition,
    entry: Entry | None,
    input: Any,
    key: str | None,
    new_id: Callable[[], UUID],
    deadline: int | None = None,
) -> NewRun:
    """A run to be created, without a first turn.

    :param entry: the machine's code, and `input` is a value of its input type; or None, and `input`
        is JSON values.
    :param deadline: when it has to be over, in microseconds, whatever its machine declares.

    Raises PayloadRefused for an input that does not fit.
    """
    if entry is None:
        data = check_input(definition, input)
    else:
        data = entry.input.encode(input)
    payload = encode_start_raw(data, deadline)
    run_id = new_id() if key is None else derive_run_id(namespace, definition.machine, key)
    return NewRun(
        run_id=run_id,
        machine=definition.machine,
        fingerprint=definition.fingerprint,
        digest=start_digest(definition.machine, data),
        delivery=Delivery(new_id(), run_id, DeliveryKind.START, payload),
        key=key,
    )


def first_turn(
    namespace: str,
    entry: Entry,
    new: NewRun,
    now: int,
    new_id: Callable[[], UUID],
    born: Born | None = None,
) -> Turn | None:
    """The turn that a start may carry; None where the machine faults, so that a worker parks it visibly."""
    due = Due(
        namespace=namespace,
        run_id=new.run_id,
        fence=None,
        base=None,
        image=unborn(),
        deliveries=(new.delivery,),
        now=now,
    )
    turn = take_turn(entry, due, new_id) if born is None else take_turn(entry, due, new_id, born)
    return None if turn.fault is not None else turn
