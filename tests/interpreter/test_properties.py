"""What holds for every chart and every sequence of events, looked for with random ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_core.definition.chart import Chart, Kind
from continuum_core.definition.event import event
from continuum_core.interpreter.commands import Close, StartTimer
from continuum_core.interpreter.events import Event, Signal, Start, TimedOut
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.program import ascending
from continuum_core.interpreter.snapshot import Snapshot, Step
from tests.interpreter.charts import Draft, chart, note, raises, root
from tests.interpreter.oracle import Elapsed, Oracle

HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
LIMIT = 60  # notes after which eventless edges and raises rest: every macrostep ends


@event
class A:
    """An event."""


@event
class B:
    """Another."""


@event
class C:
    """A third."""


EVENTS = (A, B, C)


def patient(examples: int) -> settings:
    """Settings under which a busy machine is no reason to fail."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """A chart of up to four levels whose every entry, exit and edge leaves a note."""
    top = root(entry=note("+"), exit=note("-"))
    drafts: list[Draft] = []
    _grow(draw, top, drafts, 0)
    targets = [draft for draft in drafts if draft.kind is not Kind.CHOICE]
    for draft in [top, *drafts]:
        if draft.kind is Kind.CHOICE:
            draft.always(draw(st.sampled_from([d for d in targets if d.kind is Kind.ATOMIC])))
        elif draft.kind not in (Kind.FINAL, *HISTORIES):
            for _ in range(draw(st.integers(0, 2))):
                _edge(draw, draft, drafts)
    return chart(top)


def _grow(draw: st.DrawFn, parent: Draft, drafts: list[Draft], depth: int) -> None:
    regions = parent.kind is Kind.PARALLEL
    count = draw(st.integers(2 if regions or depth == 0 else 1, 3))
    for number in range(count):
        kinds = ["atomic", "compound", "parallel"] if depth < 3 else ["atomic"]
        if not regions and number:
            kinds += ["final", "choice"] if depth else ["choice"]
        _child(draw, parent, drafts, depth, draw(st.sampled_from(kinds)))
    real = [child for child in parent.children if child.kind is not Kind.CHOICE]
    if not regions and depth and draw(st.booleans()):
        default = draw(st.sampled_from([child for child in real if child.kind not in HISTORIES]))
        drafts.append(parent.history(f"h{len(drafts)}", default, deep=draw(st.booleans())))


def _child(draw: st.DrawFn, parent: Draft, drafts: list[Draft], depth: int, kind: str) -> None:
    name = f"s{len(drafts)}"
    options: dict[str, Any] = {"entry": note(f"+{name}"), "exit": note(f"-{name}")}
    made = {
        "final": lambda: parent.final(name, **options),
        "choice": lambda: parent.choice(name, **options),
        "parallel": lambda: parent.parallel(name, **options),
    }.get(kind, lambda: parent.state(name, **options))()
    drafts.append(made)
    if kind in ("compound", "parallel"):
        if kind == "compound":
            made.kind = Kind.COMPOUND
        _grow(draw, made, drafts, depth + 1)


def _edge(draw: st.DrawFn, source: Draft, drafts: list[Draft]) -> None:
    histories = [draft for draft in drafts if draft.kind in HISTORIES]
    often = drafts + histories * 3  # the rarest targets have the most to go wrong
    targets = draw(st.lists(st.sampled_from(often), max_size=1))
    options: dict[str, Any] = {"internal": draw(st.booleans()), "actions": note("edge")}
    match draw(st.sampled_from(["event", "event", "event", "any", "always", "done", "raise", "after"])):
        case "event":
            source.on(draw(st.sampled_from(EVENTS)), *targets, **options)
        case "any":
            source.any(*targets, **options)
        case "done":
            source.done(*targets, guard=lambda notes: len(notes) < LIMIT, **options)
        case "always":
            source.always(*targets, guard=lambda notes: len(notes) < LIMIT, **options)
        case "after" if source.parent is not None:
            source.after(timedelta(seconds=1), *targets, **options)
        case _:
            raised = draw(st.sampled_from(EVENTS))()
            options["actions"] += raises(lambda notes: raised if len(notes) < LIMIT else None)
            source.on(draw(st.sampled_from(EVENTS)), *targets, **options)


def arrivals() -> st.SearchStrategy[list[int]]:
    """What arrives: 0 to 2 an event, 3 the first timer that runs, 4 one that ran out long ago."""
    return st.lists(st.integers(0, 4), min_size=1, max_size=8)


def told(code: int, snapshot: Snapshot) -> Event:
    """The event for a code."""
    if code < len(EVENTS):
        return Signal(EVENTS[code]())
    if code == 3 and snapshot.tokens:
        return TimedOut(next(iter(snapshot.tokens.values())), 0)
    return TimedOut(0, 0)


History = list[tuple[Event, Step]]
"""Every event with its step."""


def run(made: Chart, codes: list[int]) -> History:
    taken = [(Start(None), step(made, unborn(made), Start(None), 0, max_microsteps=5000))]
    history: History = list(taken)
    for now, code in enumerate(codes, 1):
        arrived = told(code, history[-1][1].snapshot)
        history.append((arrived, step(made, history[-1][1].snapshot, arrived, now, max_microsteps=5000)))
    return history


def fault_of(made: Chart, configuration: int) -> str | None:
    """What makes a configuration illegal."""
    if not configuration & 1:
        return "the root is not active"
    for number in ascending(configuration):
        state = made.states[number]
        if state.kind in (Kind.CHOICE, *HISTORIES):
            return f"{state.path} is a pseudo-state"
        if state.parent is not None and not configuration >> state.parent & 1:
            return f"{state.path} is active without its parent"
        children = [child for child in state.children if made.states[child].kind not in HISTORIES]
        active = sum(configuration >> child & 1 for child in children)
        if state.kind is Kind.COMPOUND and active != 1:
            return f"compound {state.path} has {active} active children"
        if state.kind is Kind.PARALLEL and active != len(children):
            return f"parallel {state.path} has {active} active regions"
    return None


@patient(150)
@given(charts(), arrivals())
def test_what_holds_for_every_chart(made: Chart, codes: list[int]) -> None:
    """One walk through each chart is judged by everything that must hold: to draw charts is what costs."""
    history = run(made, codes)
    configurations_are_legal(made, history)
    entries_and_exits_match(made, history)
    tokens_are_of_active_states(made, history)
    the_recommendations_own_algorithm_agrees(made, history)
    step_is_a_function_of_its_arguments(made, history)


def configurations_are_legal(made: Chart, history: History) -> None:
    for _, taken in history:
        assert fault_of(made, taken.snapshot.configuration) is None


def entries_and_exits_match(made: Chart, history: History) -> None:
    last = history[-1][1].snapshot
    active: set[str] = set()
    for line in last.context:
        if line[0] == "+":
            assert line[1:] not in active, f"{line} entered twice"
            active.add(line[1:])
        elif line[0] == "-":
            active.remove(line[1:])
    assert active == {made.states[number].name for number in ascending(last.configuration)}


def step_is_a_function_of_its_arguments(made: Chart, history: History) -> None:
    snapshot = unborn(made)
    for now, (arrived, taken) in enumerate(history):
        kept = copy.deepcopy(snapshot)
        cold = evolve(made)  # another chart, so that nothing is remembered from earlier steps
        assert step(cold, snapshot, arrived, now, max_microsteps=5000) == taken
        assert snapshot == kept
        snapshot = taken.snapshot


def tokens_are_of_active_states(made: Chart, history: History) -> None:
    """And every other one was closed."""
    live: set[int] = set()
    for _, taken in history:
        closed = {command.token for command in taken.commands if isinstance(command, Close)}
        started = {command.token for command in taken.commands if isinstance(command, StartTimer)}
        assert closed <= live
        assert not started & live
        live = live - closed | started
        snapshot = taken.snapshot
        assert set(snapshot.tokens.values()) == live
        owners = {n for n in ascending(snapshot.configuration) if made.states[n].timers}
        assert set(snapshot.tokens) == owners


def the_recommendations_own_algorithm_agrees(made: Chart, history: History) -> None:
    oracle = Oracle(made)
    tokens: Mapping[int, int] = {}
    for arrived, taken in history:
        match arrived:
            case Start():
                oracle.start()
            case Signal():
                oracle.send(arrived.event)
            case TimedOut():
                owner = next((n for n, token in tokens.items() if token == arrived.token), -1)
                oracle.send(Elapsed(owner, arrived.slot))
        snapshot = taken.snapshot
        assert snapshot.context == oracle.context
        assert set(ascending(snapshot.configuration)) == oracle.configuration
        assert list(taken.edges) == oracle.taken
        assert {n: set(ascending(states)) for n, states in snapshot.history.items()} == oracle.history
        tokens = snapshot.tokens
