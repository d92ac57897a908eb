"""Freezes runs: ``python -m tests.golden.write`` lets the engine run them and writes what is stored.

Only what is not there yet is written: a run that a released version froze is never written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

from attrs import evolve
from msgspec.structs import replace

from continuum_core.client import Handle
from continuum_core.journal.commit import Inspection
from continuum_core.testing import Engine
from tests.golden.journals import HERE, FrozenRun, freeze
from tests.golden.meters_0_1 import Metering, Month, Reading, Sum
from tests.golden.parcels_0_1 import PARCELS, First, Lost, Second, Sent, Third, Weighed, label
from tests.golden.release_0_1 import (
    MACHINES,
    Approved,
    Busy,
    Declined,
    Fragile,
    Jukebox,
    Ledger,
    Line,
    Mended,
    Order,
    Pause,
    Picked,
    PlaceOrder,
    Resume,
    Shipped,
    Skip,
    Speed,
    Stop,
    Tune,
    Withdrawn,
    charge,
    invoice,
)

FOLDER = HERE / "0.1"
ROOT = str(Path(__file__).parents[2])

Play = Callable[[Engine], Awaitable[Handle[Any]]]


def place(lines: int) -> PlaceOrder:
    return PlaceOrder(
        id=UUID(int=lines),
        lines=tuple(Line(f"sku-{n}", n, Decimal("4.10")) for n in range(1, lines + 1)),
        wanted=datetime(2030, 2, 1, 12, tzinfo=UTC),
        speed=Speed.FAST,
        note='ünïcode \\ "quoted"',
    )


async def order_shipped(engine: Engine) -> Handle[Any]:
    """An order reviewed, charged at the third try, fulfilled in two regions; it tells the ledger."""
    tries = [Busy("one"), Busy("two")]

    def unsure(order: PlaceOrder) -> str:
        if tries:
            raise tries.pop(0)
        return "charge-1"

    engine.stub(charge, calls=unsure)
    run = await engine.start(Order, place(3), key="shipped")
    await engine.send(run, Picked("too early", 1))
    await engine.advance(timedelta(hours=1))
    await engine.send(run, Approved("ann"))
    await engine.advance(timedelta(seconds=3))
    await engine.send(run, Picked("b-7", 3, 2.25))
    await engine.advance(timedelta(minutes=30))
    return run


async def order_refused(engine: Engine) -> Handle[Any]:
    """An order whose charge is declined: a failure on an error edge, a typed verdict."""
    engine.stub(charge, raises=Declined("card 4242 was declined"))
    return await engine.start(Order, place(1), key="refused")


async def order_overlooked(engine: Engine) -> Handle[Any]:
    """A charge that fails for good sends the order to review, where its timer ends it."""
    engine.stub(charge, raises=Busy("away"))
    run = await engine.start(Order, place(1))
    await engine.advance(timedelta(days=3))
    return run


async def order_cancelled(engine: Engine) -> Handle[Any]:
    """An order cancelled in the middle of both regions, with an activity and a timer open."""
    engine.stub(invoice, hangs=True)
    run = await engine.start(Order, place(2), key="cancelled")
    await engine.send(run, Picked("b-1", 1))
    await engine.client.cancel(run, "the customer died", who="ann")
    await engine.settle()
    return run


async def order_under_way(engine: Engine) -> Handle[Any]:
    """A live order: an activity between two tries in one region, a timer in the other, an event to come."""
    engine.stub(charge, returns="charge-2")
    engine.stub(invoice, hangs=True)
    run = await engine.start(Order, place(2), key="under way")
    await engine.send(run, Picked("b-2", 2))
    await engine.client.suspend(run, "stocktaking", who="bob")
    await engine.send(run, Withdrawn())
    return run


async def order_trying(engine: Engine) -> Handle[Any]:
    """A live order whose charge failed once and waits for its next try."""
    engine.stub(charge, raises=Busy("come back later"))
    return await engine.start(Order, place(1), key="trying")


async def jukebox_paused(engine: Engine) -> Handle[Any]:
    """A live jukebox: both histories were used, two events are deferred, a timer runs; it was suspended."""
    run = await engine.start(Jukebox, "intro")
    for sent in (Skip(), Pause(), Tune(88), Resume(), Pause(), Skip(), Resume(deep=False), Pause()):
        await engine.send(run, sent)
    await engine.client.suspend(run, "lunch", who="bob")
    await engine.client.resume(run, "back", who="bob")
    await engine.send(run, Tune(99))
    await engine.send(run, Skip())
    return run


async def jukebox_forked(engine: Engine) -> Handle[Any]:
    """A fork from the middle of a jukebox's life: a history, a deferred event and a timer came along."""
    run = await engine.start(Jukebox, "intro")
    for sent in (Skip(), Pause(), Tune(88), Resume()):
        await engine.send(run, sent)
    await engine.advance(timedelta(minutes=5))
    fork = await run.fork(4, ctx=lambda c: evolve(c, heard=("edited",)), key="forked")
    await engine.send(fork, Resume(deep=False))
    return fork


async def jukebox_never_began(engine: Engine) -> Handle[Any]:
    """A run that was started while no worker had its code, and cancelled before its first step."""
    await engine.deploy([Ledger])
    run = await engine.start("frozen-jukebox", "intro")
    await engine.client.cancel(run, "changed my mind")
    await engine.deploy(MACHINES)
    return run


