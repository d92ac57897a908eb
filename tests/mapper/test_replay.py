"""Histories folded again: agreement, and drift told with its place."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve, frozen
from msgspec.structs import replace

from continuum_core import Machine, Message, RunNotFound, event, root
from continuum_core.due import Due
from continuum_core.journal.commit import Commit
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, Run, RunStatus
from continuum_core.mapper import decode_step, encode_control, encode_signal, encode_start, unborn
from continuum_core.registry import Registry
from continuum_core.replay import Drift, DriftError, fold, verify_run
from continuum_core.turn import take_turn
from tests.mapper.machines import NOW, RUN, Home, Larger, Leave, Return, entry_of, ids


@event
class Add:
    number: int = 1


@event
class Stop:
    pass


@frozen
class Sum:
    total: int = 0


class Adder(Machine[Sum, int, int], name="adder"):
    s = root(Sum)
    adding = s.state(initial=True)
    resting = s.state()
    done = s.final()

    @staticmethod
    def init(i: int) -> Sum:
        return Sum(i)

    @staticmethod
    def result(c: Sum) -> int:
        return c.total

    adding.on(Add, when=lambda c, e: e.number < 10, assign=lambda c, e: evolve(c, total=c.total + e.number))
    adding.on(Add, resting, send=lambda c, e: Message(Add(), machine="adder", key="x"))
    adding.after(timedelta(hours=1), resting)
    resting.on(Add, adding)
    resting.on(Stop, done)


ADDER = entry_of(Adder)
EVENTS = (Add(3), Add(4), Add(20), Stop())


def lived(events: tuple[object, ...] = EVENTS) -> Commit:
    """A run of `Adder`: its start with 1, and these events."""
    starts = [Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(ADDER, 1))]
    sent = [
        Delivery(UUID(int=number), RUN, DeliveryKind.SIGNAL, encode_signal(ADDER, each))
        for number, each in enumerate(events, 2)
    ]
    return take_turn(ADDER, Due("default", RUN, None, None, unborn(), (*starts, *sent), NOW), ids()).commit


def altered(record: Record, **fields: Any) -> Record:
    """The record of a code that did something else."""
    return replace(record, body=json.dumps({**json.loads(record.body), **fields}).encode())


def drift_of(version: int, **fields: Any) -> Drift | None:
    records = list(lived().records)
    records[version - 1] = altered(records[version - 1], **fields)
    return fold(ADDER, RUN, records)[1]


def test_a_history_folds_to_its_snapshot() -> None:
    image, drift = fold(ADDER, RUN, lived().records)
    assert drift is None
    assert image.snapshot.context == Sum(8)


def test_a_record_that_spells_out_that_its_event_was_taken_folds_as_one_that_does_not() -> None:
    records = list(lived().records)
    assert not any(b'"disposition"' in record.body for record in records)
    spelled = [altered(record, disposition="taken") for record in records]
    assert fold(ADDER, RUN, spelled)[1] is None
    told = [decode_step(record).disposition for record in (*records, *spelled)]
    assert set(told) == {"taken"}


def test_the_first_record_that_gives_something_else_is_told() -> None:
    assert drift_of(3, states=["resting"]) == Drift(3, "the states", '["resting"]', '["adding"]')
    found = drift_of(2, changed={"total": 5})
    assert str(found) == ('record 2: the change of the context was {"total":5}, and folds to {"total":4}')


@pytest.mark.parametrize(
    ("version", "fields", "what"),
    [
        (2, {"disposition": "unhandled"}, "what became of the event"),
        (2, {"edges": [[1]]}, "the edges taken"),
        (2, {"changed": {}}, "the change of the context"),
        (4, {"commands": []}, "what was asked"),
        (5, {"outcome": {"v": 1, "kind": "completed", "state": "done", "value": 9}}, "the outcome"),
    ],
)
def test_every_part_of_a_record_is_compared(version: int, fields: dict[str, Any], what: str) -> None:
    found = drift_of(version, **fields)
    assert found is not None
    assert (found.version, found.what) == (version, what)


def test_code_that_faults_on_what_it_took_then_has_drifted() -> None:
    # The same definition to look at, with another body.
    raising = evolve(ADDER.chart.init, call=lambda _value: 1 / 0)
    entry = entry_of(evolve(ADDER.chart, init=raising))
    found = fold(entry, RUN, lived().records)[1]
    assert found is not None
    assert (found.version, found.recorded) == (1, "taken")
    assert "ZeroDivisionError" in found.folded


def test_under_a_definition_that_adopted_the_run_only_what_it_is_made_of_is_compared() -> None:
    home, larger = entry_of(Home), entry_of(Larger)
    deliveries = [Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(home, "ann"))]
    deliveries += [
        Delivery(UUID(int=number), RUN, DeliveryKind.SIGNAL, encode_signal(home, each))
        for number, each in enumerate((Leave(), Return()), 2)
    ]
    commit = take_turn(home, Due("", RUN, None, None, unborn(), tuple(deliveries), NOW), ids()).commit
    assert fold(larger, RUN, commit.records)[1] is None
    records = [*commit.records[:-1], altered(commit.records[-1], states=["home.cellar"])]
    found = fold(larger, RUN, records)[1]
    assert found is not None
    assert found.version == 3


def test_code_that_is_tried_is_compared_by_name() -> None:
    """Its own numbers mean nothing; what it would keep and ask for is what matters."""

    def tried(chart: Any) -> Drift | None:
        return fold(entry_of(chart), RUN, lived().records, against=True)[1]

    chart = evolve(ADDER.chart, version=2)
    assert tried(chart) is None
    doubled = evolve(ADDER.chart.init, call=lambda i: Sum(2 * i))
    found = tried(evolve(chart, init=doubled))
    assert found is not None
    assert (found.version, found.event) == (1, "start")
    assert found.parts == (("the context", '{"total":1}', '{"total":2}'),)


def test_all_parts_that_differ_are_told() -> None:
    found = drift_of(2, disposition="unhandled", changed={"total": 5})
    assert found is not None
    assert (found.version, found.event, found.what) == (2, "Add", "what became of the event")
    assert [part for part, _, _ in found.parts] == ["what became of the event", "the change of the context"]


def test_code_that_cannot_read_an_event_has_drifted() -> None:
    raw = {"kind": 1, "payload": {"v": 1, "type": "Add", "data": {"number": "three"}}}
    found = drift_of(2, event=raw)
    assert found is not None
    assert (found.version, found.recorded) == (2, "taken")
    assert "number" in found.folded


def test_orders_move_the_version_and_nothing_else() -> None:
    first, *_ = lived(()).records
    order = replace(first, version=2, kind=RecordKind.CONTROL, body=encode_control("suspend", "ann", "lunch"))
    before, _ = fold(ADDER, RUN, [first])
    image, drift = fold(ADDER, RUN, [first, order])
    assert drift is None
    assert image.context == before.context
    assert image.snapshot == replace(before.snapshot, version=2)
    unborn_, drift = fold(ADDER, RUN, [replace(order, version=1)])
    assert (unborn_, drift) == (unborn(1), None), "an order may come before the start"


# --- a stored run --------------------------------------------------------------------------------------


class Stored:
    """The two verbs that `verify_run` needs, over rows in memory, two records a page."""

    def __init__(self, run: Run | None, records: tuple[Record, ...]) -> None:
        self.run, self.records = run, records

    async def load(self, _runs: list[UUID]) -> list[Run | None]:
        return [self.run]

    async def history(self, _run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        return list(self.records[after : after + 2])


def row(commit: Commit) -> Run:
    return Run(
        run_id=RUN,
        namespace="default",
        machine="adder",
        fingerprint=ADDER.fingerprint,
        key=None,
        digest=b"",
        generation=0,
        version=len(commit.records),
        status=RunStatus.COMPLETED,
        cause="",
        snapshot=commit.snapshot,
        outcome=commit.outcome,
        fence=1,
        lease_until=None,
        claim_id=None,
        commit_id=commit.commit_id,
        tries=0,
        parent=None,
        root=None,
        created=NOW,
        updated=NOW,
    )


async def verified(run: Run | None, records: tuple[Record, ...]) -> None:
    journal: Any = Stored(run, records)
    await verify_run(journal, Registry([Adder]), RUN)


async def test_a_stored_run_is_verified_page_by_page_and_may_go_on_meanwhile() -> None:
    commit = lived()
    await verified(row(commit), commit.records)
    shorter = lived(EVENTS[:2])
    assert len(shorter.records) < len(commit.records)
    await verified(row(shorter), commit.records)


async def test_a_stored_snapshot_that_is_not_the_fold_is_drift() -> None:
    commit = lived()
    forged = replace(row(commit), snapshot=commit.snapshot.replace(b'"total":8', b'"total":9'))
    with pytest.raises(DriftError, match=r'record 5: the snapshot was .*"total":9.*"total":8') as caught:
        await verified(forged, commit.records)
    assert caught.value.drift.version == 5


async def test_a_run_that_is_not_there() -> None:
    with pytest.raises(RunNotFound):
        await verified(None, ())
