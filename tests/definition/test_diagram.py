"""The drawings as text: golden files, hostile names, what must be legible.

A golden picture that differs is either a fault or wanted: ``CONTINUUM_GOLDEN=write`` draws them anew.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core.definition.chart import Chart, Kind
from continuum_core.definition.diagram import dot, mermaid
from continuum_core.definition.svg import svg
from continuum_core.definition.terminal import terminal
from continuum_core.definition.wording import delay_words
from continuum_core.testing.histories import golden, writes_golden
from tests.definition.drawings import GOLDEN, drawings
from tests.definition.sketch import Sketch, assign, choosing, function, nested, order, parallel
from tests.runtime.sagas import AtOnce, Booking

SVG = "{http://www.w3.org/2000/svg}"
DRAWINGS = dict(drawings())


@pytest.mark.parametrize("name", DRAWINGS)
def test_golden(name: str) -> None:
    golden(DRAWINGS[name], GOLDEN / name)


def test_no_golden_file_is_left_over() -> None:
    left_over = {path for path in GOLDEN.iterdir() if path.name not in DRAWINGS}
    for path in left_over if writes_golden() else ():
        path.unlink()
    assert not left_over or writes_golden()


HOSTILE = (
    'a"b\\N<script>alert(1)</script>&amp;;#35; %%{init: {}}%% \n end note \r\x00\x1b[31m]] --> }{ `x` \u202e'
)


def hostile(text: str) -> Chart:
    """A chart with `text` wherever a user's source can put one."""
    text = text.replace("\0", "")  # `type()` refuses NUL in a class's name: nobody can have one
    s = Sketch(text)
    s.state("a", initial=True, entry=(assign(text),))
    s.state("b")
    s.state("b.c", initial=True)
    s.state("b.d", Kind.FINAL)
    s.state("e", Kind.FINAL, ok=False)
    s.on("a", text or "E", "b", when=text, actions=(assign(text),))
    s.on("b", "In", "b.c", when=text)
    s.after("b.c", function(text), "b.d")
    s.invoke("a", text, "e", Exception="b")
    chart = s.chart()
    return evolve(chart, states=tuple(evolve(state, name=text) for state in chart.states))


TEXTS = st.one_of(
    st.just(HOSTILE),
    st.just("ends with \\"),
    st.just("end note"),
    st.text(st.characters(codec="utf-8"), max_size=30),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXTS)
def test_hostile_text_changes_no_structure(text: str) -> None:
    clean, dirty = hostile("plain"), hostile(text)
    for form in (r"s\d+ --> s\d+", r".*\{", r"\}", r"note ", r"end\s*note", r"class"):
        sources = [mermaid(chart).split("\n") for chart in (clean, dirty)]
        found = [sum(bool(re.match(form, line.strip())) for line in source) for source in sources]
        assert found[0] == found[1], form
    stripped = [re.sub(r'"(\\.|[^"\\])*"', '""', dot(chart)) for chart in (clean, dirty)]
    assert stripped[0] == stripped[1]
    elements = [[e.tag for e in ET.fromstring(svg(chart)).iter()] for chart in (clean, dirty)]
    assert set(elements[1]) == set(elements[0])
    assert "<script" not in svg(dirty)
    for line in terminal(dirty, width=60).splitlines():
        assert line.isprintable()
    assert terminal(dirty, ascii_only=True).isascii()


def test_dot_shows_a_backslash_as_it_is() -> None:
    """Graphviz replaces an escape such as backslash N in a label by the name of the node."""
    assert '[shape=box, style="rounded", label="C:\\\\New"]' in dot(named("C:\\New"))


def named(name: str) -> Chart:
    s = Sketch("named")
    s.state("a", initial=True)
    chart = s.chart()
    return evolve(chart, states=(chart.states[0], evolve(chart.states[1], name=name)))


def test_every_mermaid_line_is_of_a_known_form() -> None:
    forms = [
        r"stateDiagram-v2",
        r"%% [\w .·-]+",
        r"(\[\*\]|s\d+) --> (\[\*\]|s\d+)( : [^:;#\"<>{}%]+)?",
        r'state "[^"]+" as s\d+',
        r"state s\d+( <<choice>>| \{)",
        r"s\d+ : [^:;#\"<>{}%]+",
        r"\}|--|end note",
        r"note right of s\d+",
        r"classDef .*",
        r"class s\d+ (final|failed)",
    ]
    for make in (order, nested, parallel, choosing, lambda: Booking.chart, lambda: hostile(HOSTILE)):
        inside = False
        for line in mermaid(make()).splitlines():
            text = line.strip()
            known = any(re.fullmatch(form, text) for form in forms)
            assert known or (inside and not re.search(r'[:;#"<>{}%]', text)), line
            inside = text.startswith("note ") or (inside and text != "end note")


