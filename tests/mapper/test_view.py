"""Runs and histories for people: in words where the code is here, else in JSON values and numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core import Failure
from continuum_core.clock import to_datetime
from continuum_core.due import Due
from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import (
    DeadLetter,
    Delivery,
    DeliveryKind,
    Held,
    Record,
    RecordKind,
    Run,
    RunStatus,
    Task,
)
from continuum_core.mapper import (
    Image,
    encode_control,
    encode_failure,
    encode_image,
    encode_signal,
    encode_start,
    unborn,
)
from continuum_core.registry import Entry, Registry
from continuum_core.turn import take_turn
from continuum_core.view import RunView, edge_text, page_views, run_view, step_view
from tests.golden.release_0_1 import Jukebox, Order
from tests.mapper.machines import HOUR, NOW, RUN, Ctx, Dig, Home, Larger, Leave, Smaller, after, entry_of, ids

HOME = entry_of(Home)


def row(image: Image, entry: Entry = HOME) -> Run:
    return Run(
        run_id=RUN,
        namespace="default",
        machine="home",
        fingerprint=entry.fingerprint,
        key="k",
        digest=b"",
        generation=0,
        version=image.snapshot.version,
        status=RunStatus.RUNNING,
        cause="",
        snapshot=encode_image(entry, image) if image.context else b"",
        outcome=None,
        fence=1,
        lease_until=None,
        claim_id=None,
        commit_id=None,
        tries=0,
        parent=None,
        root=None,
        created=NOW,
        updated=NOW + 1,
    )


def viewed(image: Image, entry: Entry | None = HOME) -> RunView:
    return run_view(Inspection(row(image), (), (), ()), entry)


# --- runs ----------------------------------------------------------------------------------------------


def test_a_run_is_typed_with_its_code_and_json_without() -> None:
    image = after(HOME, Dig())
    typed, untyped = viewed(image), viewed(image, None)
    assert typed.context == Ctx("ann")
    assert untyped.context == {"name": "ann", "log": []}
    assert typed.states == untyped.states == ("home.garden",)
    assert (typed.key, typed.created, typed.updated) == ("k", to_datetime(NOW), to_datetime(NOW + 1))


def test_a_run_that_this_code_cannot_take_is_shown_as_it_is_stored() -> None:
    view = viewed(after(HOME, Dig()), entry_of(Smaller))
    assert (view.states, view.context) == (("home.garden",), {"name": "ann", "log": []})


def test_a_run_before_its_first_turn_has_nothing_to_show() -> None:
    view = viewed(unborn())
    assert (view.states, view.context, view.outcome) == ((), None, None)


def test_pages_find_the_code_by_fingerprint() -> None:
    image = after(HOME)
    [known] = page_views([row(image)], Registry([Home]))
    [unknown] = page_views([row(image)], Registry([Larger]))
    assert (known.context, unknown.context) == (Ctx("ann"), {"name": "ann", "log": []})


def test_what_is_open_names_the_state_it_belongs_to() -> None:
    image = after(HOME, Dig())
    [token] = image.snapshot.tokens.values()
    timer = Delivery(UUID(int=1), RUN, DeliveryKind.TIMER, b"", due=NOW + HOUR, token=token)
    held = Delivery(
        UUID(int=2), RUN, DeliveryKind.SIGNAL, encode_signal(HOME, Leave()), due=NOW, held=Held.DEFERRED
    )
    task = Task(
        run_id=RUN,
        token=token,
        slot=0,
        activity="water",
        queue="default",
        priority=5,
        due=NOW,
        scheduled=NOW,
        payload=b'"ann"',
        attempt=2,
        losses=1,
        failure=encode_failure(Failure("m.Dry", "no water")),
    )
    dead = DeadLetter(held, "run over", NOW)
    view = run_view(Inspection(row(image), (timer, held), (task,), (dead,)), None)
    assert [(w.what, w.state, w.held) for w in view.waiting] == [
        ("timer", "home.garden", ""),
        ("Leave", "", "deferred"),
    ]
    assert view.waiting[0].due == to_datetime(NOW + HOUR)
    [shown] = view.tasks
    assert (shown.state, shown.failure, shown.attempt, shown.losses, shown.claimed) == (
        "home.garden",
        "m.Dry: no water",
        2,
        1,
        False,
    )
    assert shown.place is None, "a journal that tells no places"
    placed = run_view(Inspection(row(image), (), (task,), (), (12,)), None)
    assert placed.tasks[0].place == 12
    leased = replace(task, lease_until=NOW + 1)
    lives, over = (run_view(Inspection(row(image), (), (leased,), ()), None, at) for at in (NOW, NOW + 1))
    assert (lives.tasks[0].claimed, lives.tasks[0].lost) == (True, False)
    assert (over.tasks[0].claimed, over.tasks[0].lost) == (False, True), "a lease that is over is nobody's"
    assert over.tasks[0].leased_until == to_datetime(NOW + 1)
    [letter] = view.dead
    assert (letter.what, letter.reason) == ("Leave", "run over")


# --- histories -----------------------------------------------------------------------------------------


def records(*events: object) -> Sequence[Record]:
    first = Delivery(UUID(int=1), RUN, DeliveryKind.START, encode_start(HOME, "ann"))
    rest = [
        Delivery(UUID(int=number), RUN, DeliveryKind.SIGNAL, encode_signal(HOME, each))
        for number, each in enumerate(events, 2)
    ]
    return take_turn(HOME, Due("", RUN, None, None, unborn(), (first, *rest), NOW), ids()).commit.records


def test_a_step_in_words_and_in_numbers() -> None:
    record = records(Dig(), Leave("x"))[2]
    told = step_view(record, Registry([Home]))
    assert (told.version, told.event, told.data, told.disposition) == (3, "Leave", {"word": "x"}, "taken")
    assert told.states == ("away",)
    assert told.edges == ("home ─Leave→ away",)
    assert told.changed == {"log": ["x"]}
    assert told.asked == ("close state entry",)
    assert told.cause == UUID(int=3)
    [number] = [each for micro in json.loads(record.body)["edges"] for each in micro]
    assert step_view(record, Registry()).edges == (f"edge {number}",)


def test_edges_of_another_definition_are_not_told_in_the_words_of_this_one() -> None:
    registry = Registry([Larger])
    registry.learn([HOME.definition])
    told = step_view(records(Leave())[1], registry)
    assert told.edges[0].startswith("edge "), "the numbers mean other edges here"


def test_what_a_step_asked_for_in_words() -> None:
    told = step_view(records(Dig())[1], Registry())
    assert told.asked == ("timer until 2030-01-01T01:00:00+00:00", "start water")


def test_an_order_tells_who_and_why() -> None:
    body = encode_control("suspend", "ann", "lunch")
    record = Record(RUN, 2, RecordKind.CONTROL, NOW, UUID(int=1), UUID(int=2), body)
    told = step_view(record, Registry())
    assert (told.kind, told.event, told.who, told.why) == (RecordKind.CONTROL, "suspend", "ann", "lunch")
    assert (told.states, told.edges, told.changed, told.asked) == ((), (), {}, ())


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        (Order, "root ─Withdrawn→ refused"),
        (Order, "sizing ─[len(c.order.lines) > 2]→ review"),
        (Order, "sizing → charging"),
        (Order, "review ─after→ refused"),
        (Order, "charging ─charge ✓→ fulfilling"),
        (Order, "charging ─charge ✗ Declined→ refused"),
        (Order, "fulfilling ─done→ completed"),
        (Jukebox, "playing.radio ─Tuned→ (stays)"),
        (Jukebox, "paused ─Resume [e.deep]→ playing.where"),
    ],
)
def test_every_kind_of_edge_in_words(machine: type, text: str) -> None:
    entry = entry_of(machine)
    edges = [edge for state in entry.chart.states for edge in state.edges]
    assert text in [edge_text(edge, entry) for edge in edges]
