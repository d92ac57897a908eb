"""A declaration becomes a `Chart`; what is wrong with its parts becomes faults, all of them.

`build` never stops at a fault: it puts something harmless in place of what it cannot use, notes the
fault, and goes on. `Bench.whole` says whether anything was replaced, in which case judgements over
the whole graph would only tell the same fault again in other words.
"""

from __future__ import annotations

import re
import typing
from typing import Any

from continuum_core.definition import crews, wiring
from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import Chart, Crew, Edge, Function, Kind, State, TriggerKind
from continuum_core.definition.draft import Node
from continuum_core.definition.event import AnyEvent, event_name, is_event
from continuum_core.definition.searchable import attributes
from continuum_core.definition.upgrading import upgrades

__all__ = ["RESERVED", "build"]

RESERVED = frozenset({"chart", "init", "result", "verdict"})
"""Attributes of a machine that are not states."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
_PSEUDO = (*_HISTORIES, Kind.CHOICE)


def build(bench: Bench, roots: list[Node]) -> Chart:
    """The chart of a declaration; its faults go to `bench.faults`.

    :param roots: what `root()` made in the class body; one, in a sound declaration.
    """
    _header(bench)
    top = _top(bench, roots)
    nodes = list(top.walk())
    bench.numbers.update((id(node), number) for number, node in enumerate(nodes))
    for node in nodes:
        _settle_kind(node)
        bench.faults += node.faults
        bench.whole = bench.whole and not node.faults
    for node in nodes if roots else ():
        _names(bench, node)
        _shape(bench, node)
    states = _states(bench, nodes)
    return _chart(bench, states, top)


# --- the class statement --------------------------------------------------------------------------


def _header(bench: Bench) -> None:
    header = bench.header
    where = f"class {header.cls.__name__}"
    if not _NAME.fullmatch(str(header.name)):
        remedy = f'Write class {header.cls.__name__}(Machine[...], name="{header.cls.__name__.lower()}")'
        what = f"name={header.name!r} is no name; runs are stored under it"
        bench.fault("C101", where, what, f"{remedy}: letters, digits, dots, hyphens, underscores")
    version: Any = header.version
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        what = f"version={version!r} is not a whole number from 1"
        bench.fault("C102", where, what, "Write version=1, and count up when you change the machine")
    if not header.typed:
        what = "its types are not stated"
        remedy = (
            "Write Machine[Context, Input, Result]; for a sequence, a def init(i: Input) -> Context and a "
            "def result(c: Context) -> Result with annotations"
        )
        bench.fault("C103", where, what, remedy)


def _top(bench: Bench, roots: list[Node]) -> Node:
    where = f"class {bench.header.cls.__name__}"
    if len(roots) != 1:
        what = "it has no root" if not roots else f"it has {len(roots)} roots"
        bench.broken("C104", where, what, "Begin the class with one s = root(Context), and make states of it")
    if not roots:
        return Node(Kind.COMPOUND, bench.header.place, names=["root"])
    top = roots[0]
    if bench.header.typed and top.context_type != bench.header.types[0]:
        what = f"root({_name(top.context_type)}) is not the machine's context {_name(bench.header.types[0])}"
        bench.fault("C105", shown(top), what, "Give both the same class", top.place)
    return top


def _name(tp: Any) -> str:
    return tp.__name__ if isinstance(tp, type) else str(tp)


# --- states ----------------------------------------------------------------------------------------


def _settle_kind(node: Node) -> None:
    real = any(child.kind not in _HISTORIES for child in node.children)
    if node.kind is Kind.ATOMIC and real:
        node.kind = Kind.COMPOUND


def _names(bench: Bench, node: Node) -> None:
    if not node.names:
        what = "it is not kept under a name of its own"
        remedy = "Assign each state to an attribute of its own; a name assigned twice keeps the second only"
        bench.broken("C109", shown(node), what, remedy, node.place)
    elif len(set(node.names)) > 1:
        what = f"it is called {' and '.join(sorted(set(node.names)))}"
        bench.fault("C110", shown(node), what, "Keep one name for each state", node.place)
    if node.name in RESERVED:
        what = f"{node.name!r} is reserved on machines"
        bench.fault("C111", shown(node), what, f"Use another name, such as {node.name}_state", node.place)


def _shape(bench: Bench, node: Node) -> None:
    checks = {
        Kind.COMPOUND: _compound,
        Kind.PARALLEL: _parallel,
        Kind.FINAL: _final,
        Kind.CHOICE: _choice,
        Kind.SHALLOW_HISTORY: _history,
        Kind.DEEP_HISTORY: _history,
    }
    if node.kind in checks:
        checks[node.kind](bench, node)
    elif node.children:
        remedy = "Give the state children, or go to the state itself"
        for child in node.children:
            bench.broken(
                "C120", shown(child), f"{shown(node)} has no children to remember", remedy, child.place
            )


def _compound(bench: Bench, node: Node) -> None:
    initial = [child for child in node.children if child.initial]
    example = next((child for child in node.children if child.kind not in (*_PSEUDO, Kind.FINAL)), None)
    shape = f"{shown(example)} = {shown(node)}.state(initial=True)" if example else "state(initial=True)"
    if not initial:
        what = "none of its children is initial" if node.children else "it has no states"
        bench.broken("C112", shown(node), what, f"Mark the one to enter first: {shape}", node.place)
    elif len(initial) > 1:
        names = ", ".join(shown(child) for child in initial)
        what = f"{names} are all initial"
        bench.broken("C113", shown(node), what, "Keep initial=True on one of them", node.place)


def _parallel(bench: Bench, node: Node) -> None:
    regions = [child for child in node.children if child.kind not in _HISTORIES]
    if len(regions) < 2:
        remedy = "Add a region, or use state() where one thing happens at a time"
        bench.fault("C115", shown(node), f"it has {len(regions)} region(s)", remedy, node.place)
    for child in regions:
        if child.initial:
            remedy = "Leave initial= out: all regions are entered together"
            bench.fault("C114", shown(child), f"it is a region of {shown(node)}", remedy, child.place)
        if child.kind in (Kind.FINAL, Kind.CHOICE):
            what = f"{shown(node)} is parallel, and a {child.kind.value} cannot be a region"
            remedy = (
                f"Put it inside a region: region = {shown(node)}.state(), "
                f"{shown(child)} = region.{child.kind.value}()"
            )
            bench.broken("C116", shown(child), what, remedy, child.place)


def _held(node: Node) -> list[str]:
    """What a state was given beyond its name, in the words of the declaration."""
    held = ["children"] if node.children else []
    kinds = {draft.kind for draft in node.edges}
    verbs = {
        "on": kinds & {TriggerKind.EVENT},
        "always": kinds & {TriggerKind.ALWAYS},
        "after": kinds & {TriggerKind.AFTER},
        "done": kinds & {TriggerKind.DONE},
        "invoke": [*node.invokes, *(each for each in node.crews if each.word == "invoke")],
        "spawn": [each for each in node.crews if each.word == "spawn"],
        "each": [each for each in node.crews if each.word == "each"],
        "collect": [each for each in node.crews if each.word == "collect"],
        "compensate": node.compensations,
        "on_cancel": kinds & {TriggerKind.CANCEL},
        "on_deadline": kinds & {TriggerKind.DEADLINE},
        "defer": node.deferred,
        "entry": node.entry,
        "exit": node.exit,
    }
    return held + [f"{verb}()" for verb, found in verbs.items() if found]


def _final(bench: Bench, node: Node) -> None:
    wrong = [each for each in _held(node) if each not in ("entry()", "exit()")]
    if wrong:
        what = f"a final state has no {' and no '.join(wrong)}"
        remedy = "Use state(), with an edge to a final state of its own" if node.parent else ""
        bench.broken("C117", shown(node), what, remedy, node.place)


def _choice(bench: Bench, node: Node) -> None:
    wrong = [each for each in _held(node) if each != "always()"]
    if wrong:
        what = f"a choice has no {' and no '.join(wrong)}; it is left as soon as it is entered"
        bench.broken("C118", shown(node), what, "Use state() for something that waits", node.place)


def _history(bench: Bench, node: Node) -> None:
    wrong = _held(node)
    if wrong:
        what = f"a history has no {' and no '.join(wrong)}; it stands for other states"
        bench.broken("C119", shown(node), what, "Put them on the state it remembers", node.place)
    parent = node.parent
    for default in node.default:
        if not isinstance(default, Node) or parent is None:
            continue  # told with the targets
        inside = any(default is each for each in parent.walk()) and default is not parent
        child = default.parent is parent
        if inside and default.kind not in _HISTORIES and (child or node.kind is Kind.DEEP_HISTORY):
            continue
        kind = "a child" if node.kind is Kind.SHALLOW_HISTORY else "a state"
        what = f"its default {shown(default)} is not {kind} of {shown(parent)}"
        bench.broken("C120", shown(node), what, f"Give {kind} of {shown(parent)} as default=", node.place)


# --- the chart --------------------------------------------------------------------------------------


def _states(bench: Bench, nodes: list[Node]) -> tuple[State, ...]:
    states: list[State] = []
    count = 0
    for node in nodes:
        edges: list[Edge] = []
        for draft in node.edges:
            edges.append(wiring.edge(bench, node, draft, count))
            count += 1
        states.append(_state(bench, node, tuple(edges)))
    return tuple(states)


def _state(bench: Bench, node: Node, edges: tuple[Edge, ...]) -> State:
    where, types = shown(node), (bench.header.context_type,)
    for event in node.deferred:
        wiring.event_class(bench, event, f"{where}.defer()", node.place)
    return State(
        number=bench.numbers[id(node)],
        name=shown(node),
        path=node.path if node.names or node.parent is None else f"?{bench.numbers[id(node)]}",
        kind=node.kind,
        parent=bench.numbers[id(node.parent)] if node.parent is not None else None,
        children=tuple(bench.numbers[id(child)] for child in node.children),
        initial=_initial(bench, node),
        ok=node.ok,
        default=_default(bench, node),
        entry=wiring.actions(bench, node.entry, f"{where}.entry()", node.place, types),
        exit=wiring.actions(bench, node.exit, f"{where}.exit()", node.place, types),
        edges=edges,
        timers=wiring.timers(bench, node),
        invokes=wiring.invokes(bench, node),
        crews=_crews(bench, node),
        deferred=tuple(each for each in node.deferred if isinstance(each, type)),
        compensation=wiring.compensation(bench, node),
        memory=wiring.memory(bench, node),
        checkpoint=bool(node.checkpoints),
        anew=None if node.anew is None else wiring.anew(bench, node),
        place=node.place,
    )


def _crews(bench: Bench, node: Node) -> tuple[Crew, ...]:
    for draft in node.crews:
        if draft.word in ("invoke", "each"):
            where = crews.crew_words(node, draft)
            wiring.errors(bench, draft.error, where, draft.place, "its members and child runs")
    return crews.crews(bench, node)


def _initial(bench: Bench, node: Node) -> tuple[int, ...]:
    if node.kind is not Kind.COMPOUND:
        return ()
    first = [child for child in node.children if child.initial] or node.children
    return tuple(bench.numbers[id(child)] for child in first[:1])


def _default(bench: Bench, node: Node) -> tuple[int, ...]:
    if node.kind not in _HISTORIES or node.parent is None:
        return ()
    if node.default:
        return wiring.targets(bench, node, node.default, f"{shown(node)} default=", node.place)
    if node.parent.kind is Kind.PARALLEL:
        regions = (child for child in node.parent.children if child.kind not in _HISTORIES)
        return tuple(bench.numbers[id(child)] for child in regions)
    if any(child is node for child in node.parent.children if child.initial):
        what = "it is its parent's initial child and has no default"
        remedy = "Say where to begin: history(initial=True, default=...)"
        bench.broken("C120", shown(node), what, remedy, node.place)
        return ()
    return _initial(bench, node.parent)


def _chart(bench: Bench, states: tuple[State, ...], top: Node) -> Chart:
    header = bench.header
    context, given, result = header.types if header.typed else (Any, Any, Any)
    verdict = _method(bench, "verdict", context)
    failing = any(state.parent == 0 and state.kind is Kind.FINAL and not state.ok for state in states)
    if verdict is not None and not failing:
        what = "no final state below the root has ok=False"
        bench.fault("C122", "verdict", what, "Mark one with final(ok=False), or remove verdict")
    init = _method(bench, "init", given) or Function(_absent, 1)
    result_ = _method(bench, "result", context) or Function(_absent, 1)
    return Chart(
        name=str(header.name),
        version=header.version,
        states=states,
        context_type=context,
        input_type=given,
        result_type=result,
        verdict_type=_returned(verdict),
        init=init,
        result=result_,
        verdict=verdict,
        events=_events(bench, states),
        activities=_activities(bench, states),
        machines=crews.machines(bench, states),
        module=header.cls.__module__,
        place=header.place,
        upgrades=upgrades(bench, top),
        attributes=attributes(bench, top),
        finds_states=top.finds_states,
        deadline=wiring.deadline(bench, top),
        patches=frozenset(bench.patches),  # of all functions read above
    )


def _absent(value: object) -> object:
    """Stands where init or result is missing; the fault is told before it could be called."""
    return value


_FORMS = {
    "init": ("C106", "init(i: Input) -> Context", "makes the first context"),
    "result": ("C107", "result(c: Context) -> Result", "makes the result"),
    "verdict": ("", "verdict(c: Context) -> Verdict", "makes the reason of a failed end"),
}


def _method(bench: Bench, name: str, argument: Any) -> Function | None:
    code, form, does = _FORMS[name]
    found = vars(bench.header.cls).get(name)
    remedy = f"Write @staticmethod def {form}"
    if found is None or isinstance(getattr(found, "node", None), Node):
        if code and found is None:
            bench.fault(code, f"class {bench.header.cls.__name__}", f"nothing {does}", remedy)
        return None
    if not isinstance(found, staticmethod):
        bench.fault("C108", name, "it is not a static method", remedy)
        return None
    made = function(bench, found.__func__, name, bench.header.place, (argument,))
    if name == "verdict" and made is not None and _returned(made) is None:
        bench.fault("C108", name, "its return type is not annotated", remedy, made.place)
    return made


def _returned(verdict: Function | None) -> Any:
    if verdict is None:
        return None
    try:
        return typing.get_type_hints(verdict.call).get("return")
    except (NameError, TypeError):
        return None


def _events(bench: Bench, states: tuple[State, ...]) -> dict[str, type]:
    found: dict[str, type] = {}
    for state in states:
        for cls in (*(edge.trigger.event for edge in state.edges), *state.deferred):
            if cls is None or cls is AnyEvent or not is_event(cls):
                continue
            name = event_name(cls)
            if found.setdefault(name, cls) is not cls:
                what = f"{_full(cls)} and {_full(found[name])} are both stored as {name!r}"
                remedy = '@event(name="...") gives one of them another name'
                bench.fault("C405", state.name, what, remedy, state.place)
    return found


def _activities(bench: Bench, states: tuple[State, ...]) -> dict[str, Activity[Any, Any]]:
    found: dict[str, Activity[Any, Any]] = {}
    undoes = any(state.compensation is not None for state in states)
    for state in states:
        of_crews = [(c.work, c.place) for c in state.crews if isinstance(c.work, Activity)]
        for started, place in (*((i.activity, i.place) for i in state.invokes), *of_crews):
            undo = started.undo if undoes else None
            for activity in (started,) if undo is None else (started, undo):
                if found.setdefault(activity.name, activity) is not activity:
                    what = f"another activity is also stored as {activity.name!r}"
                    remedy = '@activity(name="...") gives one of them another name'
                    bench.fault("C406", state.name, what, remedy, place)
    _queues(bench, found)
    return found


def _queues(bench: Bench, activities: dict[str, Activity[Any, Any]]) -> None:
    """Queues are declared alike by all, and fairness is a function like those of the machine."""
    declared: dict[str, Activity[Any, Any]] = {}
    for activity in activities.values():
        where = f"activity {activity.name}"
        place = activity.place or bench.header.place
        if activity.fairness is not None:
            function(bench, activity.fairness, f"{where} fairness=", place, (activity.input_type,))
        if activity.declares is None:
            continue
        other = declared.setdefault(activity.queue, activity)
        if other.declares != activity.declares:
            what = f"it declares {activity.declares}, and activity {other.name} {other.declares}"
            remedy = "Declare the queue once, as a constant, and give it to both; or give one only its name"
            bench.fault("C410", where, what, remedy, place)


def _full(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
