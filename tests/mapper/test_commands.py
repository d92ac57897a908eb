"""What a step asks of the world, as rows; and the records that tell of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Machine, MachineFault, Message, event, root
from continuum_core.interpreter.commands import Command, Send
from continuum_core.interpreter.events import Signal, Start
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition, Snapshot, Step
from continuum_core.journal.commit import NewTask
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    Asked,
    Image,
    ask,
    decode_control,
    decode_step,
    derive_run_id,
    encode_control,
    encode_signal,
    encode_start,
    encode_step,
    ending,
    imaged,
    unborn,
)
from continuum_core.registry import Entry
from tests.mapper.machines import HOUR, NOW, RUN, Dig, Home, Leave, after, entry_of, ids
from tests.runtime.machines import Note, Receiver

HOME = entry_of(Home)
CAUSE = UUID(int=5)


def made_by(entry: Entry, image: Image, event: object) -> Step:
    return step(entry.program, image.snapshot, Signal(event), NOW)


def asked(entry: Entry, made: Step) -> Asked:
    return ask(entry, "default", RUN, made, CAUSE, ids())


def sent(*messages: Message) -> list[Delivery]:
    """The rows of a step that sends these, as the fourth record of the run."""
    commands: tuple[Command, ...] = tuple(Send(message) for message in messages)
    made = Step(Snapshot(4, 1, None, {}, {}, NOW), Disposition.TAKEN, (), commands)
    return asked(HOME, made).deliveries


# --- rows ----------------------------------------------------------------------------------------------


def test_an_activity_and_a_timer_become_a_task_and_a_delivery_of_their_state_entry() -> None:
    made = made_by(HOME, after(HOME), Dig())
    rows = asked(HOME, made)
    [token] = made.snapshot.tokens.values()
    assert rows.tasks == [
        NewTask(token, 0, "water", "default", 5, b'"ann"', key="water-ann", undo=False),
    ]
    assert rows.deliveries == [
        Delivery(
            id=UUID(int=1_000),
            run_id=RUN,
            kind=DeliveryKind.TIMER,
            payload=b"",
            due=NOW + HOUR,
            token=token,
            cause=CAUSE,
        )
    ]
    assert rows.closed == []


def test_leaving_a_state_closes_its_token() -> None:
    image = after(HOME, Dig())
    rows = asked(HOME, made_by(HOME, image, Leave()))
    assert rows.closed == list(image.snapshot.tokens.values())
    assert (rows.tasks, rows.deliveries) == ([], [])


def test_a_message_names_its_run_by_id_or_by_machine_and_key() -> None:
    by_id, by_name, by_class = sent(
        Message(Note("a"), run=str(UUID(int=9))),
        Message(Note("b"), machine="receiver", key="k"),
        Message(Note("b"), machine=Receiver, key="k"),
    )
    assert by_id.run_id == UUID(int=9)
    assert by_name.run_id == by_class.run_id == derive_run_id("default", "receiver", "k")
    assert by_id.kind is DeliveryKind.SIGNAL
    assert by_id.cause == CAUSE
    assert json.loads(by_id.payload) == {"v": 1, "type": "Note", "data": {"word": "a"}}


def test_messages_are_told_apart_by_run_version_and_place_so_that_a_repeat_sends_once() -> None:
    note = Message(Note("a"), machine="receiver", key="k")
    assert [delivery.dedupe for delivery in sent(note, note)] == [f"{RUN}:4:0", f"{RUN}:4:1"]
    assert [delivery.dedupe for delivery in sent(note, note)] == [f"{RUN}:4:0", f"{RUN}:4:1"]


def test_a_delayed_message_is_due_later_and_an_undelayed_one_when_the_journal_says() -> None:
    later, soon = sent(
        Message(Note("a"), run=str(RUN), delay=timedelta(hours=1)), Message(Note("a"), run=str(RUN))
    )
    assert (later.due, soon.due) == (NOW + HOUR, None)


class Unmarked:
    pass


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(Note("a"), run="nonsense"), "no run id"),
        (Message(Note("a")), "names no run"),
        (Message(Note("a"), machine="receiver"), "names no run"),
        (Message(Note("a"), machine=int, key="k"), "names no run"),
        (Message(Unmarked(), run=str(RUN)), "no instance of an @event class"),
        (Message(Note, run=str(RUN)), "no instance of an @event class"),
    ],
)
def test_a_message_that_can_go_nowhere_is_a_fault_of_the_machine(message: Message, why: str) -> None:
    with pytest.raises(MachineFault, match=why):
        sent(message)


def test_ids_of_keyed_runs_are_a_storage_format_and_pinned() -> None:
    assert derive_run_id("default", "order", "o-1") == UUID("118b376e-61d1-529e-bac4-7632916b573c")
    assert derive_run_id("", "", "") == UUID("1cadd5cb-6e3a-5918-b905-a6622640aaec")
    assert derive_run_id("a", "bc", "d") != derive_run_id("ab", "c", "d"), "the parts do not run together"


# --- records -------------------------------------------------------------------------------------------


def record_of(entry: Entry, before: Image, delivery: Delivery, made: Step) -> dict[str, Any]:
    image = imaged(entry, before, made.snapshot)
    body = encode_step(entry, before, image, made, delivery, asked(entry, made), ending(entry, made.snapshot))
    told: dict[str, Any] = json.loads(body)
    record = Record(RUN, made.snapshot.version, RecordKind.STEP, NOW, CAUSE, CAUSE, body)
    assert decode_step(record).disposition == told.get("disposition", "taken")
    return told


def test_a_record_tells_only_the_fields_of_the_context_that_changed() -> None:
    before = after(HOME)
    delivery = Delivery(CAUSE, RUN, DeliveryKind.SIGNAL, encode_signal(HOME, Leave("x")))
    told = record_of(HOME, before, delivery, made_by(HOME, before, Leave("x")))
    assert told["changed"] == {"log": ["x"]}
    assert told["event"] == {"kind": 1, "payload": {"v": 1, "type": "Leave", "data": {"word": "x"}}}
    assert told["fingerprint"] == HOME.fingerprint


def test_a_record_of_a_step_without_an_assignment_tells_nothing_of_the_context() -> None:
    before = after(HOME)
    delivery = Delivery(CAUSE, RUN, DeliveryKind.SIGNAL, encode_signal(HOME, Dig()))
    told = record_of(HOME, before, delivery, made_by(HOME, before, Dig()))
    assert not told.keys() & {"changed", "context"}
    assert [command["do"] for command in told["commands"]] == ["start-timer", "start-activity"]
    assert told["commands"][1]["input"] == "ann"
    assert told["commands"][0]["due"] == NOW + HOUR


def test_the_first_record_tells_the_whole_context() -> None:
    delivery = Delivery(CAUSE, RUN, DeliveryKind.START, encode_start(HOME, "ann"))
    made = step(HOME.program, unborn().snapshot, Start("ann"), NOW)
    assert record_of(HOME, unborn(), delivery, made)["changed"] == {"name": "ann", "log": []}


@event
class Up:
    pass


class Counter(Machine[int, int, int], name="counter"):
    s = root(int)
    counting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    counting.on(Up, assign=lambda c, e: c + 1)
    counting.on(Leave, done)


def test_a_context_that_is_no_object_is_told_whole() -> None:
    counter = entry_of(Counter)
    begun = step(counter.program, unborn().snapshot, Start(1), NOW)
    before = imaged(counter, unborn(), begun.snapshot)
    delivery = Delivery(CAUSE, RUN, DeliveryKind.SIGNAL, encode_signal(counter, Up()))
    assert record_of(counter, before, delivery, made_by(counter, before, Up()))["context"] == 2


def test_a_payload_is_spliced_in_as_it_came_and_not_written_again() -> None:
    before = after(HOME)
    payload = b'{"v":1,"type":"Leave","data":{"word":"x",  "unknown":1}}'
    delivery = Delivery(CAUSE, RUN, DeliveryKind.SIGNAL, payload)
    made = made_by(HOME, before, Leave("x"))
    after_ = imaged(HOME, before, made.snapshot)
    body = encode_step(HOME, before, after_, made, delivery, asked(HOME, made), None)
    assert payload in body


def test_an_order_tells_who_and_why() -> None:
    body = encode_control("suspend", "ann", "lunch")
    told = decode_control(Record(RUN, 2, RecordKind.CONTROL, NOW, CAUSE, CAUSE, body))
    assert (told.order, told.who, told.why) == ("suspend", "ann", "lunch")
