"""Files are strangers' texts: what is in them is never run, never opened, and never becomes code."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_scxml import FormatRefused, Outline, read_scxml, read_xstate, skeleton
from continuum_scxml.document import DEPTH, SIZE
from continuum_scxml.outline import EDGES, STATES
from tests.interpreter.test_properties import patient
from tests.scxml.carrying import imported

XMLNS = 'xmlns="http://www.w3.org/2005/07/scxml"'
BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 30))

HOSTILE_NAMES = [
    'x"\nimport os; os.system("touch owned")\n#',
    "'''\"\"\"\\",
    "x\r\nraise SystemExit",
    "\u202edecalper\u2066",
    "\u2028print(1)",
    "\ud800",
    "class",
    "None",
    "__import__",
    "__class__",
    "init",
    "Machine",
    "c",
    "ﬁne",
    "ªº",
    "١٢",
    "0",
    " ",
    "a" * 290,
]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'<!DOCTYPE scxml [<!ENTITY e0 "x">{BOMB}]><scxml {XMLNS}>&e29;</scxml>', "DOCTYPE"),
        (f'<!DOCTYPE scxml SYSTEM "file:///etc/passwd"><scxml {XMLNS}/>', "DOCTYPE"),
        (f'<!DOCTYPE s [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><scxml {XMLNS}/>', "DOCTYPE"),
        (f"<scxml {XMLNS}>&other;</scxml>", "no XML"),
        (f"<scxml {XMLNS}>", "no XML"),
        ("", "no XML"),
        ("<state/>", "<state>"),
        ('<scxml xmlns="urn:other"><state id="a"/></scxml>', "<scxml>"),
        (f"<scxml {XMLNS}/>", "no states"),
        (f"<scxml {XMLNS}>{'<state>' * (DEPTH + 1)}{'</state>' * (DEPTH + 1)}</scxml>", "nested deeper"),
        (f'<scxml {XMLNS}><state id="a"/>{" " * SIZE}</scxml>', "bytes"),
        (f'<scxml {XMLNS}><state id="a"/><state id="a"/></scxml>', "second state has the id 'a'"),
        (f'<scxml {XMLNS}><state id="a"><transition target="b"/></state></scxml>', "no state 'b'"),
        (f'<scxml {XMLNS} initial="b"><state id="a"/></scxml>', "no state 'b'"),
        (f'<scxml {XMLNS}><state id="a"><initial/><state id="b"/></state></scxml>', "<initial>"),
    ],
)
def test_an_scxml_file_that_cannot_be_read_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FormatRefused, match=reason):
        read_scxml(text)


def test_an_encoding_that_there_is_not_is_refused() -> None:
    with pytest.raises(FormatRefused, match="encoding"):
        read_scxml(b'<?xml version="1.0" encoding="klingon"?><scxml/>')


def test_patterns_cannot_multiply_without_end() -> None:
    ways = "".join(f'<transition event="e.{n}" target="a"/>' for n in range(1000))
    wide = '<transition event="e" target="a"/>' * 30
    with pytest.raises(FormatRefused, match="edges"):
        read_scxml(f'<scxml {XMLNS}><state id="a">{ways}{wide}</state></scxml>')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("[]", "states"),
        ('{"states": []}', "states"),
        ('{"states": {"a": 1}}', "no object"),
        ('{"states": {"a": {}, "a": {}}}', "twice"),
        ('{"states": {"a": NaN}}', "no JSON"),
        ('{"states": {"a": {"on": {"E": "b"}}}}', "no state 'b'"),
        ('{"states": {"a": {"on": {"E": "#b.c"}}}}', "no state '#b.c'"),
        ('{"states": {"a": {"on": {"E": {"target": 7}}}}}', "7 is no target"),
        ('{"states": {"a": {"on": []}}}', "'on' is no object"),
        ('{"states": {"a": {"type": "sideways"}}}', "no type of a state"),
        ('{"states": {"a": {"id": "x"}, "b": {"id": "x"}}}', "second state has the id 'x'"),
        ('{"states": {"a": {"after": {"99999999999999": "a"}}}}', "century"),
        ("[" * 200_000, "no JSON"),
        ('{"states":' + '{"a":{"states":' * 100 + "{}" + "}}" * 100 + "}", "nested deeper"),
        ('{"states": {"a": {"on": {"' + "e" * 301 + '": "a"}}}}', "a name of 301 characters"),
        ('{"states": {"a": {"meta": ' + "9" * 5000 + "}}}", "no JSON"),
        (" " * (SIZE + 1), "bytes"),
    ],
)
def test_an_xstate_file_that_cannot_be_read_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FormatRefused, match=reason):
        read_xstate(text)


def _machine(name: str) -> dict[str, Any]:
    """A machine in which this is the name of everything."""
    action = [{"type": name}, name]
    way = {"target": f"#{name}", "guard": name, "actions": action}
    state = {
        "id": name,
        "description": name,
        "entry": action,
        "on": {name: [way], "E": name and "b"},
        "after": {name: [way]},
        "invoke": {"src": name, "input": name, "onDone": [way], "onError": [way, {"target": "b"}]},
        "meta": {"continuum": {"defer": [name + "x"]}},
    }
    return {"id": "m" + name, "context": {name: name}, "initial": name, "states": {name: state, "b": {}}}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_becomes_an_identifier_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outline = read_xstate(json.dumps(_machine(name)))
    code = skeleton(outline, "XState JSON")
    assert all(line.isprintable() for line in code.split("\n"))
    _only_declares(code)
    chart, _ = imported(code, tmp_path)
    assert len(chart.states) == len({state.name for state in chart.states})
    assert not (tmp_path / "owned").exists()


texts = st.text(max_size=30) | st.sampled_from(HOSTILE_NAMES)


@patient(30)
@given(texts.filter(bool))
def test_whatever_names_are_the_code_only_declares(name: str) -> None:
    try:
        outline = read_xstate(json.dumps(_machine(name)))
    except FormatRefused:
        return
    _only_declares(skeleton(outline, "XState JSON"))


def _only_declares(code: str) -> None:
    """Calls go to what a skeleton is made of: decorators, makers of states, methods of states."""
    tree = ast.parse(code)
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= {"__future__", "datetime", "attrs", "continuum_core"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    declared = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    makers = {"root", "timedelta", "event", "activity", "to", "NotImplementedError"} | declared
    machine = tree.body[-1]
    assert isinstance(machine, ast.ClassDef)
    states = {
        t.id for n in machine.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name):
            assert call.func.id in makers
        else:
            assert isinstance(call.func, ast.Attribute)
            assert isinstance(call.func.value, ast.Name)
            assert call.func.value.id in states


WHAT_IT_SAYS = 'evil = __import__("os").system("touch owned")'


def _scxml(text: str) -> Outline:
    said = text.replace('"', "&quot;")
    return read_scxml(
        f'<scxml {XMLNS} name="m"><datamodel><data id="d" expr="{said}"/></datamodel>'
        f'<script>{said}</script><state id="a"><onentry><script>{said}</script><assign location="d" '
        f'expr="{said}"/><send event="go" delayexpr="{said}"/></onentry><transition event="go" cond="{said}" '
        f'target="b"/><invoke srcexpr="{said}"/></state><final id="b"/></scxml>'
    )


def _xstate(text: str) -> Outline:
    return read_xstate(json.dumps(_machine(text)))


@pytest.mark.parametrize("read", [_scxml, _xstate])
def test_expressions_are_kept_as_comments_for_a_person(
    read: Callable[[str], Outline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = skeleton(read(WHAT_IT_SAYS), "a file")
    kept = [line for line in code.split("\n") if "__import__" in line and "os" in line]
    assert kept
    assert all("#" in line[: line.index("__import__")] or "name=" in line for line in kept)
    imported(code, tmp_path)
    assert not (tmp_path / "owned").exists()


# --- whatever a file is ----------------------------------------------------------------------------------

_WORDS = [
    "id",
    "initial",
    "states",
    "on",
    "always",
    "after",
    "invoke",
    "entry",
    "exit",
    "type",
    "history",
    "target",
    "onDone",
    "onError",
    "guard",
    "cond",
    "actions",
    "src",
    "meta",
    "continuum",
    "reenter",
    "internal",
    "params",
    "kind",
    "order",
    "defer",
    "root",
    "machine",
    "version",
    "context",
    "a",
    "b",
    "*",
    "a.*",
    "1000",
]
_TEXTS = ["", *["a", "b", "#a", ".a", "a.b", "parallel", "final", "history", "deep", "choice", "assign"]]
_LEAVES = st.sampled_from([None, True, 0, 1, 2.5, *_TEXTS])
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=12,
)
_STATE = st.dictionaries(st.sampled_from(_WORDS), _VALUES, max_size=5)
_MACHINES = st.fixed_dictionaries(
    {"states": st.dictionaries(st.sampled_from(["a", "b", "c"]), _STATE, max_size=3)},
    optional=dict.fromkeys(("initial", "on", "type", "id", "meta", "always", "context", "version"), _VALUES),
)


@patient(60)
@given(_MACHINES)
def test_any_json_is_read_or_refused(machine: dict[str, Any]) -> None:
    try:
        outline = read_xstate(json.dumps(machine))
    except FormatRefused:
        return
    _only_declares(skeleton(outline, "XState JSON"))


_STATES = ["state", "parallel", "final", "history"]
_TAGS = [
    *_STATES,
    *[
        "initial",
        "transition",
        "onentry",
        "onexit",
        "send",
        "invoke",
        "raise",
        "cancel",
        "assign",
        "datamodel",
        "data",
        "donedata",
        "param",
    ],
    *["content", "scxml"],
]
_NAMES = ["id", "initial", "target", "event", "cond", "type", "delay", "sendid", "src", "kind", "place", "ok"]
_SAID = [
    "",
    "a b",
    *["a", "b", "deep", "internal", "1s", "x", "root", "choice", "*", "done.state.a", "done.invoke.a"],
]


@st.composite
def _elements(draw: st.DrawFn, depth: int = 0) -> str:
    tag = draw(st.sampled_from(_STATES if depth == 0 else _TAGS))
    prefix = draw(st.sampled_from(["", "", "c:"]))
    names = draw(st.lists(st.sampled_from(_NAMES), max_size=3, unique=True))
    told = "".join(f' {prefix}{name}="{draw(st.sampled_from(_SAID))}"' for name in names)
    inner = "".join(draw(st.lists(_elements(depth + 1), max_size=3))) if depth < 3 else ""
    return f"<{tag}{told}>{inner}</{tag}>"


@patient(60)
@given(st.lists(_elements(), min_size=1, max_size=3), st.sampled_from(["", 'c:version="1"', 'initial="a"']))
def test_any_document_is_read_or_refused(inside: list[str], more: str) -> None:
    text = f'<scxml {XMLNS} xmlns:c="urn:continuum-core:scxml" {more}>{"".join(inside)}</scxml>'
    try:
        outline = read_scxml(text)
    except FormatRefused:
        return
    _only_declares(skeleton(outline, "SCXML"))


def test_there_is_a_most_that_is_read() -> None:
    def scxml(states: int, edges: int) -> str:
        ways = "".join(f'<transition event="e{n}"/>' for n in range(edges))
        return f"<scxml {XMLNS}>{'<state/>' * (states - 2)}<state>{ways}</state></scxml>"

    assert len(list(read_scxml(scxml(STATES, EDGES)).root.walk())) == STATES
    for many in ((STATES + 1, 0), (2, EDGES + 1)):
        with pytest.raises(FormatRefused, match=r"states|edges"):
            read_scxml(scxml(*many))


def test_there_is_a_most_that_is_read_of_xstate() -> None:
    def machine(states: int, edges: int) -> str:
        placed: dict[str, Any] = {f"s{n}": {} for n in range(states - 2)}
        placed["last"] = {"on": {f"e{n}": "last" for n in range(edges)}}
        return json.dumps({"states": placed})

    assert len(list(read_xstate(machine(STATES, EDGES)).root.walk())) == STATES
    for many in ((STATES + 1, 0), (2, EDGES + 1)):
        with pytest.raises(FormatRefused, match=r"states|edges"):
            read_xstate(machine(*many))
