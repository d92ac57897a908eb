"""What other tools write: each of their words has its place here, or a note that says where it went."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_scxml import outline_of, read_scxml, read_xstate, skeleton
from continuum_scxml.outline import Edge, Outline, Part
from continuum_scxml.words import delay_text, length_code, micros, quoted, unquoted
from tests.scxml.carrying import imported

XMLNS = 'xmlns="http://www.w3.org/2005/07/scxml"'


def scxml(inside: str) -> Outline:
    return read_scxml(f'<scxml {XMLNS} name="m" version="1.0">{inside}</scxml>')


def xstate(**machine: Any) -> Outline:
    return read_xstate(json.dumps({"id": "m", **machine}))


def part(outline: Outline, name: str) -> Part:
    return next(each for each in outline.root.walk() if each.id == name)


def told(edges: tuple[Edge, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(edge.event or edge.trigger.value, edge.targets) for edge in edges]


# --- SCXML -----------------------------------------------------------------------------------------------


def test_a_descriptor_is_an_edge_for_every_event_it_matches() -> None:
    outline = scxml(
        '<state id="a"><onentry><raise event="job.done"/><send event="job.failed.hard"/></onentry>'
        '<transition event="job other" target="b"/><transition event="job.failed.*" target="a"/>'
        '<transition event="*" target="b"/></state><final id="b"/>'
    )
    assert told(part(outline, "a").edges) == [
        ("job", ("b",)),
        ("job.failed", ("b",)),
        ("job.failed.hard", ("b",)),
        ("job.done", ("b",)),
        ("other", ("b",)),
        ("job.failed", ("a",)),
        ("job.failed.hard", ("a",)),
        ("any", ("b",)),
    ]


def test_a_delayed_send_to_itself_is_a_timer_where_no_other_state_waits_for_it() -> None:
    outline = scxml(
        '<state id="a"><onentry><send event="late" delay="1.5s"/></onentry>'
        '<transition event="late" target="b"/></state>'
        '<state id="b"><onentry><send event="tick" delay="1s" id="t"/></onentry><onexit><cancel sendid="t"/>'
        '</onexit><transition event="tick" target="c"/></state>'
        '<state id="c"><onentry><send event="far" delay="1s"/></onentry><transition event="go" target="d"/>'
        '</state><state id="d"><transition event="far" target="a"/></state>'
    )
    [late] = part(outline, "a").edges
    assert (late.trigger, late.delay) == (TriggerKind.AFTER, 1_500_000)
    assert ["no <cancel>" in note for note in late.notes] == [True]
    [tick] = part(outline, "b").edges
    assert (tick.trigger, tick.notes, part(outline, "b").exit) == (TriggerKind.AFTER, (), ())
    assert [action.kind.value for action in part(outline, "c").entry] == ["send"]
    assert told(part(outline, "d").edges) == [("far", ("a",))]


def test_completions_and_the_ends_of_invokes_find_their_state() -> None:
    outline = scxml(
        '<state id="a"><invoke id="i" src="work"/><transition event="done.invoke.i" target="b"/>'
        '<transition event="done.state.a" target="b"/><transition event="error.execution" target="b"/>'
        '<transition event="done.state.x" target="b"/><state id="x"><final id="y"/></state></state>'
        '<final id="b"/>'
    )
    edges = part(outline, "a").edges
    kinds = [edge.trigger for edge in edges]
    assert kinds == [TriggerKind.INVOKE_DONE, TriggerKind.DONE, TriggerKind.EVENT, TriggerKind.EVENT]
    assert "parks the run" in edges[2].notes[0]
    assert "done()" in edges[3].notes[0]


def test_nothing_is_left_out_in_silence() -> None:
    outline = scxml(
        "<datamodel><data id='n' expr='1'/></datamodel><script>n = 2</script>"
        '<state id="a"><invoke><content><scxml/></content></invoke><transition event="e" target="b"/></state>'
        '<final id="b"><donedata><content>1</content></donedata></final>'
    )
    code = skeleton(outline, "SCXML")
    for kept in ('"n": "1"', "a <script>", "not read; import it for itself", "a <donedata>"):
        assert kept in code


def test_a_way_in_to_states_further_down_is_a_choice_in_code(tmp_path: Path) -> None:
    outline = scxml(
        '<initial><transition target="c"><raise event="began"/></transition></initial>'
        '<state id="a"><state id="b"/><state id="c"/><transition event="began" target="d"/></state>'
        '<final id="d"/>'
    )
    chart, _ = imported(skeleton(outline, "SCXML"), tmp_path)
    [start] = [state for state in chart.states if state.kind is Kind.CHOICE]
    assert chart.states[0].initial == (start.number,)
    assert [chart.states[n].name for n in start.edges[0].targets] == ["c"]
    raised = start.edges[0].actions[0].function.call(None)
    assert type(raised) is chart.events["began"]


# --- XState ----------------------------------------------------------------------------------------------


def test_targets_are_found_as_xstate_finds_them() -> None:
    inner = {
        "states": {"x": {"on": {"UP": "#far", "NEXT": "y", "DEEP": "#m.b.z", "IN": ".k"}, "initial": "k"}}
    }
    inner["states"]["x"]["states"] = {"k": {}}
    inner["states"]["y"] = {"on": {"E": {"target": ["#far"]}, "F": {}}}
    outline = xstate(initial="a", states={"a": inner, "b": {"id": "far", "states": {"z": {}}}})
    assert told(part(outline, "x").edges) == [
        ("UP", ("far",)),
        ("NEXT", ("y",)),
        ("DEEP", ("z",)),
        ("IN", ("k",)),
    ]
    assert told(part(outline, "y").edges) == [("E", ("far",)), ("F", ())]


def test_edges_that_do_not_reenter_stay_inside() -> None:
    outline = xstate(
        states={
            "leaf": {"on": {"STAY": "leaf", "AGAIN": {"target": "leaf", "reenter": True}}},
            "whole": {
                "states": {"x": {}, "y": {}},
                "on": {"IN": ".y", "OUT": {"target": ".y", "reenter": True}, "SELF": "whole"},
            },
        }
    )
    leaf = part(outline, "leaf").edges
    assert [(edge.targets, edge.internal) for edge in leaf] == [((), False), (("leaf",), False)]
    whole = part(outline, "whole").edges
    assert [(e.targets, e.internal) for e in whole] == [(("y",), True), (("y",), False), (("x",), True)]


def test_words_of_version_4_are_understood() -> None:
    outline = xstate(
        states={
            "a": {
                "on": {"": {"target": "b", "cond": "isReady"}, "E": {"target": ".x", "internal": False}},
                "states": {"x": {}},
                "onEntry": [],
            },
            "b": {"history": True, "type": "history"},
        }
    )
    always, external = part(outline, "a").edges
    assert (always.trigger, always.guard) == (TriggerKind.ALWAYS, "isReady")
    assert external.internal is False
    assert part(outline, "b").kind is Kind.SHALLOW_HISTORY


def test_a_parallel_machine_gets_a_root_around_it(tmp_path: Path) -> None:
    states = {
        name: {"initial": "off", "states": {"off": {"on": {f"{name}.on": "on"}}, "on": {}}} for name in "pq"
    }
    outline = xstate(type="parallel", states=states)
    chart, _ = imported(skeleton(outline, "XState JSON"), tmp_path)
    assert [chart.states[child].kind for child in chart.states[0].children] == [Kind.PARALLEL]
    assert set(chart.events) == {"p.on", "q.on"}
    assert len({state.name for state in chart.states}) == len(chart.states)


def test_guards_on_the_end_of_an_invoke_become_a_choice(tmp_path: Path) -> None:
    work = {
        "src": "work",
        "onDone": [{"target": "good", "guard": "isGood"}, {"target": "bad"}],
        "onError": [{"target": "again", "guard": "mayRetry"}, "bad"],
    }
    states = {"doing": {"invoke": work}, "again": {"always": "doing"}, "good": {"type": "final"}, "bad": {}}
    chart, _ = imported(skeleton(xstate(initial="doing", states=states), "XState JSON"), tmp_path)
    choices = [state for state in chart.states if state.kind is Kind.CHOICE]
    ways = [[(chart.states[e.targets[0]].name, e.guard is not None) for e in c.edges] for c in choices]
    assert ways == [[("good", True), ("bad", False)], [("again", True), ("bad", False)]]
    [invoke] = chart.state("doing").invokes
    assert invoke.activity.name == "work"


def test_actions_delays_and_context_are_kept_for_a_person() -> None:
    outline = xstate(
        context={"count": 0},
        states={
            "a": {"entry": {"type": "log", "params": {"of": "x"}}, "after": {"patience": "a", "2.5": "a"}}
        },
    )
    assert [edge.delay for edge in part(outline, "a").edges] == ["patience", 2_500]
    code = skeleton(outline, "XState JSON")
    assert '"count": "0"' in code
    assert '{"type": "log", "params": {"of": "x"}}' in code
    assert "def patience(c: Context) -> timedelta:" in code


def test_a_gap_that_was_not_filled_in_decides_nothing(tmp_path: Path) -> None:
    outline = xstate(states={"a": {"always": [{"target": "b", "guard": "isReady"}]}, "b": {"type": "final"}})
    chart, _ = imported(skeleton(outline, "XState JSON"), tmp_path)
    guard = outline_of(chart).root.children[0].edges[0].guard
    assert guard == "isReady"
    with pytest.raises(NotImplementedError, match="isReady"):
        chart.states[1].edges[0].guard.call(None)  # type: ignore[union-attr]  # it is there: see above


# --- words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2s", 2_000_000),
        (".5s", 500_000),
        ("1500ms", 1_500_000),
        ("0.5ms", 500),
        ("1m", 60_000_000),
        (" 1s ", 1_000_000),
    ],
)
def test_lengths_of_time_are_read(text: str, length: int) -> None:
    assert micros(text) == length
    assert micros(delay_text(length)) == length


@pytest.mark.parametrize("text", ["", "s", ".s", "1", "1e9s", "-1s", "1 2s", "9" * 50 + "s", "١s"])
def test_what_is_no_length_of_time_is_not_read(text: str) -> None:
    assert micros(text) is None


@pytest.mark.parametrize("length", [1, 1_000, 1_500_000, 60_000_000, 7_200_000_000, 86_400_000_000 * 400])
def test_a_length_of_time_as_code_is_that_length(length: int) -> None:
    word, _, value = length_code(length).removeprefix("timedelta(").removesuffix(")").partition("=")
    assert timedelta(**{word: int(value)}) == timedelta(microseconds=length)


@pytest.mark.parametrize(
    "name", ["a", "a b", "a.*", "*", "done.state.x", "error", "error.x", "50%", "ends.", "ä\n"]
)
def test_an_events_name_is_one_exact_token(name: str) -> None:
    token = quoted(name)
    assert unquoted(token) == name
    assert len(token.split()) == 1
    assert "*" not in token
    assert not token.startswith(("done.", "error.", "after."))
    assert not token.endswith(".")
