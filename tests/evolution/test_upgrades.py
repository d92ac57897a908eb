"""Runs of an older version go on in a newer one: what is kept, what begins anew, and what parks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from continuum_core import Machine, MachineFault, RunStatus, UsageError, event, patched, root, step, unborn
from continuum_core.interpreter.events import Signal, Start
from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper import decode_migration
from continuum_core.registry import Registry
from continuum_core.replay import DriftError, verify_run
from continuum_core.testing import Engine
from tests.evolution.orders import (
    DAY,
    Basket2,
    Basket3,
    Go,
    Hold,
    Note,
    Order1,
    Order2,
    Order3,
    Paid,
    Picked,
    pack,
    reserve,
    wrap,
)


async def awaiting(engine: Engine, label: str = "o") -> Any:
    """A run of version 1 that waits for its card, with a timer of a day."""
    return await engine.start(Order1, label)


async def packing(engine: Engine, label: str = "o") -> Any:
    run = await awaiting(engine, label)
    await engine.send(run, Paid(4))
    await engine.send(run, Picked("b1"))
    return run


async def kinds(engine: Engine, run: Any) -> list[RecordKind]:
    return [record.kind for record in await engine.client.journal.history(run.id)]


async def test_a_migration_is_a_record_of_its_own_before_the_event_that_brought_it() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.deploy([Order2])
        assert await kinds(engine, run) == [RecordKind.STEP, RecordKind.STEP]
        await engine.send(run, Note("n"))
        assert (await kinds(engine, run))[2:] == [RecordKind.MIGRATION, RecordKind.STEP]
        [record] = [r for r in await engine.client.journal.history(run.id) if r.kind is RecordKind.MIGRATION]
        told = decode_migration(record)
        assert (told.since_version, told.version) == (1, 2)
        assert told.mapping == {"working.awaiting_card": "working.paying"}
        assert b'"amount"' in bytes(told.before)
        assert b'"cents"' in bytes(told.after)
        assert await engine.context(run) == Basket2("o", 0, ("hold-o", "n"))
        shown = (await engine.history(run))[2]
        assert (shown.event, shown.states) == ("upgrade 1 → 2", ("working.paying",))
        assert shown.changed == {"cents": 0}


async def test_a_timer_of_a_state_that_goes_on_keeps_its_deadline() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.advance(DAY / 2)
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        await engine.advance(DAY / 2 - timedelta(minutes=2))
        assert await engine.states(run) == {"working.paying"}
        await engine.advance(timedelta(minutes=3))
        assert (await engine.view(run)).status is RunStatus.FAILED


async def test_an_activity_of_a_state_that_goes_on_is_not_begun_twice() -> None:
    async with Engine([Order1]) as engine:
        engine.stub(reserve, hangs=True)
        run = await engine.start(Order1, "o")
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        [task] = (await engine.view(run)).tasks
        assert (task.activity, task.state) == ("reserve", "working.reserving")
        asked = [asked for each in await engine.history(run) for asked in each.asked]
        assert asked == ["start reserve"]


async def test_what_a_left_state_had_open_is_closed_and_the_new_one_begins() -> None:
    async with Engine([Order1]) as engine:
        engine.stub(pack, hangs=True)
        engine.stub(wrap, hangs=True)
        run = await packing(engine)
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        view = await engine.view(run)
        assert [task.activity for task in view.tasks] == ["wrap"]
        # A region that nobody was in began, and its eventless edge was taken.
        assert view.states == ("working.fulfilling.goods.wrapping", "working.fulfilling.papers.invoiced")
        engine.stub(wrap, returns="parcel")
        await engine.crash()
        await engine.advance(timedelta(hours=1))
        assert await run.result() == "2:o:400:hold-o,b1,invoice,n,parcel"


async def test_what_was_deferred_comes_first_afterwards() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.send(run, Picked("early"))
        assert [each.held for each in (await engine.view(run)).waiting if each.what == "Picked"] == [
            "deferred"
        ]
        await engine.deploy([Order2])
        await engine.send(run, Paid(3))
        assert await run.result() == "2:o:300:hold-o,invoice,early,parcel-o"


async def test_history_states_remember_their_new_places() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.send(run, Paid(3))
        await engine.send(run, Hold())
        await engine.deploy([Order2])
        await engine.send(run, Go())
        assert await engine.states(run) == {
            "working.fulfilling.goods.picking",
            "working.fulfilling.papers.invoiced",
        }


async def test_versions_follow_one_another_one_by_one_or_in_one_leap() -> None:
    async with Engine([Order1]) as engine:
        slow, quick = await awaiting(engine, "slow"), await awaiting(engine, "quick")
        await engine.deploy([Order2])
        await engine.send(slow, Note("n"))
        await engine.deploy([Order3])
        for run in (slow, quick):
            await engine.send(run, Note("m"))
            assert await engine.states(run) == {"working.billing"}
        assert await engine.context(slow) == Basket3("slow", 0, "USD", ("hold-slow", "n", "m"))
        assert await engine.context(quick) == Basket3("quick", 0, "USD", ("hold-quick", "m"))
        moves = {run.id: (await kinds(engine, run)).count(RecordKind.MIGRATION) for run in (slow, quick)}
        assert moves == {slow.id: 2, quick.id: 1}
        for run in (slow, quick):
            await engine.send(run, Paid(1))
            await engine.send(run, Picked("b"))
            assert str(await run.result()).startswith("3:")
            await engine.check(run)


async def test_an_old_version_that_is_registered_beside_the_new_one_keeps_its_runs() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.deploy([Order1, Order2])
        await engine.send(run, Paid(2))
        await engine.send(run, Picked("b"))
        assert await run.result() == "1:o:2:hold-o,b,box-o"
        assert RecordKind.MIGRATION not in await kinds(engine, run)
        assert str((await engine.context(await engine.start(Order2, "new"))).cents) == "0"


class Broken2(Machine[Basket2, str, str], name="evolving", version=2):
    """An upgrade that cannot make a context."""

    s = root(Basket2)
    working = s.state(initial=True)
    only = working.state(initial=True)
    held = s.state()
    done = s.final()
    only.on(Paid, done)
    only.on(Hold, held)
    held.on(Go, done)

    @staticmethod
    def init(i: str) -> Basket2:
        return Basket2(i, 0)

    @staticmethod
    def result(c: Basket2) -> str:
        return c.label

    s.upgrade(
        1,
        {
            "working.reserving": only,
            "working.awaiting_card": only,
            "working.packing": only,
            "working.picking": only,
        },
        ctx=lambda old: {"label": old["label"], "cents": old["price"]},
    )


async def test_an_upgrade_that_fails_parks_the_run_as_it_is_and_its_mending_frees_it() -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        before = await engine.view(run)
        await engine.deploy([Broken2])
        await engine.send(run, Paid(3))
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert "cannot be upgraded from version 1 to 2" in view.cause
        assert "ctx of upgrade(1)" in view.cause
        assert "KeyError: 'price'" in view.cause
        assert (view.fingerprint, view.states) == (before.fingerprint, before.states), "it is what it was"
        await engine.deploy([Order2])
        await engine.client.unpark(run, "mended")
        await engine.send(run, Picked("b"))
        assert await run.result() == "2:o:300:hold-o,invoice,b,parcel-o"


async def test_a_history_folds_across_migrations_with_and_without_the_old_code() -> None:
    async with Engine([Order1]) as engine:
        run = await packing(engine)
        engine.stub(pack, hangs=True)
        engine.stub(wrap, hangs=True)
        late = await packing(engine, "late")
        for version in (Order2, Order3):
            await engine.deploy([version])
            await engine.send(late, Note(version.__name__))
            await engine.settle()
        journal = engine.client.journal
        stored = await journal.definitions()
        for machines in ([Order1, Order2, Order3], [Order3], [Order2, Order3], [Order1, Order3]):
            registry = Registry(machines)
            registry.learn(stored)
            await verify_run(journal, registry, late.id)
        only_old = Registry([Order1])
        await verify_run(journal, only_old, run.id)


async def test_a_forged_migration_is_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Engine([Order1]) as engine:
        run = await awaiting(engine)
        await engine.deploy([Order2])
        await engine.send(run, Note("n"))
        journal = engine.client.journal
        real = journal.history

        async def forged(*arguments: Any, **more: Any) -> Any:
            records = await real(*arguments, **more)
            return [r if r.kind is not RecordKind.MIGRATION else _dearer(r) for r in records]

        monkeypatch.setattr(journal, "history", forged)
        registry = Registry([Order2])
        registry.learn(await journal.definitions())
        with pytest.raises(DriftError, match=r'record 3: what the upgrade gave was .*"cents":9'):
            await verify_run(journal, registry, run.id)


def _dearer(record: Record) -> Record:
    assert b'"cents":0' in record.body
    return replace(record, body=record.body.replace(b'"cents":0', b'"cents":9'))


# --- patches -----------------------------------------------------------------------------------------


@event
class Tick:
    pass


class Plain(Machine[int, int, int], name="patching", version=1):
    s = root(int)
    on_ = s.state(initial=True)
    off = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    on_.on(Tick, assign=lambda c, e: c + 1)
    on_.on(Go, off)


def added(c: int) -> int:
    return c + 100 if patched("hundred") else c + 1


class Patched(Machine[int, int, int], name="patching", version=2):
    s = root(int)
    on_ = s.state(initial=True)
    off = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    on_.on(Tick, assign=lambda c, e: added(c))
    on_.on(Go, off)


async def test_runs_under_way_go_the_old_way_and_new_ones_the_new() -> None:
    async with Engine([Plain]) as engine:
        old = await engine.start(Plain, 0)
        await engine.deploy([Patched])
        new = await engine.start(Patched, 0)
        for run in (old, new, old, new):
            await engine.send(run, Tick())
        assert (await engine.context(old), await engine.context(new)) == (2, 200)
        assert [dict(each.patches) for each in await engine.history(old)] == [{}, {"hundred": False}, {}]
        assert [dict(each.patches) for each in await engine.history(new)] == [{"hundred": True}, {}, {}]
        for run in (old, new):
            await engine.send(run, Go())
            await engine.check(run)


def test_a_patch_is_asked_only_within_a_machine_and_by_a_name_that_its_code_shows() -> None:
    with pytest.raises(UsageError, match=r"patched\(\) was called outside"):
        patched("x")
    assert Patched.chart.patches == {"hundred"}

    class Hiding(Machine[int, int, int], name="hiding", trusted_modules=("tests",)):
        s = root(int)
        on_ = s.state(initial=True)
        off = s.final()

        @staticmethod
        def init(i: int) -> int:
            return i

        @staticmethod
        def result(c: int) -> int:
            return c

        on_.on(Tick, assign=_hidden)
        on_.on(Go, off)

    begun = step(Hiding, unborn(Hiding), Start(0), 0).snapshot
    with pytest.raises(MachineFault, match="was not seen in the machine's code"):
        step(Hiding, begun, Signal(Tick()), 0)


def _hidden(c: int) -> int:
    return c + int(_ask[0]("hidden"))


_ask = (patched,)
