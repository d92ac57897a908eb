"""A journal with runs in every state that a copy meets, and what is held against each other afterwards."""

from __future__ import annotations

from uuid import UUID

from continuum_core.carriage.images import as_it_travels, whole
from continuum_core.client import Client
from continuum_core.journal.carrying import RunImage, carrier_of
from continuum_core.journal.commit import Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED
from continuum_core.worker import Worker
from tests.cli.shop import Order, Paid, PlaceOrder, Refused

__all__ = ["ENDED_KEYS", "LIVE_KEYS", "crowd", "images", "live"]

ENDED_KEYS = ("done", "refused", "ended")
LIVE_KEYS = ("waiting", "asleep", "signalled")


async def crowd(url: str) -> None:
    """Three orders that have ended, and three that live: at rest, suspended, with a signal to take."""
    async with Worker(url, [Order], poll=0.05) as worker:
        client = worker.client
        for key in (*ENDED_KEYS, *LIVE_KEYS):
            await client.start(Order, PlaceOrder(key, 100), key=key)
        await client.send(client.get(Order, "done"), Paid(100))
        await client.send(client.get(Order, "refused"), Refused("no"))
        await client.result(client.get(Order, "done"), 30.0)
        await client.terminate(client.get(Order, "ended"), "enough", who="ada")
        await client.suspend(client.get(Order, "asleep"), "later", who="ada")
        while (await client.view(client.get(Order, "refused"))).status not in ENDED:
            await worker.journal.wait(0.05)
    async with Client(url, [Order]) as client:  # and nobody works any more
        await client.send(client.get(Order, "signalled"), Paid(100), dedupe="once")


async def images(journal: Journal) -> dict[UUID, RunImage]:
    """Every run, whole."""
    page = await journal.list(Query(), 100)
    found: dict[UUID, RunImage] = {}
    for dumped in await carrier_of(journal).dump([run.run_id for run in page.runs]):
        assert dumped is not None
        image = await whole(journal, dumped.image)
        assert image is not None
        found[image.run.run_id] = as_it_travels(image)
    return found


async def live(journal: Journal) -> set[UUID]:
    """Runs that have not ended."""
    page = await journal.list(Query(), 100)
    return {run.run_id for run in page.runs if run.status not in ENDED}