def test_a_picture_is_accessible_and_needs_nothing_from_elsewhere() -> None:
    picture = svg(order())
    tree = ET.fromstring(picture)
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == "order · version 2"
    assert tree.findtext(f"{SVG}title") == "order · version 2"
    assert "undoing" in (tree.findtext(f"{SVG}desc") or "")
    assert re.findall(r"(?:href|url\(|@import|src=)", picture) == []


def test_two_pictures_in_one_page_do_not_disturb_one_another() -> None:
    tree = ET.fromstring(svg(order(), theme="dark"))
    assert [e for e in tree.iter() if e.get("id")] == []
    rules = (tree.findtext(f"{SVG}style") or "").strip().splitlines()
    assert [rule for rule in rules if not rule.startswith(".continuum-dark")] == []


def test_themes() -> None:
    auto, light, dark = (svg(order(), theme=theme) for theme in ("auto", "light", "dark"))
    assert "prefers-color-scheme:dark" in auto
    assert "prefers-color-scheme" not in light + dark
    page = [re.search(r"--c-page:(#\w+)", picture) for picture in (light, dark)]
    assert [match and match[1] for match in page] == ["#ffffff", "#0d1117"]


def test_active_states_and_their_ancestors_are_highlighted() -> None:
    tree = ET.fromstring(svg(order(), active=frozenset({"fulfilling.goods.shipping"})))
    lit = {e.get("data-state") for e in tree.iter() if re.search("c-active|c-within", e.get("class", ""))}
    assert lit == {"fulfilling.goods.shipping", "fulfilling"}
    assert "Active: fulfilling.goods.shipping." in (tree.findtext(f"{SVG}desc") or "")


@pytest.mark.parametrize("draw", [svg, terminal])
def test_an_unknown_active_state_is_refused(draw: object) -> None:
    with pytest.raises(KeyError):
        draw(order(), active=frozenset({"nowhere"}))  # type: ignore[operator]  # two signatures, one call


def test_what_is_shortened_is_whole_in_the_tooltip() -> None:
    guard = "c.order.total > 100_000 and c.order.customer.country not in c.settings.blocked_countries"
    s = Sketch("long")
    s.state("a", initial=True)
    s.state("b")
    s.on("a", "Go", "b", when=guard, actions=(assign("c.with_everything(e.payload)"),))
    tree = ET.fromstring(svg(s.chart()))
    shown = [e.text or "" for e in tree.iter(f"{SVG}text")]
    titles = [e.text or "" for e in tree.iter(f"{SVG}title")]
    assert not any(guard in text for text in shown)
    assert any(text.endswith(("…]", "…")) for text in shown)
    assert any(guard in text and "assign c.with_everything(e.payload)" in text for text in titles)


def test_the_terminal_tree_is_legible_at_any_width() -> None:
    for width in (30, 60, 80):
        for line in terminal(order(), width=width).splitlines():
            assert len(line) <= width
    text = terminal(order(), width=80)
    assert "⚙ charge  ✓ → fulfilling  ✗ Declined → paying  ✗ Exception → undoing" in text
    narrow = terminal(order(), width=50)
    assert "✗ Declined → paying" in narrow
    assert "…" not in narrow


def test_the_terminal_tree_marks_active_states() -> None:
    text = terminal(order(), frozenset({"paying"}), strong=("<", ">"))
    assert "● <paying>" in text
    assert text.count("●") == 1
    assert "(*) paying" in terminal(order(), frozenset({"paying"}), ascii_only=True)


@pytest.mark.parametrize("draw", [svg, terminal, mermaid, dot])
def test_undoing_and_a_cancel_are_told_apart_from_events(draw: Callable[[Chart], str]) -> None:
    """An event's class may be called Cancel; and undoing all at once looks like no other undoing."""
    in_turn, at_once = draw(Booking.chart), draw(AtOnce.chart)
    assert in_turn.count("run cancelled") >= 2  # the way to undoing, and the state that swallows it
    assert "all undone" in in_turn
    assert "compensate" in in_turn
    assert "compensate all at once" not in in_turn
    assert "compensate all at once" in at_once


def test_without_the_sign_of_undoing_the_words_are_enough() -> None:
    lines = [line.strip("|-` ") for line in terminal(Booking.chart, ascii_only=True).splitlines()]
    assert "compensate" in lines
    assert "all undone -> given_up" in lines


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (timedelta(minutes=30), "30 min"),
        (timedelta(days=1, hours=12), "1 d 12 h"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(microseconds=7), "7 µs"),
        (timedelta(0), "0 s"),
        (timedelta(seconds=1, microseconds=500), "1 s"),
        (timedelta(seconds=-5), "0 s"),
        (function("c.patience"), "c.patience"),
    ],
)
def test_delays_as_people_say_them(delay: timedelta, words: str) -> None:
    assert delay_words(delay) == words
