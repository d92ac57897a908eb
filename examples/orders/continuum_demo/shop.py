"""The shop front: starts a run for every order of a file, and does what its customer and reviewer do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from continuum_core import AlreadyStarted, Client, Handle, ResultTimeout, RunFailed, RunOver
from continuum_demo.intake import Accepted, Refused
from continuum_demo.machine import Approved, Authorised, Cancel, Order, Rejected
from continuum_demo.order import Receipt, Verdict

__all__ = ["Intake", "Placed", "act", "ending", "place"]

_AT_ONCE = 50


@frozen
class Placed:
    """An order whose run was started."""

    accepted: Accepted
    handle: Handle[Receipt]


@frozen
class Intake:
    """What became of each line of the file.

    :ivar repeated: lines that say once more what an earlier one said; they started nothing.
    """

    placed: list[Placed] = field(factory=list[Placed])
    repeated: list[int] = field(factory=list[int])
    refused: list[Refused] = field(factory=list[Refused])


async def place(client: Client, entries: Iterable[Accepted | Refused]) -> Intake:
    """Start a run for each order. Its id is the key: the same order twice is one run, another is refused."""
    intake = Intake()
    accepted: list[Accepted] = []
    for entry in entries:
        if isinstance(entry, Refused):
            intake.refused.append(entry)
        else:
            accepted.append(entry)
    seen: set[str] = set()
    for start in range(0, len(accepted), _AT_ONCE):
        part = accepted[start : start + _AT_ONCE]
        outcomes = await asyncio.gather(*(_start(client, entry) for entry in part))
        for entry, outcome in zip(part, outcomes, strict=True):
            if isinstance(outcome, Refused):
                intake.refused.append(outcome)
            elif entry.order.order_id in seen:
                intake.repeated.append(entry.line)
            else:
                seen.add(entry.order.order_id)
                intake.placed.append(Placed(entry, outcome))
    intake.refused.sort(key=lambda refused: refused.line)
    return intake


async def _start(client: Client, entry: Accepted) -> Handle[Receipt] | Refused:
    try:
        return await client.start(Order, entry.order, key=entry.order.order_id)
    except AlreadyStarted:
        return Refused(entry.line, f"{entry.order.order_id} is the id of another order")


async def act(placed: Sequence[Placed], seed: int) -> int:
    """Let customers and reviewers act, in the order that the seed gives; how many came too late."""
    shuffled = random.Random(seed).sample(placed, len(placed))
    late = 0
    for start in range(0, len(shuffled), _AT_ONCE):
        late += sum(await asyncio.gather(*(_act(each) for each in shuffled[start : start + _AT_ONCE])))
    return late


async def _act(placed: Placed) -> int:
    """All at once, for an order defers what it cannot use yet; who has paid cancels during the charge."""
    entry, handle = placed.accepted, placed.handle
    try:
        for card in entry.cards:
            await handle.send(Authorised(card))
        if entry.approved is not None:
            await handle.send(Approved("Ruth") if entry.approved else Rejected("Ruth", "looks like a fraud"))
        if entry.cancels is not None:
            if entry.cards:
                await _charging(handle)
            await handle.send(Cancel(entry.cancels))
    except RunOver:
        return 1
    return 0


async def _charging(handle: Handle[Receipt]) -> None:
    """Wait, as somebody does who looks at a page now and then, until the order charges or is beyond that."""
    while (await handle.view()).states in ((), ("reserving",), ("paying",), ("reviewing",)):
        await asyncio.sleep(0.1)


async def ending(handle: Handle[Receipt], seconds: float) -> Receipt | Verdict | None:
    """How an order ends; None when it has not by then."""
    try:
        return await handle.result(seconds)
    except RunFailed as failed:
        return failed.verdict if isinstance(failed.verdict, Verdict) else None
    except ResultTimeout:
        return None
