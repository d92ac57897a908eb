"""An outline as the JSON of an XState 5 machine: what ``createMachine`` takes, with functions as names.

XState takes an edge to its own source, or into it, for internal unless it says ``reenter``; here it is the
other way round, so ``reenter`` is written where it matters. What XState has no word for stands in
``meta.continuum``.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_scxml.outline import Action, Edge, FormatRefused, Invoke, Outline, Part, parents
from continuum_scxml.words import compensation_text, crew_words, length_text

__all__ = ["EVENTS", "FAILED", "META", "edge_groups", "xstate_json", "xstate_text"]

META = "continuum"
"""Under which key of ``meta`` stands what XState has no word for."""

FAILED = "failed_with"
"""The type of a guard on an invoke's error: its class, and a further guard, are in its params."""

EVENTS = {
    "continuum.cancel": TriggerKind.CANCEL,
    "continuum.deadline": TriggerKind.DEADLINE,
    "continuum.compensated": TriggerKind.COMPENSATED,
}
"""Events that stand for what XState does not know: reserved, no class may be called so."""


def xstate_text(outline: Outline) -> str:
    """The machine as JSON text, indented."""
    return json.dumps(xstate_json(outline), indent=2, ensure_ascii=False) + "\n"


def xstate_json(outline: Outline) -> dict[str, Any]:
    """The machine as JSON values."""
    return _Writing(outline, parents(outline.root)).machine()


@define
class _Writing:
    outline: Outline
    above: dict[str, str | None]

    def machine(self) -> dict[str, Any]:
        outline, root = self.outline, self.outline.root
        name = outline.name if outline.name not in self.above else root.id
        made: dict[str, Any] = {"id": name, "version": str(outline.version), **self._state(root)}
        own = {"machine": outline.name, "root": root.id, **_meta(root)}
        if outline.deadline is not None:
            own["deadline"] = length_text(outline.deadline)
        made["meta"] = {META: own}
        return made

    def _state(self, part: Part) -> dict[str, Any]:
        made: dict[str, Any] = {}
        meta = _meta(part)
        if part.id != self.outline.root.id:
            made["id"] = part.id  # targets name states by it, so that they may be moved
        if part.kind in (Kind.PARALLEL, Kind.FINAL):
            made["type"] = part.kind.value
        if part.kind in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY):
            made["type"] = "history"
            made["history"] = "deep" if part.kind is Kind.DEEP_HISTORY else "shallow"
            made.update(_target(part.default))
        if part.kind is Kind.COMPOUND:
            made["initial"] = self._initial(part)
        for key, actions in (("entry", part.entry), ("exit", part.exit)):
            if actions:
                made[key] = [_action(action) for action in actions]
        made.update(self._edges(part))
        if part.children:
            keys = _keys(part)
            made["states"] = {key: self._state(c) for key, c in zip(keys, part.children, strict=True)}
        if meta:
            made["meta"] = {META: meta}
        return made

    def _initial(self, part: Part) -> Any:
        children = dict(zip((child.id for child in part.children), _keys(part), strict=True))
        if not part.opening and len(part.initial) == 1 and part.initial[0] in children:
            return children[part.initial[0]]
        made = _target(part.initial)
        if part.opening:
            made["actions"] = [_action(action) for action in part.opening]
        return made

    def _edges(self, part: Part) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for slot, invoke in enumerate(part.invokes):
            made.setdefault("invoke", []).append({"id": f"{part.id}.{slot}", "src": invoke.activity})
        for path, edges in edge_groups(part.edges):
            holder: Any = made
            for step in path[:-1]:
                holder = holder[step] if isinstance(step, int) else holder.setdefault(step, {})
            holder[path[-1]] = [self._edge(part, edge) for edge in edges]
        return made

    def _edge(self, part: Part, edge: Edge) -> dict[str, Any]:
        made = _target(edge.targets)
        guard = _guard(edge)
        if guard is not None:
            made["guard"] = guard
        if edge.actions:
            made["actions"] = [_action(action) for action in edge.actions]
        if edge.within is not None:
            made["meta"] = {META: {"within": length_text(edge.within)}}
        if not edge.internal and any(self._within(target, part.id) for target in edge.targets):
            made["reenter"] = True
        return made

    def _within(self, target: str, source: str) -> bool:
        up: str | None = target
        while up is not None and up != source:
            up = self.above[up]
        return up is not None


