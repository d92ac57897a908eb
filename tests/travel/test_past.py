"""The past as records tell it, against the past as the code folds it: the same at every record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core import UsageError
from continuum_core.due import Due
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RunStatus
from continuum_core.mapper import encode_image, encode_signal, encode_start, unborn
from continuum_core.past import OpenTimer, Past, moment_of
from continuum_core.registry import Entry, Registry
from continuum_core.replay import fold
from continuum_core.testing import Engine
from continuum_core.turn import take_turn
from tests.golden.journals import load, stored_runs
from tests.golden.meters_0_1 import Metering
from tests.golden.parcels_0_1 import PARCELS
from tests.golden.release_0_1 import MACHINES, Jukebox, Pause, Player, Resume, Skip, Tune
from tests.golden.write import PLAYS, Play
from tests.travel.machines import Board, Book, Journey, Leg, Travel, Wave, buy

NOW = 1_893_456_000_000_000


def pasts(run: UUID, records: Sequence[Record]) -> Iterator[tuple[Past, Sequence[Record]]]:
    """After each record: the past, and the records so far."""
    past = Past(run)
    for number, record in enumerate(records, 1):
        past.take(record)
        yield past, records[:number]


def agrees(
    entry: Entry,
    past: Past,
    records: Sequence[Record],
    known: Registry | None = None,
    *,
    histories: bool = True,
) -> None:
    image, drift = fold(entry, past.run_id, records, known)
    assert drift is None
    # Before its first turn a run is stored as nothing.
    nothing: dict[str, Any] = {"states": [], "context": None}
    stored = json.loads(encode_image(entry, image)) if image.context else nothing
    assert past.patches == stored.get("patches", {})
    assert (past.version, past.states) == (image.snapshot.version, tuple(stored["states"]))
    assert json.loads(past.context) == stored["context"]
    if histories:
        assert {path: list(told) for path, told in past.history.items()} == stored.get("history", {})
    live = {token for token in image.snapshot.tokens.values() if image.snapshot.outcome is None}
    assert {token for token, _ in (*past.timers, *past.activities)} <= live


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_records_alone_tell_what_the_code_folds(play: Play) -> None:
    async with Engine((*MACHINES, *PARCELS, Metering)) as engine:
        run = await play(engine)
        await engine.settle()
        records = await engine.client.journal.history(run.id)
        found = await engine.client.journal.inspect(run.id)
        assert found is not None
        registry = Registry((*MACHINES, *PARCELS, Metering))
        registry.learn(await engine.client.journal.definitions())
        last = None
        for last, so_far in pasts(run.id, records):
            agrees(registry.entry(last.fingerprint or found.run.fingerprint), last, so_far, registry)
        assert last is not None
        assert last.status is found.run.status
        assert last.outcome == found.run.outcome or found.run.status is RunStatus.TERMINATED
        timers = {(d.token, d.slot): d.due for d in found.deliveries if d.kind is DeliveryKind.TIMER}
        assert {place: opened.command.due for place, opened in last.timers.items()} == timers
        if found.run.outcome is None:
            assert set(last.activities) == {(task.token, task.slot) for task in found.tasks}


@pytest.mark.parametrize("file", stored_runs(), ids=lambda file: file.stem)
def test_records_of_released_versions_tell_it_too(file: Any) -> None:
    run = load(file)
    known = Registry((*MACHINES, *PARCELS, Metering))
    known.learn(run.definitions)
    for past, so_far in pasts(run.found.run.run_id, run.records):
        entry = known.entry(past.fingerprint or run.found.run.fingerprint)
        # Records tell of histories since a later release.
        agrees(entry, past, so_far, known, histories=False)


EVENTS = st.sampled_from([Skip(), Pause(), Resume(), Resume(deep=False), Tune(88)])


@given(st.lists(EVENTS, max_size=20))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_records_tell_what_the_code_folds(events: list[object]) -> None:
    entry = Registry([Jukebox]).entry(Registry([Jukebox]).add(Jukebox).fingerprint)
    run, ids = UUID(int=7), iter(range(1, 1_000))
    image, records, deferred = unborn(), list[Record](), list[Delivery]()
    arriving = [Delivery(UUID(int=next(ids)), run, DeliveryKind.START, encode_start(entry, "intro"))]
    arriving += [
        Delivery(UUID(int=next(ids)), run, DeliveryKind.SIGNAL, encode_signal(entry, each)) for each in events
    ]
    while arriving:
        # A journal hands over what is due, and again what a change of configuration released.
        due = Due("", run, None, None, image, tuple(arriving), NOW, has_deferred=bool(deferred))
        turn = take_turn(entry, due, lambda: UUID(int=next(ids)))
        records += turn.commit.records
        image = turn.image
        held = {id_ for id_, _ in turn.commit.hold}
        seen = held | set(turn.commit.consumed)
        deferred += [each for each in arriving if each.id in held]
        left = [each for each in arriving if each.id not in seen]
        arriving = (deferred if turn.commit.release else []) + left
        deferred = [] if turn.commit.release else deferred
        if not seen:
            break
    last = None
    for last, so_far in pasts(run, records):
        agrees(entry, last, so_far)
    assert last is not None
    assert list(last.deferred) == [each.id for each in deferred]


async def test_a_moment_is_typed_and_tells_what_was_open() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, calls=lambda _: engine.sleep(timedelta(minutes=5)))
        began = engine.now()
        run = await engine.start(Travel, "north")
        await engine.send(run, Book("Oslo", 30))
        await engine.advance(timedelta(minutes=10))
        await engine.send(run, Board())
        await engine.send(run, Wave("later"))
        assert (await run.at(1)).context == Journey("north")
        booked = await run.at(2)
        assert (booked.version, booked.states, booked.status) == (2, ("booking",), RunStatus.RUNNING)
        assert booked.context == Journey("north", legs=(Leg("Oslo", 30),))
        assert (booked.timers, booked.activities, booked.deferred) == ((), (), ())
        now = await run.at(engine.now())
        assert (now.version, now.deferred) == (4, ("Wave",))
        [open_] = now.activities
        assert (open_.activity, open_.state, open_.since) == ("buy", "buying", began + timedelta(minutes=10))
        assert open_.deadline == open_.since + timedelta(hours=2)
        assert open_.input == {"name": "north", "total": 0, "legs": [{"to": "Oslo", "price": 30}], "log": []}
        earlier = await run.at(began + timedelta(minutes=9))
        assert earlier.version == 2
        before = await run.at(began - timedelta(seconds=1))
        assert (before.version, before.states, before.context) == (0, (), None)


async def test_a_point_that_the_run_has_not_reached() -> None:
    async with Engine([Travel]) as engine:
        run = await engine.start(Travel, "north")
        for version in (2, -1):
            with pytest.raises(UsageError, match=f"has no record {version}; it has records 1 to 1"):
                await run.at(version)


async def test_without_code_the_moment_has_json_values() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro")
        await engine.send(run, Pause())
        records = await engine.client.journal.history(run.id)
        past = Past(run.id)
        for record in records:
            past.take(record)
        bare, typed = moment_of(past, None), moment_of(past, Registry([Jukebox]).named("frozen-jukebox"))
        assert msgspec.to_builtins(bare.context) == {"heard": ["intro"], "station": None}
        assert typed.context == Player(("intro",))
        assert bare.timers == typed.timers == (OpenTimer("paused", engine.now() + timedelta(hours=1)),)


async def test_orders_show_in_the_status() -> None:
    async with Engine([Travel]) as engine:
        run = await engine.start(Travel, "north")
        await engine.client.suspend(run)
        await engine.client.resume(run)
        await engine.client.terminate(run)
        told = [(await run.at(version)).status for version in range(1, 5)]
        assert told == [RunStatus.RUNNING, RunStatus.SUSPENDED, RunStatus.RUNNING, RunStatus.TERMINATED]