async def ledger_terminated(engine: Engine) -> Handle[Any]:
    """A context that is no object; a message from another run; terminated by an operator."""
    run = await engine.start(Ledger, "0", key="2030")
    await order_shipped(engine)
    await engine.advance(timedelta(minutes=1))
    await engine.send(run, Shipped(UUID(int=9), Decimal("1")))
    await engine.client.terminate(run, "the year is over", who="ann")
    return run


async def ledger_closed(engine: Engine) -> Handle[Any]:
    """A ledger closed before an order's message came: the message is a dead letter."""
    run = await engine.start(Ledger, "0", key="2030")
    await order_shipped(engine)
    await engine.send(run, Withdrawn())
    await engine.advance(timedelta(minutes=1))
    return run


async def fragile_parked(engine: Engine) -> Handle[Any]:
    """A run parked on a fault of its machine, with another event behind it."""
    await engine.deploy([Fragile])
    run = await engine.start(Fragile, 1)
    for by in ("ann", "bob", "ann"):
        await engine.send(run, Approved(by))
    return run


async def fragile_mended(engine: Engine) -> Handle[Any]:
    """A run parked on a fault of version 1, unparked, adopted by version 2, and completed by it."""
    run = await fragile_parked(engine)
    await engine.deploy([Mended])
    await engine.client.unpark(run, "mended", who="ann")
    await engine.send(run, Stop())
    return run


async def parcel_moved(engine: Engine) -> Handle[Any]:
    """A live parcel upgraded on its way: a timer goes on, what was deferred still is."""
    await engine.deploy([First])
    run = await engine.start(First, "moved", key="moved")
    await engine.send(run, Sent())
    await engine.advance(timedelta(days=1))
    await engine.deploy([Second])
    await engine.send(run, Lost())
    await engine.send(run, Lost())
    return run


async def parcel_relabelled(engine: Engine) -> Handle[Any]:
    """A live parcel upgraded into a region: its activity goes on, and the other region begins."""
    await engine.deploy([First])
    engine.stub(label, hangs=True)
    run = await engine.start(First, "relabelled")
    await engine.send(run, Weighed(77))
    await engine.deploy([Second])
    await engine.send(run, Weighed(78))
    return run


async def parcel_remembered(engine: Engine) -> Handle[Any]:
    """A live parcel whose history was upgraded: it is away, and remembers where it was."""
    await engine.deploy([First])
    engine.stub(label, hangs=True)
    run = await engine.start(First, "remembered")
    await engine.send(run, Weighed(12))
    await engine.send(run, Lost())
    await engine.send(run, Weighed(13))
    await engine.deploy([Second])
    await engine.send(run, Sent())
    return run


async def parcel_the_old_way(engine: Engine) -> Handle[Any]:
    """A parcel of version 1, upgraded, adopted, then asked for a patch that it began before: completed."""
    await engine.deploy([First])
    run = await engine.start(First, "old", key="old")
    await engine.deploy([Second])
    await engine.send(run, Lost())
    await engine.deploy([Third])
    await engine.send(run, Lost())
    await engine.send(run, Weighed(1234))
    await engine.advance(timedelta(hours=2))
    return run


async def parcel_the_new_way(engine: Engine) -> Handle[Any]:
    """A parcel that began with the patch: completed."""
    run = await engine.start(Third, "new", key="new")
    await engine.send(run, Weighed(1234))
    await engine.advance(timedelta(hours=2))
    return run


async def meter_second_month(engine: Engine) -> Handle[Any]:
    """A live meter that continued as new; a question was answered, an operator set an attribute."""
    run = await engine.start(Metering, Month(1), key="meter-7")
    await engine.send(run, Reading(3))
    await engine.send(run, Sum())
    await engine.client.set_attributes(run, {"region": "north"}, why="moved", who="ann")
    await engine.advance(timedelta(days=30))
    await engine.send(run, Reading(5))
    return run


PLAYS: tuple[Play, ...] = (
    order_shipped,
    order_refused,
    order_overlooked,
    order_cancelled,
    order_under_way,
    order_trying,
    jukebox_paused,
    jukebox_forked,
    jukebox_never_began,
    ledger_terminated,
    ledger_closed,
    fragile_parked,
    fragile_mended,
    parcel_moved,
    parcel_relabelled,
    parcel_remembered,
    parcel_the_old_way,
    parcel_the_new_way,
    meter_second_month,
)


async def played(play: Play) -> str:
    """The frozen form of the run that a play leaves."""
    async with Engine((*MACHINES, *PARCELS, Metering)) as engine:
        run = await play(engine)
        await engine.settle()
        journal = engine.client.journal
        found = await journal.inspect(run.id)
        assert isinstance(found, Inspection)
        records = await journal.history(run.id)
        definitions = [d for d in await journal.definitions() if d.machine == found.run.machine]
        frozen_run = FrozenRun(
            release=version("continuum-core"),
            about=(play.__doc__ or "").strip(),
            definitions=tuple(definitions),
            found=replace(found, run=replace(found.run, claim_id=None, lease_until=None)),
            records=tuple(records),
        )
        # Tracebacks name files: the same ones on every machine.
        return freeze(frozen_run).replace(ROOT, "/srv/app")


async def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for play in PLAYS:
        file = FOLDER / f"{play.__name__.replace('_', '-')}.json"
        if not file.exists():
            file.write_text(await played(play), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    asyncio.run(write())
