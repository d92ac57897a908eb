"""A machine that was written and read is the same machine; as code, the same but for its functions."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given

from continuum_core.definition.chart import Chart
from continuum_core.definition.fault import Severity
from continuum_core.testing.simulation import machines as simulated
from continuum_demo.machine import Order as Shipping
from continuum_scxml import outline_of, skeleton, to_scxml, to_xstate
from continuum_scxml.document import SCXML
from continuum_scxml.scxml_writer import OWN
from docs.examples import approval, orders, support
from tests.crews import machines as crews
from tests.definition import machines
from tests.definition.sketch import FIXTURES
from tests.interpreter.test_properties import patient
from tests.runtime import sagas
from tests.scxml.carrying import CARRIERS, Carrier, imported, rich_charts, shape

DECLARED: list[Any] = [
    machines.Order,
    machines.Lift,
    machines.Player,
    orders.Order,
    approval.Approval,
    support.Ticket,
    simulated.Order,
    simulated.Nested,
    simulated.Basket,
    simulated.Race,
    sagas.Booking,
    sagas.AtOnce,
    crews.Fleet,
    crews.Kept,
    crews.Labels,
    crews.One,
    crews.Trips,
    Shipping,
]

carriers = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)


@carriers
@pytest.mark.parametrize("machine", DECLARED, ids=lambda machine: machine.__module__ + "." + machine.__name__)
def test_a_declared_machine_comes_back_as_code_that_can_be_imported(
    machine: Any, carrier: Carrier, tmp_path: Path
) -> None:
    outline = outline_of(machine.chart)
    read = carrier.read(carrier.write(outline))
    assert read == outline
    chart, found = imported(skeleton(read, carrier.name), tmp_path)
    assert [fault for _, faults in found for fault in faults if fault.severity is Severity.ERROR] == []
    assert (chart.name, chart.version) == (outline.name, outline.version)
    assert shape(outline_of(chart).root) == shape(outline.root)
    assert list(chart.events) == list(machine.chart.events)
    assert list(chart.activities) == list(machine.chart.activities)
    assert list(chart.machines) == list(machine.chart.machines)


@carriers
@pytest.mark.parametrize("name", FIXTURES)
def test_a_drawn_machine_comes_back(name: str, carrier: Carrier) -> None:
    outline = outline_of(FIXTURES[name]())
    assert carrier.read(carrier.write(outline)) == outline


@carriers
@patient(25)
@given(rich_charts())
def test_any_chart_comes_back(carrier: Carrier, made: Chart) -> None:
    outline = outline_of(made)
    assert carrier.read(carrier.write(outline)) == outline


@carriers
@patient(5)
@given(rich_charts())
def test_any_chart_comes_back_as_code(carrier: Carrier, made: Chart) -> None:
    outline = outline_of(made)
    with tempfile.TemporaryDirectory() as folder:
        chart, _ = imported(skeleton(carrier.read(carrier.write(outline)), carrier.name), Path(folder))
    assert shape(outline_of(chart).root) == shape(outline.root)


@patient(15)
@given(rich_charts())
def test_what_is_written_as_scxml_is_sound(made: Chart) -> None:
    _sound(ElementTree.fromstring(to_scxml(made)))


@pytest.mark.parametrize("machine", DECLARED, ids=lambda machine: machine.__module__ + "." + machine.__name__)
def test_declared_machines_are_sound_as_scxml(machine: Any) -> None:
    _sound(ElementTree.fromstring(to_scxml(machine)))


_STATES = {"state", "parallel", "final", "history"}
_CHILDREN = {  # the Recommendation's lists, as far as we write
    "scxml": {"state", "parallel", "final", "initial", "history"},
    "state": {
        "onentry",
        "onexit",
        "transition",
        "initial",
        "state",
        "parallel",
        "final",
        "history",
        "invoke",
    },
    "parallel": {"onentry", "onexit", "transition", "state", "parallel", "history", "invoke"},
    "final": {"onentry", "onexit"},
    "history": {"transition"},
    "initial": {"transition"},
    "transition": {"raise"},
    "onentry": {"raise", "send"},
    "onexit": {"raise", "cancel"},
    "invoke": {"param"},
}
_ATTRIBUTES = {
    "scxml": {"initial", "name", "version", "datamodel"},
    "state": {"id", "initial"},
    "parallel": {"id"},
    "final": {"id"},
    "history": {"id", "type"},
    "initial": set(),
    "transition": {"event", "cond", "target", "type"},
    "onentry": set(),
    "onexit": set(),
    "invoke": {"type", "src", "id"},
    "param": {"name", "expr"},
    "send": {"event", "id", "delay", "delayexpr"},
    "cancel": {"sendid"},
    "raise": {"event"},
}


def _sound(top: ElementTree.Element) -> None:
    """What the Recommendation demands of a document, for the elements that we write."""
    assert top.tag == f"{{{SCXML}}}scxml"
    assert top.get("version") == "1.0"
    found = list(top.iter())
    above = {child: element for element in found for child in element}
    states = {e.attrib["id"]: e for e in found if _local(e) in _STATES}
    assert len(states) == sum(_local(e) in _STATES for e in found), "ids are unique"
    sent = {e.attrib["id"] for e in found if e.tag == f"{{{SCXML}}}send"}
    for element in found:
        if element.tag.startswith(f"{{{OWN}}}"):
            assert _local(above[element]) in ("onentry", "onexit", "transition")
            continue
        name = _local(element)
        plain = {each for each in element.attrib if not each.startswith("{")}
        assert plain <= _ATTRIBUTES[name], (name, plain)
        ours = {_local(e) for e in element if not e.tag.startswith(f"{{{OWN}}}")}
        assert ours <= _CHILDREN.get(name, set()), (name, ours)
        for target in (element.get("target") or element.get("initial") or "").split():
            assert target in states
        if name == "transition" and _local(above[element]) in ("history", "initial"):
            assert element.get("event") is None
            assert element.get("target")
        elif name == "transition":
            assert (
                element.get("event")
                or element.get("target")
                or element.get("cond") is not None
                or list(element)
            )
            _named(element.get("event") or "", states, sent)
        elif name == "cancel":
            assert element.attrib["sendid"] in sent
        if name in ("state", "scxml") and element.get("initial"):
            inside = {e.get("id") for e in element.iter() if e is not element}
            assert set(element.attrib["initial"].split()) <= inside
    if top.find(f"{{{SCXML}}}initial") is not None:
        assert top.get("initial") is None


def _named(event: str, states: dict[str, Any], sent: set[str]) -> None:
    """An event of SCXML's own kind names something that is there."""
    if event.startswith("done.state."):
        assert event.removeprefix("done.state.") in states
    elif event.startswith("compensated."):
        undoing = states[event.removeprefix("compensated.")]
        assert undoing.get(f"{{{OWN}}}compensate") in ("newest-first", "parallel")
    elif event.startswith("after."):
        assert event in sent
    elif match := re.fullmatch(r"(?:done|error)\.invoke\.(.+?)\.\d+(?:\..+)?", event):
        assert match[1] in states


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def test_xstate_json_has_the_words_of_version_5() -> None:
    machine = json.loads(to_xstate(orders.Order))
    assert (machine["id"], machine["version"], machine["initial"]) == ("order", "1", "checking")
    states = machine["states"]
    assert list(states) == ["checking", "review", "charging", "shipping", "delivered", "refused"]
    assert states["checking"]["always"][0]["target"] == "#review"
    assert states["review"]["on"]["Approved"] == [{"target": "#charging"}]
    assert states["review"]["after"]["259200000"][0]["target"] == "#refused"
    [invoke] = states["charging"]["invoke"]
    assert invoke["src"] == "charge"
    assert invoke["onDone"][0]["target"] == "#shipping"
    assert invoke["onError"][0]["guard"] == {"type": "failed_with", "params": {"error": "Declined"}}
    assert invoke["onError"][1] == {"target": "#refused"}
    assert states["delivered"] == {"id": "delivered", "type": "final"}
    assert states["refused"]["meta"] == {"continuum": {"ok": False}}
