"""Carries what waits in the outboxes of tags to the tags it is for.

Rule: any handle may do so, and several at once: what is brought twice is taken once, and only what its
target has is removed. Whoever commits a message for another tag carries it over before it answers, where it
can; what a crash or an outage left is found by the next claim of any worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from attrs import define, field

from continuum_core.errors import JournalUnavailable, UsageError
from continuum_redis.arguments import Arguments, packed
from continuum_redis.store import READING, Store

__all__ = ["Relay"]

logger = logging.getLogger(__name__)

_AT_ONCE = 100
"""Entries of one outbox in one call."""

_PATIENCE = 1.0  # seconds a commit waits for what it sent to arrive; it goes on by itself after that


@define(eq=False)
class Relay:
    """Of one handle: one task at most for each tag.

    :ivar failed: how often something could not be carried over, and was left for later.
    """

    store: Store
    failed: int = 0
    _tasks: dict[int, asyncio.Task[None]] = field(factory=dict[int, "asyncio.Task[None]"])
    _again: set[int] = field(factory=set[int])

    async def sent(self, tags: Iterable[int]) -> None:
        """Something was put into the outboxes of these tags: return when it arrived, or after a while."""
        tasks = [self.begin(tag) for tag in set(tags)]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)

    def begin(self, tag: int) -> asyncio.Task[None]:
        """Carry over what waits in that tag."""
        task = self._tasks.get(tag)
        if task is None or task.done():
            task = asyncio.create_task(self._run(tag), name=f"continuum-redis-relay {tag}")
            self._tasks[tag] = task
        else:  # under way: it may have looked before this was put there
            self._again.add(tag)
        return task

    async def _run(self, tag: int) -> None:
        while True:
            self._again.discard(tag)
            try:
                while await self._carry(tag):
                    pass
            except (JournalUnavailable, UsageError) as error:
                self.failed += 1
                logger.debug("what tag %d has for others waits: %s", tag, error)
                return
            if tag not in self._again:
                return

    async def _carry(self, tag: int) -> bool:
        """Carry over the first of each target; whether more may be there."""
        waiting = await self.store.ask(READING, "outbox", packed(lambda to: to.number(_AT_ONCE)), tag)
        for target, entries in waiting:

            def brought(to: Arguments, entries: list[bytes] = entries) -> None:
                to.number(tag)
                to.list(to.bytes, entries)

            last = await self.store.ask(READING, "receive", packed(brought), target)

            def taken(to: Arguments, target: int = target, last: int = last) -> None:
                to.number(target)
                to.number(last)

            await self.store.ask(READING, "relayed", packed(taken), tag)
        return any(len(entries) >= _AT_ONCE for _, entries in waiting)

    async def give_up(self, tag: int) -> None:
        """Let go of what waits for runs that nobody started."""
        await self.store.ask(READING, "give_up", packed(lambda to: to.number(_AT_ONCE)), tag)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        self._tasks.clear()
