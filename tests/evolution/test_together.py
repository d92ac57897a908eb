"""What upgrades mean to the rest: to what is to be undone, to forks, and to whoever looks back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from continuum_core import Handle, RunFailed, RunStatus
from continuum_core.hooks import Plugins, hookimpl
from continuum_core.journal.records import RecordKind
from continuum_core.origins import Origin, origins
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_core.testing import Engine
from continuum_core.unopened import is_sealed
from continuum_crypto import Crypto, Key
from tests.evolution.orders import (
    DAY,
    Basket1,
    Basket2,
    Go,
    Note,
    Order1,
    Order2,
    Order3,
    Paid,
    Picked,
    pack,
    wrap,
)
from tests.evolution.test_upgrades import Patched, Plain, Tick, kinds
from tests.evolution.tours import Forgetful, Say, Tour2, Touring1, Touring2
from tests.runtime.sagas import Abort, book_flight, book_hotel, cancel_flight, cancel_hotel

M = RecordKind.MIGRATION


def services(engine: Engine) -> list[str]:
    """What the services of tours are asked from now on, in order."""
    log: list[str] = []

    def answer(activity: Any) -> None:
        def call(value: str) -> str | None:
            log.append(f"{activity.name} {value}")
            return f"{activity.name}-{value}" if activity.name.startswith("book") else None

        engine.stub(activity, calls=call)

    for each in (book_flight, book_hotel, cancel_flight, cancel_hotel):
        answer(each)
    return log


async def folds(engine: Engine, run: Handle[Any], *machines: Any) -> None:
    registry = Registry(machines)
    registry.learn(await engine.client.journal.definitions())
    await verify_run(engine.client.journal, registry, run.id)


# --- what is to be undone ----------------------------------------------------------------------------


async def test_what_the_older_version_did_the_newer_one_undoes() -> None:
    async with Engine([Touring1]) as engine:
        log = services(engine)
        run = await engine.start(Touring1, "t")
        assert await engine.states(run) == {"deciding"}
        await engine.deploy([Touring2])
        await engine.send(run, Abort())
        with pytest.raises(RunFailed):
            await run.result()
        assert log == [
            "book_flight t",
            "book_hotel t",
            "cancel_hotel book_hotel-t",
            "cancel_flight book_flight-t",
        ]
        assert M in await kinds(engine, run)
        for machines in ([Touring2], [Touring1, Touring2]):
            await folds(engine, run, *machines)


async def test_an_activity_under_way_is_undone_once_it_is_known_though_the_run_moved_meanwhile() -> None:
    async with Engine([Touring1]) as engine:
        log = services(engine)
        engine.stub(book_hotel, hangs=True)
        run = await engine.start(Touring1, "t")
        await engine.deploy([Touring2])
        await engine.send(run, Say("moved"))
        assert await engine.states(run) == {"lodging"}
        await engine.send(run, Abort())
        assert await engine.states(run) == {"taking_back"}
        assert log == ["book_flight t"]  # whether there is a room to be given back nobody knows yet
        services_again = services(engine)
        await engine.advance(DAY)  # the attempt ends by its timeout, and is asked again
        with pytest.raises(RunFailed):
            await run.result()
        assert services_again == [
            "book_hotel t",
            "cancel_hotel book_hotel-t",
            "cancel_flight book_flight-t",
        ]
        await folds(engine, run, Touring2)


async def test_a_run_moves_while_it_takes_back_and_asks_for_no_undo_twice() -> None:
    async with Engine([Touring1]) as engine:
        log = services(engine)
        engine.stub(cancel_hotel, hangs=True)
        run = await engine.start(Touring1, "t")
        await engine.client.cancel(run, "no more")
        await engine.settle()
        assert await engine.states(run) == {"undoing"}
        await engine.deploy([Touring2])
        await engine.send(run, Say("moved"))
        view = await engine.view(run)
        assert (view.states, [task.activity for task in view.tasks]) == (("taking_back",), ["cancel_hotel"])
        asked = [each for step in await engine.history(run) for each in step.asked]
        assert asked.count("start cancel_hotel") == 1
        assert log == ["book_flight t", "book_hotel t"]
        # That somebody cancelled it is not forgotten either.
        log = services(engine)
        await engine.crash()
        await engine.advance(DAY)
        assert log == ["cancel_hotel book_hotel-t", "cancel_flight book_flight-t"]
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        await folds(engine, run, Touring2)


async def test_a_version_that_cannot_undo_what_was_done_parks_the_run_as_it_was() -> None:
    async with Engine([Touring1]) as engine:
        log = services(engine)
        run = await engine.start(Touring1, "t")
        before = (await engine.client.journal.load([run.id]))[0]
        await engine.deploy([Forgetful])
        await engine.send(run, Say("moved"))
        parked = (await engine.client.journal.load([run.id]))[0]
        assert before is not None
        assert parked is not None
        assert parked.status is RunStatus.PARKED
        assert "cannot be upgraded from version 1 to 2" in parked.cause
        assert "'book_flight', which it does not know with an undo" in parked.cause
        assert (parked.snapshot, parked.fingerprint) == (before.snapshot, before.fingerprint)
        # Who mends the newer version finds it whole.
        await engine.deploy([Touring2])
        await engine.client.unpark(run)
        await engine.send(run, Abort())
        assert log[-1] == "cancel_flight book_flight-t"


# --- forks -------------------------------------------------------------------------------------------


async def test_a_migrated_run_is_forked_and_both_fold() -> None:
    async with Engine([Order1]) as engine:
        run = await engine.start(Order1, "o")
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        moved = (await kinds(engine, run)).index(M) + 1
        fork = await engine.client.fork(run, moved)
        await engine.deploy([Order3])
        await engine.send(fork, Note("f"))
        await engine.settle()
        assert await kinds(engine, fork) == [RecordKind.FORK, M, RecordKind.STEP]
        assert await engine.states(fork) == {"working.billing"}
        [timer] = [each for each in (await engine.view(fork)).waiting if each.what == "timer"]
        assert timer.due is not None
        for each in (run, fork):
            await folds(engine, each, Order1, Order2, Order3)
        await folds(engine, fork, Order3)


async def test_a_fork_of_a_version_that_is_gone_waits_for_its_code() -> None:
    async with Engine([Order1]) as engine:
        run = await engine.start(Order1, "o")
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        fork = await engine.client.fork(run, 2)
        view = await engine.view(fork)
        assert view.status is RunStatus.PARKED
        assert "version 1, whose code is not here" in view.cause
        await engine.deploy([Order1])
        await engine.client.unpark(fork)
        assert await engine.states(fork) == {"working.awaiting_card"}
        assert await engine.context(fork) == Basket1("o", 0, ("hold-o",))


@pytest.mark.parametrize("machine", [Plain, Patched])
async def test_a_fork_goes_the_way_of_the_run_that_it_comes_from(machine: Any) -> None:
    async with Engine([machine]) as engine:
        run = await engine.start(machine, 0)
        await engine.deploy([Patched])
        await engine.send(run, Tick())
        fork = await engine.client.fork(run, 2)
        for each in (run, fork):
            await engine.send(each, Tick())
        assert await engine.context(fork) == await engine.context(run) == (2 if machine is Plain else 200)
        await engine.send(fork, Go())
        await engine.check(fork)


# --- looking back ------------------------------------------------------------------------------------


async def test_who_looks_back_over_a_migration_sees_what_it_changed() -> None:
    async with Engine([Order1]) as engine:
        engine.stub(pack, hangs=True)
        engine.stub(wrap, hangs=True)
        run = await engine.start(Order1, "o")
        await engine.send(run, Paid(4))
        await engine.send(run, Picked("b"))
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        client = engine.client
        moved = (await kinds(engine, run)).index(M) + 1
        before, after = await client.at(run, moved - 1), await client.at(run, moved)
        assert before.context.amount == 4
        assert (before.states, [each.activity for each in before.activities]) == (
            ("working.packing",),
            ["pack"],
        )
        assert after.context == Basket2("o", 400, ("hold-o", "b", "invoice"))
        assert after.states == ("working.fulfilling.goods.wrapping", "working.fulfilling.papers.invoiced")
        assert [(each.activity, each.state) for each in after.activities] == [
            ("wrap", "working.fulfilling.goods.wrapping")
        ]
        newest, *_ = await client.blame(run, "cents")
        assert (newest.version, newest.event, newest.after) == (moved, "upgrade 1 → 2", 400)
        records = await client.journal.history(run.id)
        assert origins(records)[moved - 1] == Origin("upgrade")
        drawn = await client.lineage(run)
        assert [(each.first, each.last) for each in drawn.stretches] == [(1, moved - 1), (moved, moved + 1)]
        assert [each.kind for each in drawn.ties] == ["moved"]


async def test_a_timer_that_goes_on_is_that_of_the_newer_state() -> None:
    async with Engine([Order1]) as engine:
        run = await engine.start(Order1, "o")
        due = (await engine.client.at(run, 2)).timers[0].due
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        [timer] = (await engine.client.at(run, 3)).timers
        assert (timer.state, timer.due) == ("working.paying", due)
        await engine.advance(DAY)
        last = (await engine.client.why(run))[0]
        assert (last.how, last.by) == ("timer", (run.id, 2))


async def test_what_began_with_a_migration_was_asked_for_by_it() -> None:
    async with Engine([Order1]) as engine:
        engine.stub(pack, hangs=True)
        run = await engine.start(Order1, "o")
        await engine.send(run, Paid(4))
        await engine.send(run, Picked("b"))
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        assert await run.result() == "2:o:400:hold-o,b,invoice,n,parcel-o"
        moved = (await kinds(engine, run)).index(M) + 1
        last = (await engine.client.why(run))[0]
        assert (last.how, last.by) == ("activity", (run.id, moved))


async def test_a_tour_is_read_in_its_new_words() -> None:
    async with Engine([Touring1]) as engine:
        services(engine)
        run = await engine.start(Touring1, "t")
        await engine.deploy([Touring2])
        await engine.send(run, Say("hi"))
        assert await engine.context(run) == Tour2("t", 500, "hi")


# --- what watches and seals --------------------------------------------------------------------------


async def test_a_worker_that_trusts_nothing_moves_runs_and_checks_them_from_then_on() -> None:
    async with Engine([Touring1], paranoid=True) as engine:
        log = services(engine)
        run = await engine.start(Touring1, "t")
        await engine.deploy([Touring2])
        for text in ("moved", "again"):
            await engine.send(run, Say(text))
        await engine.crash()
        await engine.send(run, Abort())
        with pytest.raises(RunFailed):
            await run.result()
        assert log[-1] == "cancel_flight book_flight-t"


async def test_a_migration_is_sealed_like_any_other_record(tmp_path: Path) -> None:
    plugins = Plugins(Crypto(lambda: [Key("k", b"k" * 32)]))
    file = tmp_path / "runs.db"
    async with Engine([Order1], journal=f"sqlite:///{file}", plugins=plugins) as engine:
        run = await engine.start(Order1, "secret")
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        assert await engine.context(run) == Basket2("secret", 0, ("hold-secret", "n"))
        assert M in await kinds(engine, run)
    with closing(sqlite3.connect(file)) as database:
        stored = dict(database.execute("SELECT kind, body FROM continuum_records").fetchall())
    assert M.value in stored
    assert all(is_sealed(body) for body in stored.values())


async def test_plugins_are_told_of_the_events_that_a_migrating_turn_took() -> None:
    heard: list[tuple[Any, ...]] = []

    class Ear:
        @hookimpl
        def run_turned(self, turn: Any) -> None:
            heard.append((turn.machine_version, [kind.name for kind in turn.events]))

    async with Engine([Order1], plugins=Plugins(Ear())) as engine:
        run = await engine.start(Order1, "o")
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
    assert heard[-1] == (2, ["SIGNAL"])
