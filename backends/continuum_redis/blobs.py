"""Payloads that are kept apart: put and fetched tag by tag, and looked at when their time has come.

Rule: a call carries what the port's caller bounded, and is never made one with another caller's: nobody else
is served meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from continuum_core.journal.blobs import GRACE, LOOKED_AT, Blob, BlobName
from continuum_redis.arguments import Arguments, packed
from continuum_redis.store import READING, TURNING, Store

__all__ = ["fetch", "keep", "sweep"]


async def keep(store: Store, blobs: Sequence[Blob]) -> None:
    by_tag: dict[int, list[Blob]] = {}
    for blob in blobs:
        by_tag.setdefault(store.tags.of_run(blob.run_id), []).append(blob)

    def write(mine: Sequence[Blob], to: Arguments) -> None:
        to.list(partial(_blob, to), mine)

    asked = [(tag, packed(partial(write, mine))) for tag, mine in by_tag.items()]
    if asked:
        await store.ask_each(TURNING, "keep_blobs", asked)


def _blob(to: Arguments, blob: Blob) -> None:
    to.uuid(blob.run_id)
    to.bytes(blob.hash)
    to.number(blob.snapshot)
    to.bytes(blob.data)


async def fetch(store: Store, names: Sequence[BlobName]) -> list[bytes | None]:
    by_tag: dict[int, list[int]] = {}
    for place, name in enumerate(names):
        by_tag.setdefault(store.tags.of_run(name.run_id), []).append(place)

    def write(places: Sequence[int], to: Arguments) -> None:
        to.list(partial(_name, to), [names[place] for place in places])

    asked = [(tag, packed(partial(write, places))) for tag, places in by_tag.items()]
    told = await store.ask_each(READING, "fetch_blobs", asked) if asked else []
    found: list[bytes | None] = [None] * len(names)
    for places, mine in zip(by_tag.values(), told, strict=True):
        for place, data in zip(places, mine, strict=True):
            found[place] = data
    return found


def _name(to: Arguments, name: BlobName) -> None:
    to.uuid(name.run_id)
    to.bytes(name.hash)


async def sweep(store: Store, *, dry: bool) -> int:
    """How many blobs no row refers to any more, and, unless it is a dry run, their removal."""
    return sum(await asyncio.gather(*(_sweep_tag(store, tag, dry) for tag in store.tags.all())))


async def _sweep_tag(store: Store, tag: int, dry: bool) -> int:
    swept, looked = 0, 0
    while True:

        def write(to: Arguments, looked: int = looked) -> None:
            to.number(GRACE)
            to.number(LOOKED_AT)
            to.number(looked)
            to.flag(dry)

        found, gone, more = await store.ask(TURNING, "sweep_blobs", packed(write), tag)
        looked, swept = looked + int(found), swept + int(gone)
        if not more:
            return swept
