"""Pages of runs over all tags of a namespace.

Rule: each tag is asked for as much as the whole page holds, and the page is merged from that: a row that is
present throughout is in exactly one tag, and so on exactly one page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain

from continuum_core.clock import Micros
from continuum_core.journal.commit import Query
from continuum_core.journal.records import Run
from continuum_redis import answers
from continuum_redis.arguments import Arguments, packed
from continuum_redis.store import READING, Store

__all__ = ["Position", "page"]

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
