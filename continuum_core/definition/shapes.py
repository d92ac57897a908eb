"""Whether each state has what its kind asks for, and nothing that its kind forbids.

A compound state needs one initial child, a parallel one its regions; what is not waited in (a final state, a
choice, a history) has no edges of its own. Names and shapes only: `wiring` judges where edges lead.
"""

from __future__ import annotations

from continuum_core.definition.bench import Bench, shown
from continuum_core.definition.chart import Kind, TriggerKind
from continuum_core.definition.draft import Node

__all__ = ["HISTORIES", "RESERVED", "check_names", "check_shape", "settle_kind"]

RESERVED = frozenset({"chart", "init", "result", "verdict"})
"""Attributes of a machine that are not states."""

HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
_PSEUDO = (*HISTORIES, Kind.CHOICE)


def settle_kind(node: Node) -> None:
    """Make a state with children of its own a compound one: `state()` does not say which it is."""
    real = any(child.kind not in HISTORIES for child in node.children)
    if node.kind is Kind.ATOMIC and real:
        node.kind = Kind.COMPOUND


def check_names(bench: Bench, node: Node) -> None:
    """Note a state that has no name, or more than one, or one that machines need."""
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


def check_shape(bench: Bench, node: Node) -> None:
    """Note what a state of its kind lacks, or cannot have."""
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
    regions = [child for child in node.children if child.kind not in HISTORIES]
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
        if inside and default.kind not in HISTORIES and (child or node.kind is Kind.DEEP_HISTORY):
            continue
        kind = "a child" if node.kind is Kind.SHALLOW_HISTORY else "a state"
        what = f"its default {shown(default)} is not {kind} of {shown(parent)}"
        bench.broken("C120", shown(node), what, f"Give {kind} of {shown(parent)} as default=", node.place)
