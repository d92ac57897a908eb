"""A declaration becomes a `Chart`; what is wrong with its parts becomes faults, all of them.

`build` never stops at a fault: it puts something harmless in place of what it cannot use, notes the
fault, and goes on. `Bench.whole` says whether anything was replaced, in which case judgements over
the whole graph would only tell the same fault again in other words.
"""

from __future__ import annotations

import re
import typing
from typing import Any

from continuum_core.definition import crews, invokes, lengths, shapes, stored, wiring
from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import Chart, Crew, Edge, Function, Kind, State
from continuum_core.definition.draft import Node
from continuum_core.definition.searchable import attributes
from continuum_core.definition.upgrading import upgrades

__all__ = ["build"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def build(bench: Bench, roots: list[Node]) -> Chart:
    """The chart of a declaration; its faults go to `bench.faults`.

    :param roots: what `root()` made in the class body; one, in a sound declaration.
    """
    _header(bench)
    top = _top(bench, roots)
    nodes = list(top.walk())
    bench.numbers.update((id(node), number) for number, node in enumerate(nodes))
    for node in nodes:
        shapes.settle_kind(node)
        bench.faults += node.faults
        bench.whole = bench.whole and not node.faults
    for node in nodes if roots else ():
        shapes.check_names(bench, node)
        shapes.check_shape(bench, node)
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
        timers=lengths.timers(bench, node),
        invokes=invokes.invokes(bench, node),
        crews=_crews(bench, node),
        deferred=tuple(each for each in node.deferred if isinstance(each, type)),
        compensation=invokes.compensation(bench, node),
        memory=invokes.memory(bench, node),
        checkpoint=bool(node.checkpoints),
        anew=None if node.anew is None else invokes.anew(bench, node),
        place=node.place,
    )


def _crews(bench: Bench, node: Node) -> tuple[Crew, ...]:
    for draft in node.crews:
        if draft.word in ("invoke", "each"):
            where = crews.crew_words(node, draft)
            invokes.errors(bench, draft.error, where, draft.place, "its members and child runs")
    return crews.crews(bench, node)


def _initial(bench: Bench, node: Node) -> tuple[int, ...]:
    if node.kind is not Kind.COMPOUND:
        return ()
    first = [child for child in node.children if child.initial] or node.children
    return tuple(bench.numbers[id(child)] for child in first[:1])


def _default(bench: Bench, node: Node) -> tuple[int, ...]:
    if node.kind not in shapes.HISTORIES or node.parent is None:
        return ()
    if node.default:
        return wiring.targets(bench, node, node.default, f"{shown(node)} default=", node.place)
    if node.parent.kind is Kind.PARALLEL:
        regions = (child for child in node.parent.children if child.kind not in shapes.HISTORIES)
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
        events=stored.events(bench, states),
        activities=stored.activities(bench, states),
        machines=crews.machines(bench, states),
        module=header.cls.__module__,
        place=header.place,
        upgrades=upgrades(bench, top),
        attributes=attributes(bench, top),
        finds_states=top.finds_states,
        deadline=lengths.deadline(bench, top),
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
