"""Turns: what is due, folded into one commit; where a fold stops; what parks a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core import Machine, MachineFault, Message, event, root
from continuum_core.due import SUSPECT, Due
from continuum_core.envelope import OriginBody
from continuum_core.errors import PayloadRefused, UnknownVersion
from continuum_core.journal.commit import Commit
from continuum_core.journal.records import Delivery, DeliveryKind, Held, RecordKind, RunStatus
from continuum_core.mapper import (
    Image,
    decode_image,
    encode_cancel,
    encode_image,
    encode_output,
    encode_signal,
    encode_signal_raw,
    encode_start,
    unborn,
)
from continuum_core.mapper.kin import encode_child_start
from continuum_core.registry import Entry
from continuum_core.turn import Turn, park, quarantine, take_turn
from tests.mapper.machines import NOW, RUN, Dig, Home, Leave, Return, after, entry_of, ids
from tests.runtime.machines import Broken, Finish, Go, Note, Waits

HOME, WAITS, BROKEN = entry_of(Home), entry_of(Waits), entry_of(Broken)
BASE = UUID(int=8)


def signal(entry: Entry, number: int, event: object) -> Delivery:
    return Delivery(UUID(int=number), RUN, DeliveryKind.SIGNAL, encode_signal(entry, event))


def signals(entry: Entry, *events: object) -> list[Delivery]:
    return [signal(entry, number, event) for number, event in enumerate(events, 1)]


def due(image: Image, deliveries: Sequence[Delivery], **more: Any) -> Due:
    return Due(
        namespace="default",
        run_id=RUN,
        fence=3,
        base=BASE,
        image=image,
        deliveries=tuple(deliveries),
        now=NOW,
        **more,
    )


def turn(entry: Entry, image: Image, deliveries: Sequence[Delivery], **more: Any) -> Turn:
    return take_turn(entry, due(image, deliveries, **more), ids())


def consumed(commit: Commit) -> list[int]:
    return [id_.int for id_ in commit.consumed]


def test_several_deliveries_are_one_commit_with_a_record_each() -> None:
    made = turn(HOME, after(HOME), signals(HOME, Dig(), Leave("a"), Return()))
    commit = made.commit
    assert [record.version for record in commit.records] == [2, 3, 4]
    assert [record.cause.int for record in commit.records] == [1, 2, 3]
    assert {record.commit_id for record in commit.records} == {commit.commit_id}
    assert consumed(commit) == [1, 2, 3]
    assert (commit.version, commit.fence, commit.base) == (1, 3, BASE)
    assert commit.status is RunStatus.RUNNING
    assert decode_image(HOME, 4, commit.snapshot) == made.image


def test_the_first_turn_of_a_run() -> None:
    start = Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(HOME, "ann"))
    commit = turn(HOME, unborn(), [start]).commit
    assert (commit.version, len(commit.records), consumed(commit)) == (0, 1, [1])


@pytest.mark.parametrize("first", [False, True], ids=["cancelled first", "started first"])
def test_a_child_run_tells_its_parent_whatever_it_takes_first(first: bool) -> None:
    """Cancelled in its first turn: where it comes from stands in its start, which it may never take."""
    parent = UUID(int=77)
    payload = encode_child_start(HOME.input.encode("ann"), OriginBody(str(parent), 5, 1, str(parent)))
    start = Delivery(UUID(int=1), RUN, DeliveryKind.START, payload)
    cancel = Delivery(UUID(int=2), RUN, DeliveryKind.CANCEL, encode_cancel("enough", terminate=True))
    commit = turn(HOME, unborn(), [start, cancel] if first else [cancel, start]).commit
    assert consumed(commit) == ([1, 2] if first else [2])
    [told] = [each for each in commit.deliveries if each.run_id == parent]
    assert (told.kind, told.token, told.slot) == (DeliveryKind.OUTCOME, 5, 1)


def test_a_fold_ends_with_the_run_and_leaves_the_rest_to_the_journal() -> None:
    commit = turn(HOME, after(HOME), signals(HOME, Leave("x"), Leave("y"), Dig(), Dig())).commit
    assert commit.status is RunStatus.COMPLETED
    assert consumed(commit) == [1, 2]
    assert json.loads(commit.outcome or b"")["value"] == "x"


def test_a_deferred_delivery_is_held_and_recorded_and_the_fold_goes_on() -> None:
    made = turn(WAITS, after(WAITS), signals(WAITS, Note("a"), Finish(), Note("b")))
    assert made.commit.hold == ((UUID(int=1), Held.DEFERRED), (UUID(int=3), Held.DEFERRED))
    assert consumed(made.commit) == [2]
    assert len(made.commit.records) == 3
    assert not made.commit.release
    assert made.has_deferred


def test_a_change_of_configuration_releases_what_is_deferred_and_stops_there() -> None:
    made = turn(WAITS, after(WAITS), signals(WAITS, Note("a"), Go(), Note("b")))
    assert made.commit.release
    assert made.commit.hold == (), "what was deferred in this fold is free again, never held"
    assert consumed(made.commit) == [2], "the deferred one comes before what is behind it"
    assert not made.has_deferred


def test_a_change_stops_for_deliveries_that_only_the_journal_knows() -> None:
    made = turn(WAITS, after(WAITS), signals(WAITS, Go(), Note("b")), has_deferred=True)
    assert (consumed(made.commit), made.commit.release) == ([1], True)
    made = turn(WAITS, after(WAITS), signals(WAITS, Finish(), Note("b")), has_deferred=True)
    assert not made.commit.release
    assert made.has_deferred, "nothing changed: they stay where they are"


def test_a_suspect_run_is_folded_one_delivery_at_a_time() -> None:
    deliveries = signals(HOME, Dig(), Leave())
    assert consumed(turn(HOME, after(HOME), deliveries, tries=SUSPECT - 1).commit) == [1, 2]
    assert consumed(turn(HOME, after(HOME), deliveries, tries=SUSPECT).commit) == [1]


def test_what_is_opened_and_closed_within_one_fold_never_reaches_the_journal() -> None:
    commit = turn(HOME, after(HOME), signals(HOME, Dig(), Leave())).commit
    assert commit.tasks == ()
    assert commit.deliveries == ()
    again = turn(HOME, after(HOME), signals(HOME, Dig(), Leave(), Return())).commit
    assert [task.token >> 16 for task in again.tasks] == [4], "of the second entry alone"
    assert [timer.token >> 16 for timer in again.deliveries] == [4]


def test_closing_a_state_entry_of_an_earlier_turn_is_told_to_the_journal() -> None:
    image = after(HOME, Dig())
    commit = turn(HOME, image, signals(HOME, Leave())).commit
    assert commit.closed == tuple(image.snapshot.tokens.values())


# --- faults --------------------------------------------------------------------------------------------


def test_a_fault_commits_the_steps_before_it_and_parks_on_it() -> None:
    deliveries = signals(BROKEN, Note("good"), Note("bad"), Note("good"))
    made = turn(BROKEN, after(BROKEN), deliveries)
    commit = made.commit
    assert isinstance(made.fault, MachineFault)
    assert commit.status is RunStatus.PARKED
    assert consumed(commit) == [1]
    assert commit.hold == ((UUID(int=2), Held.POISON),)
    assert [record.kind for record in commit.records] == [RecordKind.STEP, RecordKind.CONTROL]
    assert [record.version for record in commit.records] == [2, 3]
    assert json.loads(commit.records[1].body)["order"] == "park"
    assert commit.cause.startswith("fault: fragile: ")
    assert "KeyError: 'bad'" in commit.cause
    assert decode_image(BROKEN, 3, commit.snapshot).snapshot.context.log == ("1",)


def test_a_parked_run_that_never_began_stays_unborn() -> None:
    start = Delivery(UUID(int=1), RUN, DeliveryKind.START, b'{"v":1,"input":5}')
    made = turn(HOME, unborn(), [start])
    assert isinstance(made.fault, PayloadRefused)
    assert made.commit.snapshot == b""
    assert made.commit.cause.startswith("unreadable event: ")
    again = Delivery(UUID(int=2), RUN, DeliveryKind.START, encode_start(HOME, "ann"))
    assert turn(HOME, decode_image(HOME, 1, made.commit.snapshot), [again]).fault is None


UNREADABLE = [
    Delivery(UUID(int=1), RUN, DeliveryKind.SIGNAL, b"nonsense"),
    Delivery(UUID(int=1), RUN, DeliveryKind.SIGNAL, encode_signal_raw("Leave", b'{"word":1}')),
    Delivery(UUID(int=1), RUN, DeliveryKind.CANCEL, encode_cancel("x").replace(b":1", b":9")),
    Delivery(UUID(int=1), RUN, DeliveryKind.OUTCOME, encode_output(b'"x"'), token=2 << 16 | 1),
    Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(HOME, "a second start")),
]


@pytest.mark.parametrize("delivery", UNREADABLE, ids=lambda d: f"{d.kind.name} {d.payload[:12]!r}")
def test_a_delivery_that_cannot_be_taken_parks_the_run_and_raises_nothing(delivery: Delivery) -> None:
    image = after(HOME, Dig())
    made = turn(HOME, image, [delivery])
    assert made.fault is not None
    assert made.commit.status is RunStatus.PARKED
    assert made.commit.hold == ((UUID(int=1), Held.POISON),)
    assert made.commit.snapshot == encode_image(HOME, image)


@event
class Tell:
    run: str


class Careless(Machine[int, int, int], name="careless"):
    s = root(int)
    talking = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    talking.on(Tell, send=lambda c, e: Message(e, run=e.run))
    talking.on(Leave, done)


def test_a_message_to_nowhere_parks_its_sender_instead_of_felling_the_worker() -> None:
    careless = entry_of(Careless)
    image = turn(
        careless, unborn(), [Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(careless, 1))]
    ).image
    made = turn(careless, image, signals(careless, Tell(str(RUN)), Tell("nonsense")))
    assert isinstance(made.fault, MachineFault)
    assert consumed(made.commit) == [1]
    assert made.commit.cause.startswith("fault: careless: ")


def test_parking_without_a_step_holds_the_first_delivery() -> None:
    made = park(HOME, due(after(HOME), signals(HOME, Dig(), Leave())), "claimed 11 times", ids())
    assert made.commit.hold == ((UUID(int=1), Held.POISON),)
    assert (made.commit.cause, made.commit.status) == ("claimed 11 times", RunStatus.PARKED)
    assert [record.kind for record in made.commit.records] == [RecordKind.CONTROL]
    bare = park(HOME, due(after(HOME), []), "claimed 11 times", ids())
    assert bare.commit.hold == ()


def test_quarantine_leaves_a_snapshot_that_cannot_be_read_as_it_is() -> None:
    fault = UnknownVersion("a stored SnapshotBody has format 2")
    stored = b"of the future"
    made = quarantine(
        "older", due(unborn(7), signals(HOME, Dig()), stored=stored), "unreadable", fault, ids()
    )
    commit = made.commit
    assert commit.snapshot == b"of the future"
    assert (commit.version, commit.records[0].version) == (7, 8)
    assert commit.hold == ((UUID(int=1), Held.POISON),)
    assert (commit.cause, commit.status) == ("unreadable", RunStatus.PARKED)


def test_time_never_goes_back_within_a_run() -> None:
    later = after(HOME)
    made = take_turn(HOME, replace(due(later, signals(HOME, Dig())), now=NOW - 5), ids())
    assert made.commit.records[0].at == NOW
    assert made.commit.now == NOW
