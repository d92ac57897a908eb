"""Copies that end in the middle, and what goes on in both journals before they are repeated."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast
from uuid import UUID

from attrs import define
from msgspec.structs import replace

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copied, Copying
from continuum_core.carriage.copying import copy
from continuum_core.journal.commit import CommitOutcome, DeliverOutcome
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, new_run, signal, turn

__all__ = ["Interrupted", "Interrupts", "Passing", "copied", "opened", "resting", "stepped", "to_the_left"]


class Interrupted(BaseException):
    """The copy is no more. No error, so that nobody handles it."""


@define
class Passing:
    """A journal, or its carrier, that passes every verb on, by way of `around`.

    :ivar around: given (name, verb, arguments), answers for the verb.
    """

    inner: Any
    around: Callable[[str, Any, tuple[Any, ...]], Any]

    def carrier(self) -> Passing:
        return Passing(self.inner.carrier(), self.around)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        async def called(*arguments: Any, **named: Any) -> Any:
            return await self.around(name, partial(found, **named), arguments)

        return called


_WRITES = frozenset({"define", "keep", "rehearse", "depart", "restore", "deliver", "settle", "forget"})


@define
class Interrupts:
    """Ends a copy at its verb number `at`, of those that write, before or after it has been carried out.

    :ivar verb: count this verb alone; "" for all.
    """

    at: int
    after: bool = False
    verb: str = ""
    calls: int = 0

    async def __call__(self, name: str, verb: Any, arguments: tuple[Any, ...]) -> Any:
        if name not in _WRITES or self.verb not in ("", name):
            return await verb(*arguments)
        self.calls += 1
        if self.calls == self.at and not self.after:
            raise Interrupted
        answer = await verb(*arguments)
        if self.calls == self.at:
            raise Interrupted
        return answer

    def of(self, journal: Journal) -> Journal:
        return cast(Journal, Passing(journal, self))


async def opened(stack: AsyncExitStack, url: str, limits: Limits | None = None) -> Journal:
    journal = connect(url, limits=limits or Limits())
    await journal.open()
    stack.push_async_callback(journal.close)
    return journal


async def copied(source: Journal, target: Journal, **changes: Any) -> Copied:
    return await copy(source, target, Copying(host=AsyncioHost(), to="elsewhere", who="ada", **changes))


async def resting(journal: Journal) -> UUID:
    """A run that has taken a turn, and waits."""
    new = new_run()
    await journal.start([new])
    [claim] = (await journal.claim_runs(new_id(), 1, HOUR, TAKES)).runs
    [told] = await journal.commit([turn(claim, await journal.now(), (b"s;",), snapshot=b"")])
    assert told.outcome is CommitOutcome.COMMITTED
    return new.run_id


async def stepped(journal: Journal, run_id: UUID, **changes: Any) -> None:
    """Have a run take a step that leaves no record."""
    [told] = await journal.deliver([signal(run_id)])
    assert told.outcome is DeliverOutcome.ACCEPTED
    [claim] = (await journal.claim_runs(new_id(), 1, HOUR, TAKES)).runs
    assert claim.run_id == run_id
    made = turn(claim, await journal.now(), steps=1, snapshot=b"", **changes)
    [answer] = await journal.commit([replace(made, records=())])
    assert answer.outcome is CommitOutcome.COMMITTED


async def to_the_left(journal: Journal, run_id: UUID, *payloads: bytes) -> None:
    """Have another run of a journal send to one that has left it: it is told nothing, and goes on."""
    new = new_run()
    await journal.start([new])
    [claim] = (await journal.claim_runs(new_id(), 1, HOUR, TAKES)).runs
    sent = tuple(replace(signal(run_id, payload), dedupe=None) for payload in payloads)
    [told] = await journal.commit([turn(claim, await journal.now(), (b"s;",), snapshot=b"", deliveries=sent)])
    assert told.outcome is CommitOutcome.COMMITTED
