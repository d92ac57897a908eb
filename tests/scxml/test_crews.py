"""Child runs and members in files of other tools: what is written, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continuum_core import MachineFault
from continuum_core.testing import Drive
from continuum_scxml import FormatRefused, outline_of, read_scxml, read_xstate, skeleton, to_scxml, to_xstate
from continuum_scxml.outline import Invoke
from tests.crews.machines import Fleet, Kept, Labels, Trips
from tests.scxml.carrying import imported


def test_scxml_says_it_with_invokes_whose_source_is_the_machines_name() -> None:
    text = to_scxml(Fleet)
    assert 'type="urn:continuum-core:machine" src="crew-parcel" id="shipping.0"' in text
    assert 'continuum:how="each" continuum:limit="3"' in text
    assert '<transition event="done.invoke.shipping.0"' in text
    assert '<transition event="error.invoke.shipping.0" target="lost" />' in text
    assert 'continuum:how="spawn" continuum:closing="cancel"' in to_scxml(Kept)
    assert 'type="urn:continuum-core:activity" src="label"' in to_scxml(Labels)


def test_xstate_says_it_with_invokes_and_its_meta() -> None:
    shipping = json.loads(to_xstate(Fleet))["states"]["shipping"]
    [invoke] = shipping["invoke"]
    assert (invoke["id"], invoke["src"], invoke["onError"]) == (
        "shipping.0",
        "crew-parcel",
        [{"target": "#lost"}],
    )
    [beside] = shipping["meta"]["continuum"]["invoke"]
    assert beside == {"input": "c.parcels", "how": "each", "limit": 3, "machine": True}


def test_the_undo_of_members_is_carried() -> None:
    [invoke] = outline_of(Trips.chart).root.children[0].invokes
    assert (invoke.activity, invoke.undo, invoke.how) == ("book", "unbook", "each")


def test_a_machine_that_was_not_filled_in_decides_nothing(tmp_path: Path) -> None:
    code = skeleton(outline_of(Kept.chart), "SCXML")
    assert code.count("GAP: the machine of these child runs") == 1
    chart, _ = imported(code, tmp_path)
    [child] = chart.machines.values()
    machine: Any = type("Holder", (), {"chart": child})
    with pytest.raises(MachineFault, match="CrewSlow"):
        Drive(machine, child.input_type())


SCXML = """<scxml xmlns="http://www.w3.org/2005/07/scxml" xmlns:own="urn:continuum-core:scxml"
  version="1.0" own:version="1" initial="a">
  <state id="a"><invoke type="urn:continuum-core:{kind}" src="w" id="a.0" {words}/></state></scxml>"""


@pytest.mark.parametrize(
    ("kind", "words", "why"),
    [
        ("machine", {"how": "summon"}, "how is 'summon'"),
        ("machine", {"closing": "forget"}, "closing is 'forget'"),
        ("machine", {"how": "each", "limit": "0"}, "limit is '0', and must be 1 to 1000"),
        ("activity", {"how": "each", "limit": "1001"}, "limit is '1001'"),
        ("activity", {"how": "collect", "limit": "\u0663"}, "limit is"),
        ("activity", {"how": "each", "limit": "9" * 5_000}, "limit is '9999"),
        ("activity", {"how": "spawn"}, "an activity is not forgotten"),
    ],
    ids=["how", "closing", "none", "many", "digits", "long", "forgotten"],
)
def test_words_that_there_are_not_are_refused(kind: str, words: dict[str, str], why: str) -> None:
    attributes = " ".join(f'own:{word}="{value}"' for word, value in words.items())
    with pytest.raises(FormatRefused, match=f"line 3: {why}"):
        read_scxml(SCXML.format(kind=kind, words=attributes))
    beside: dict[str, Any] = {**words, **({"machine": True} if kind == "machine" else {})}
    state = {"invoke": [{"src": "w"}], "meta": {"continuum": {"invoke": [beside]}}}
    with pytest.raises(FormatRefused, match=f"/a: {why}"):
        read_xstate(json.dumps({"initial": "a", "states": {"a": state}}))


def test_what_is_not_said_is_the_usual() -> None:
    words = 'own:how="each"'
    [invoke] = read_scxml(SCXML.format(kind="machine", words=words)).root.children[0].invokes
    assert invoke == Invoke("w", machine=True, how="each", limit=100, closing="cancel")
