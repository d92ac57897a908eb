"""Machines that take back what they did, and what files say of it: reserved names, guards, circles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from continuum_core.definition.chart import Chart, Kind, TriggerKind
from continuum_core.definition.event import event
from continuum_core.definition.fault import Severity
from continuum_scxml import FormatRefused, outline_of, read_scxml, read_xstate, skeleton, to_scxml, to_xstate
from continuum_scxml.scxml_writer import OWN
from tests.definition.sketch import Sketch
from tests.runtime.sagas import AtOnce, Booking
from tests.scxml.carrying import CARRIERS, Carrier, imported

XMLNS = f'xmlns="http://www.w3.org/2005/07/scxml" xmlns:own="{OWN}"'
carriers = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)


@event(name="cancel")
class CancelSaid:
    """An event whose stored name is the word that SCXML documents have for a cancel."""


@event(name="compensated.a")
class CompensatedSaid:
    """An event with the name of an undoing that is over."""


@event(name="continuum.cancel")
class Reserved:
    """An event with the name that XState machines have for a cancel."""


def waiting(cls: type) -> Chart:
    """A machine whose state `a` waits for one event and nothing else."""
    s = Sketch("waiting")
    s.state("a", initial=True)
    s.state("b", Kind.FINAL)
    s.on("a", "E", "b")
    made = s.chart()
    edge = made.states[1].edges[0]
    told = evolve(made.states[1], edges=(evolve(edge, trigger=evolve(edge.trigger, event=cls)),))
    return evolve(made, states=(made.states[0], told, made.states[2]))


@carriers
@pytest.mark.parametrize("machine", [Booking, AtOnce], ids=lambda machine: machine.__name__)
def test_undoing_is_the_same_as_code(machine: Any, carrier: Carrier, tmp_path: Path) -> None:
    code = skeleton(carrier.read(carrier.write(outline_of(machine.chart))), carrier.name)
    chart, _ = imported(code, tmp_path)
    assert chart.state("undoing").compensation == machine.chart.state("undoing").compensation
    undos = {name: each.undo and each.undo.name for name, each in chart.activities.items()}
    assert undos == {name: each.undo and each.undo.name for name, each in machine.chart.activities.items()}
    assert undos["book_hotel"] == "cancel_hotel"


def test_scxml_says_it_with_two_events_and_attributes_of_our_own() -> None:
    text = to_scxml(Booking)
    assert '<transition event="cancel" target="undoing" type="internal" />' in text
    assert '<transition event="cancel" />' in text
    assert '<transition event="compensated.undoing" target="given_up" />' in text
    assert '<state id="undoing" continuum:compensate="newest-first">' in text
    assert '<state id="undoing" continuum:compensate="parallel">' in to_scxml(AtOnce)
    assert 'src="book_hotel" id="hotel.0" continuum:undo="cancel_hotel"' in text


def test_xstate_says_it_with_two_reserved_events() -> None:
    machine = json.loads(to_xstate(Booking))
    assert [way["target"] for way in machine["on"]["continuum.cancel"]] == ["#undoing"]
    undoing = machine["states"]["undoing"]
    assert undoing["on"]["continuum.cancel"] == [{}]
    assert undoing["on"]["continuum.compensated"] == [{"target": "#given_up"}]
    assert undoing["meta"] == {"continuum": {"compensate": "newest-first"}}
    [beside] = machine["states"]["hotel"]["meta"]["continuum"]["invoke"]
    assert beside["undo"] == "cancel_hotel"


@carriers
@pytest.mark.parametrize("cls", [CancelSaid, CompensatedSaid])
def test_an_event_of_a_reserved_name_stays_an_event(carrier: Carrier, cls: type) -> None:
    outline = outline_of(waiting(cls))
    assert outline.root.children[0].edges[0].trigger is TriggerKind.EVENT
    assert carrier.read(carrier.write(outline)) == outline


def test_an_event_that_xstate_could_not_tell_from_a_cancel_is_refused() -> None:
    with pytest.raises(FormatRefused, match=r"'continuum\.cancel' cannot be written: the name is reserved"):
        to_xstate(waiting(Reserved))


def test_in_a_strangers_scxml_such_names_are_events() -> None:
    outline = read_scxml(
        f'<scxml {XMLNS}><state id="a"><transition event="cancel" target="b"/>'
        '<transition event="compensated.a" target="b"/></state><final id="b"/></scxml>'
    )
    edges = outline.root.children[0].edges
    assert [(edge.trigger, edge.event) for edge in edges] == [
        (TriggerKind.EVENT, "cancel"),
        (TriggerKind.EVENT, "compensated.a"),
    ]


def test_a_way_to_undo_that_there_is_not_is_refused() -> None:
    with pytest.raises(
        FormatRefused, match="line 1: compensate is 'sideways', and must be 'newest-first' or"
    ):
        read_scxml(f'<scxml {XMLNS}><state id="a" own:compensate="sideways"/></scxml>')
    with pytest.raises(FormatRefused, match="/a: compensate is '7'"):
        read_xstate(json.dumps({"states": {"a": {"meta": {"continuum": {"compensate": 7}}}}}))


def own_xstate(a: dict[str, Any]) -> str:
    machine = {"id": "m", "initial": "a", "states": {"a": a, "b": {"type": "final"}, "c": {"type": "final"}}}
    return skeleton(read_xstate(json.dumps(machine)), "XState JSON")


def test_guards_on_what_takes_none_become_a_choice(tmp_path: Path) -> None:
    ways = [{"target": "b", "guard": "late"}, {"target": "c"}]
    code = own_xstate(
        {
            "on": {"continuum.cancel": ways, "continuum.compensated": ways},
            "meta": {"continuum": {"compensate": "parallel"}},
        }
    )
    assert code.count("a.on_cancel(a_cancelled)") == 1
    assert code.count("a.compensate(a_undone, parallel=True)") == 1
    chart, [(_, faults)] = imported(code, tmp_path)
    assert [each for each in faults if each.severity is Severity.ERROR] == []
    targets = [[chart.states[n].name for n in edge.targets] for edge in chart.state("a_undone").edges]
    assert targets == [["b"], ["c"]]


def test_undoing_that_leads_nowhere_is_a_gap_that_the_check_finds(tmp_path: Path) -> None:
    code = own_xstate({"on": {"E": "b"}, "meta": {"continuum": {"compensate": "newest-first"}}})
    assert "# GAP: where to go when all is undone" in code
    _, [(_, faults)] = imported(code, tmp_path)
    assert "C224" in [fault.code for fault in faults]


def test_activities_that_undo_each_other_are_cut_somewhere_and_it_is_said(tmp_path: Path) -> None:
    code = own_xstate(
        {
            "invoke": [
                {"src": "x", "onError": "b"},
                {"src": "y", "onError": "b"},
                {"src": "y", "onError": "b"},
            ],
            "on": {"continuum.compensated": "c"},
            "meta": {
                "continuum": {
                    "compensate": "newest-first",
                    "invoke": [{"undo": "y"}, {"undo": "x"}, {"undo": "z"}],
                }
            },
        }
    )
    chart, _ = imported(code, tmp_path)
    undone = {name: each.undo and each.undo.name for name, each in chart.activities.items()}
    assert undone == {"x": "y", "y": None}
    for lost in ('undoes it by "x", elsewhere', 'undoes it by "z", elsewhere'):
        assert lost in code
