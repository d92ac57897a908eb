"""Pages of runs and pruning over all tags of a namespace.

Rule: each tag is asked for as much as the whole page holds, and the page is merged from that: a row that is
present throughout is in exactly one tag, and so on exactly one page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Pruned, PrunePlan, Query
from continuum_core.journal.records import Run
from continuum_redis import answers
from continuum_redis.arguments import Arguments, packed
from continuum_redis.blobs import sweep
from continuum_redis.store import READING, TURNING, Store

__all__ = ["Position", "page", "prune"]

Position = tuple[Micros, bytes]
"""Created, and id, of the last run that was shown."""

_READ_AT_ONCE = 2_000
"""Entries of an index that one call of a page reads: nobody else is served meanwhile."""

_GOES_ON = 2
"""A page's answer: it stopped in the middle, so that others are served."""


async def page(
    store: Store, query: Query, limit: int, position: Position | None, namespace: str
) -> list[Run]:
    """The first `limit` runs after `position`, newest first."""
    pages = await asyncio.gather(
        *(_of_tag(store, tag, query, limit, position, namespace) for tag in store.tags.all())
    )
    if len(pages) == 1:
        return pages[0]
    return sorted(chain(*pages), key=lambda run: (run.created, run.run_id.int), reverse=True)[:limit]


async def _of_tag(
    store: Store, tag: int, query: Query, limit: int, position: Position | None, namespace: str
) -> list[Run]:
    found: list[Run] = []
    while True:
        asked = packed(_write(query, position, limit - len(found)))
        told, last, more = await store.ask(READING, "page", asked, tag)
        found += [answers.run(each, namespace) for each in told]
        if more != _GOES_ON:
            return found
        position = (last[0], last[1])


def _write(query: Query, position: Position | None, limit: int) -> Callable[[Arguments], None]:
    def write(to: Arguments) -> None:
        to.maybe(to.text, query.machine)
        to.maybe(to.number, None if query.status is None else int(query.status))
        to.maybe(to.uuid, query.parent)
        to.maybe(to.number, query.created_from)
        to.maybe(to.number, query.created_to)
        to.maybe(to.number, None if position is None else position[0])
        to.maybe(to.bytes, None if position is None else position[1])
        to.number(limit)
        to.number(_READ_AT_ONCE)

    return write


async def prune(store: Store, plan: PrunePlan) -> Pruned:
    """The oldest first, over all tags."""
    tags = list(store.tags.all())
    limit = max(plan.limit, 0)
    plans: Sequence[tuple[PrunePlan, int]] = [(plan, limit)]
    if len(tags) > 1:
        asked = packed(lambda to: to.plan(plan))
        found = await store.ask_each(TURNING, "prunable", [(tag, asked) for tag in tags])
        runs = _taken(tags, [mine for mine, _ in found], limit)
        past = _taken(tags, [mine for _, mine in found], limit)
        plans = [(replace(plan, limit=runs.count(tag)), past.count(tag)) for tag in tags]

    def write(of_tag: tuple[PrunePlan, int]) -> bytes:
        def arguments(to: Arguments) -> None:
            to.plan(of_tag[0])
            to.number(of_tag[1])
            to.number(limit)

        return packed(arguments)

    asked_each = [(tag, write(mine)) for tag, mine in zip(tags, plans, strict=True)]
    told = [answers.pruned(each) for each in await store.ask_each(TURNING, "prune", asked_each)]
    swept = await sweep(store, dry=plan.dry_run)
    return Pruned(
        sum(each.runs for each in told),
        sum(each.records for each in told),
        sum(each.expired for each in told),
        sum(each.generations for each in told),
        min(sum(each.eternal for each in told), limit),
        sum(each.blobs for each in told) + swept,
    )


def _taken(tags: Sequence[int], found: Sequence[Sequence[Micros]], limit: int) -> list[int]:
    """The tags of the oldest over all tags."""
    ages = sorted((age, tag) for tag, mine in zip(tags, found, strict=True) for age in mine)
    return [tag for _, tag in ages[:limit]]
