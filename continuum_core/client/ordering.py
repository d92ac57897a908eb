"""Orders to runs: to stop, to rest, to go on. They work on whoever holds the run, and wait for no worker."""

from __future__ import annotations

from continuum_core.client.connected import Connected
from continuum_core.client.handle import Ref
from continuum_core.errors import RunNotFound, RunOver
from continuum_core.hooks.facts import RunFacts
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Order, OrderKind, OrderOutcome
from continuum_core.journal.records import Delivery, DeliveryKind, RunStatus
from continuum_core.mapper import encode_cancel, encode_control, encode_termination

__all__ = ["Ordering"]


class Ordering(Connected):
    """The part of a client that orders runs about."""

    async def cancel(self, run: Ref, reason: str = "", *, who: str = "") -> None:
        """Ask a run to stop. Acknowledged, it is not lost; it overtakes all events that wait."""
        run_id, _ = self._ref(run)
        delivery = Delivery(self._host.new_id(), run_id, DeliveryKind.CANCEL, encode_cancel(reason))
        if self.plugins.outgoing_headers is not None:
            delivery = self._outgoing(delivery)
        await self._order(run, OrderKind.CANCEL, who, reason, delivery=delivery)

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
        done = await self._order(run, OrderKind.TERMINATE, who, why, outcome=encode_termination(why))
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
    ) -> bool:
        self._check()
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
        )
        [answer] = await self._patience(lambda: self.journal.control([order]))
        self._tell_here()
        if answer.outcome is OrderOutcome.UNKNOWN_RUN:
            raise RunNotFound(str(run_id))
        if answer.outcome is OrderOutcome.RUN_OVER:
            raise RunOver(str(run_id))
        return answer.outcome is OrderOutcome.DONE