def edge_groups(edges: tuple[Edge, ...]) -> list[tuple[tuple[str | int, ...], list[Edge]]]:
    """Edges by the place in XState's state that they stand in, in the order in which they are read back."""
    groups: dict[tuple[str | int, ...], list[Edge]] = {}
    for edge in edges:
        groups.setdefault(_place(edge), []).append(edge)
    return sorted(groups.items(), key=lambda group: _rank(group[0]))


_RANKS = ("on", "always", "after", "onDone", "invoke")


def _rank(place: tuple[str | int, ...]) -> tuple[int, int, bool]:
    slot = place[1] if place[0] == "invoke" else 0
    return _RANKS.index(str(place[0])), slot if isinstance(slot, int) else 0, place[-1] == "onError"


def _place(edge: Edge) -> tuple[str | int, ...]:
    match edge.trigger:
        case TriggerKind.EVENT:
            if edge.event in ("", "*") or edge.event.endswith(".*"):
                raise FormatRefused(f"event {edge.event!r} cannot be written: XState reads it as a pattern")
            if edge.event in EVENTS:
                raise FormatRefused(f"event {edge.event!r} cannot be written: the name is reserved there")
            return ("on", edge.event)
        case TriggerKind.ANY:
            return ("on", "*")
        case TriggerKind.ALWAYS:
            return ("always",)
        case TriggerKind.AFTER:
            return ("after", _milliseconds(edge.delay))
        case TriggerKind.DONE:
            return ("onDone",)
        case TriggerKind.INVOKE_DONE | TriggerKind.CREW_DONE:
            return ("invoke", edge.invoke, "onDone")
        case TriggerKind.INVOKE_ERROR | TriggerKind.CREW_ERROR:
            return ("invoke", edge.invoke, "onError")
        case TriggerKind.COMPENSATED | TriggerKind.CANCEL | TriggerKind.DEADLINE:
            return ("on", next(event for event, kind in EVENTS.items() if kind is edge.trigger))


def _milliseconds(delay: int | str) -> str:
    """A key of ``after``: milliseconds, or the name of a delay."""
    if isinstance(delay, str):
        return delay
    whole, rest = divmod(delay, 1000)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)


def _keys(part: Part) -> list[str]:
    """The children's keys: their names, or their ids where siblings share a name."""
    names = [child.name for child in part.children]
    return [c.name if names.count(c.name) == 1 else c.id for c in part.children]


def _target(targets: tuple[str, ...]) -> dict[str, Any]:
    named = [f"#{target}" for target in targets]
    return {} if not named else {"target": named[0] if len(named) == 1 else named}


def _action(action: Action) -> dict[str, Any]:
    params: dict[str, Any] = {"kind": action.kind.value}
    if action.event is not None:
        params["event"] = action.event
    return {"type": action.label, "params": params}


def _guard(edge: Edge) -> dict[str, Any] | None:
    if edge.trigger is not TriggerKind.INVOKE_ERROR or (edge.error == "Exception" and edge.guard is None):
        return None if edge.guard is None else {"type": edge.guard}
    params = {"error": edge.error} | ({} if edge.guard is None else {"when": edge.guard})
    return {"type": FAILED, "params": params}


def _beside(invoke: Invoke) -> dict[str, Any]:
    """What of an invoke XState has no word for."""
    said = {"input": invoke.input, "key": invoke.key, "undo": invoke.undo}
    beside = {word: value for word, value in said.items() if value is not None}
    words: dict[str, Any] = {**beside, **crew_words(invoke)}
    words |= {"machine": True} if invoke.machine else {}
    return words | ({"limit": invoke.limit} if invoke.limit else {})


def _meta(part: Part) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if part.kind is Kind.CHOICE:
        made["kind"] = "choice"
    if part.kind in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY) and part.opening:
        made["opening"] = [_action(action) for action in part.opening]
    if not part.ok:
        made["ok"] = False
    if part.anew is not None:
        made["continueAsNew"] = part.anew
    if part.deferred:
        made["defer"] = list(part.deferred)
    if part.invokes:
        made["invoke"] = [_beside(each) for each in part.invokes]
    if part.compensation is not None:
        made["compensate"] = compensation_text(part.compensation)
    grouped = [edge for _, edges in edge_groups(part.edges) for edge in edges]
    order = [next(n for n, other in enumerate(part.edges) if other is edge) for edge in grouped]
    if order != sorted(order):  # edges on different triggers stand in another order than they were declared
        made["order"] = order
    return made
