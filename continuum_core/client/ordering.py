"""Orders to runs: to stop, to rest, to go on. They work on whoever holds the run, and wait for no worker."""

from __future__ import annotations

import itertools
import logging

from continuum_core.arguments import reason
from continuum_core.client.connected import Connected
from continuum_core.client.handle import Ref
from continuum_core.errors import RunOver, UnknownVersion
from continuum_core.hooks.facts import RunFacts
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Inspection, Order, OrderKind, OrderOutcome
from continuum_core.journal.records import Delivery, DeliveryKind, Run, RunStatus
from continuum_core.mapper import (
    closings,
    crews_of,
    encode_cancel,
    encode_control,
    encode_termination,
    left_undone,
    origin_in,
    told_parent,
)

__all__ = ["Ordering"]

logger = logging.getLogger(__name__)

_HURRIED = 8
"""Attempts to order a run that moves before it is made to rest."""


class _Moved(Exception):
    """The run is not at the version that an order was for."""


class Ordering(Connected):
    """The part of a client that orders runs about."""

    async def cancel(self, run: Ref, why: str = "", *, who: str = "") -> None:
        """Ask a run to stop. Acknowledged, it is not lost; it overtakes all events that wait."""
        run_id, _ = self._ref(run)
        delivery = Delivery(
            self._host.new_id(), run_id, DeliveryKind.CANCEL, encode_cancel(reason("why", why))
        )
        if self.plugins.outgoing_headers is not None:
            delivery = self._outgoing(delivery)
        await self._order(run, OrderKind.CANCEL, who, why, delivery=delivery)

    async def suspend(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a run rest: it takes no turn until resumed. Activities that run go on.

        False where it rested already, or is parked. Raises RunOver, RunNotFound.
        """
        return await self._order(run, OrderKind.SUSPEND, who, why)

    async def resume(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a suspended run go on. False where it was not suspended. Raises RunOver, RunNotFound."""
        return await self._order(run, OrderKind.RESUME, who, why)

    async def terminate(self, run: Ref, why: str = "", *, who: str = "") -> None:
        """End a run at once, whoever holds it: no exit reducers, no clean-up."""
        done = await self._terminate(run, who, why)
        if done and self.plugins.run_terminated is not None:
            run_id, entry = self._ref(run)
            machine, version, print_ = ("", 0, "") if entry is None else entry.named()
            status = RunStatus.TERMINATED
            facts = RunFacts(self.namespace, run_id, machine, version, print_, status, cause=why)
            self.plugins.run_terminated(run=facts)

    async def unpark(self, run: Ref, why: str = "", *, who: str = "") -> bool:
        """Let a parked run try again, after what parked it was mended. False where it was not parked.

        Raises RunOver, RunNotFound.
        """
        return await self._order(run, OrderKind.UNPARK, who, why)

    async def _terminate(self, run: Ref, who: str, why: str) -> bool:
        """The family is told as the machine would tell it; so the order stands only for what was read."""
        run_id, _ = self._ref(run)
        reason("why", why)
        for attempt in itertools.count(1):
            found = await self._patience(lambda: self.journal.inspect(run_id))
            if found is None:
                raise self._missing(run_id)
            if attempt == _HURRIED and found.run.status is RunStatus.RUNNING:
                await self._order(run, OrderKind.SUSPEND, who, why)  # it takes turns faster than we read
                continue
            outcome = encode_termination(why, _left(found.run))
            sends = self._family(found, outcome)
            try:
                return await self._order(
                    run, OrderKind.TERMINATE, who, why, outcome=outcome, at=found.run.version, sends=sends
                )
            except _Moved:
                logger.debug("run %s moved while it was to be terminated", run_id)
        raise AssertionError("it counts for ever")

    def _family(self, found: Inspection, outcome: bytes) -> tuple[Delivery, ...]:
        """What a run that is ended by an order has for its parent and its child runs."""
        run, new_id = found.run, self._host.new_id
        try:
            origin = origin_in(run.snapshot, found.deliveries)
            crews = crews_of(run.snapshot)
        except UnknownVersion as error:
            logger.warning("run %s: its family is not told of its end: %s", run.run_id, error)
            return ()
        told: list[Delivery] = []
        if origin is not None and origin.awaited:
            told.append(told_parent(new_id(), run.run_id, run.machine, origin, outcome))
        for crew in crews:
            if crew.runs:
                told += closings(new_id, run.run_id, crew.token, crew.open, crew.closing)
        return tuple(told)

    async def _order(
        self,
        run: Ref,
        kind: OrderKind,
        who: str,
        why: str,
        *,
        outcome: bytes | None = None,
        delivery: Delivery | None = None,
        attributes: tuple[Attribute, ...] = (),
        at: int | None = None,
        sends: tuple[Delivery, ...] = (),
    ) -> bool:
        self._check()
        reason("why", why)
        reason("who", who)
        run_id, _ = self._ref(run)
        order = Order(
            id=self._host.new_id(),
            run_id=run_id,
            kind=kind,
            body=encode_control(kind.name.lower(), who, why, attributes=attributes),
            cause=why,
            outcome=outcome,
            delivery=delivery,
            attributes=attributes,
            version=at,
            sends=sends,
        )
        [answer] = await self._patience(lambda: self.journal.control([order]))
        self._tell_here()
        self.waiting.reread(run_id)  # the journal's hints tell of other handles' writes only
        if answer.outcome is OrderOutcome.UNKNOWN_RUN:
            raise self._missing(run_id)
        if answer.outcome is OrderOutcome.RUN_OVER:
            raise RunOver(str(run_id))
        if answer.outcome is OrderOutcome.MOVED:
            raise _Moved
        return answer.outcome is OrderOutcome.DONE


def _left(run: Run) -> tuple[str, ...]:
    """What a run that is ended has done and not undone."""
    try:
        return left_undone(run.snapshot)
    except UnknownVersion as error:
        logger.warning("run %s: what it has not undone cannot be told: %s", run.run_id, error)
        return ()
