"""Runs that arrived: what came for them after they had left is sent on, and both journals are told.

Rule: the source is told of a run that was seen in the target, or was there by this departure; and of nothing
else. It may prune the run only when all that came for it since has been sent on, or can reach it no more. The
target keeps the departure in mind until then, and forgets it last: a copy that dies in between is repeated,
and finds the source told.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import define, field
from msgspec.structs import replace

from continuum_core.carriage.asking import Copied
from continuum_core.carriage.families import Reunion
from continuum_core.errors import PayloadLocked, PayloadRefused, UnknownVersion
from continuum_core.journal.carrying import Arrival, Version, carrier_of
from continuum_core.journal.commit import DeliverOutcome
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, Run

__all__ = ["Arrivals"]

_PAGE = 100

_THERE = frozenset({DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE})
_WAITS = frozenset({DeliverOutcome.FULL, DeliverOutcome.BUSY, None})
"""None: it was refused. What is sent to a run that is over, or gone, waits for nothing."""


@define
class Arrivals:
    """The runs of one copy that have arrived, now or in an earlier one."""

    source: Journal
    target: Journal
    reunion: Reunion
    done: Copied
    _runs: dict[UUID, Run] = field(factory=dict[UUID, Run])

    def known(self, run: Run) -> None:
        """The source was told of this one before."""
        self._runs[run.run_id] = run

    async def new(self, run: Run) -> None:
        """The target has this one; tell the source."""
        self._runs[run.run_id] = run
        await self._forward(run.run_id)

    async def complete(self) -> None:
        """Send on what came meanwhile, bring families together, and close the books of what was told."""
        told: list[Version] = []
        for run_id, run in self._runs.items():
            version = await self._forward(run_id)
            if version is not None:
                told.append(version)
            try:
                await self.reunion.carry_out([run_id])
            except (PayloadLocked, PayloadRefused, UnknownVersion) as error:
                self.done.trouble(run, f"its relatives were not told of each other: {error}")
        for at in range(0, len(told), _PAGE):
            await carrier_of(self.target).forget(told[at : at + _PAGE])

    async def _forward(self, run_id: UUID) -> Version | None:
        """Send on what came for a run after it had left, and tell the source; how it left, if that is all."""
        found = await self.source.inspect(run_id)
        if found is None:
            return None  # pruned, and so told before
        late = [*found.deliveries, *(letter.delivery for letter in found.dead)]
        outcomes = await self._sent(found.run, late)
        self.done.forwarded += sum(outcome is DeliverOutcome.ACCEPTED for outcome in outcomes)
        there = tuple(one.id for one, told in zip(late, outcomes, strict=True) if told in _THERE)
        full = sum(outcome in (DeliverOutcome.FULL, DeliverOutcome.BUSY) for outcome in outcomes)
        if full:
            why = "the target takes no more for it now"
            self.done.trouble(found.run, f"{full} that came after it had left are not sent on: {why}")
        waits = any(outcome in _WAITS for outcome in outcomes)
        await carrier_of(self.source).settle([Arrival(run_id, there, waits)])
        return None if waits else Version(run_id, found.run.commit_id)

    async def _sent(self, run: Run, late: Sequence[Delivery]) -> list[DeliverOutcome | None]:
        """What the target says to each; None: it refuses it, whatever else is sent."""
        if not late:
            return []
        try:
            answers = await self.target.deliver([_forwarded(delivery) for delivery in late])
        except PayloadRefused as error:
            if len(late) > 1:
                return [(await self._sent(run, [delivery]))[0] for delivery in late]
            self.done.trouble(run, f"what came after it had left is not sent on: {error}")
            return [None]
        return [answer.outcome for answer in answers]


def _forwarded(delivery: Delivery) -> Delivery:
    """The same, known again by its id where it had no dedupe id."""
    return replace(delivery, dedupe=delivery.dedupe or f"moved:{delivery.id}")
