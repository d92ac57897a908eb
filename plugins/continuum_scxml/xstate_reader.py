"""XState JSON as an outline: machines of version 5, and the words of version 4 where they differ.

Keys, names of functions and targets are all that is read; what is not JSON (functions, in a file of
JavaScript) is not there to be read. Names that cannot be resolved are refused with the path of where they
stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_scxml import xstate_words as words
from continuum_scxml.document import SIZE
from continuum_scxml.outline import (
    EDGES,
    HISTORIES,
    Edge,
    FormatRefused,
    Outline,
    Part,
    parents,
    settled,
)
from continuum_scxml.words import EventNames, compensation_of, length_of
from continuum_scxml.xstate_tree import Place, Tree, mapping
from continuum_scxml.xstate_words import is_map, listed
from continuum_scxml.xstate_writer import EVENTS, META

__all__ = ["read_xstate"]


def read_xstate(text: str | bytes) -> Outline:
    """The outline of a machine's JSON. Raises FormatRefused with the path of what cannot be read."""
    size = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else len(text)
    if size > SIZE:
        raise FormatRefused(f"the document has {size:,} bytes; at most {SIZE:,} are read")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatRefused(f"this is no JSON: {error}") from error
    if not is_map(value) or not is_map(value.get("states")):
        raise FormatRefused('this is no XState machine: it is no object with "states"')
    return _Reading(value).outline()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise FormatRefused(f"the key {twice!r} stands twice in one object")
    return made


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


@define(eq=False)
class _Reading:
    value: dict[str, Any]
    tree: Tree = field(init=False)
    names: EventNames = field(factory=EventNames)
    count: int = 0

    def outline(self) -> Outline:
        self.tree = Tree.of(self.value)
        top = self.tree.top
        for place in top.walk():
            for event in mapping(place.value.get("on"), place, "on"):
                if "*" not in event and event and event not in EVENTS:
                    self.names.add(event)
        root = self._part(top)
        if root.kind is not Kind.COMPOUND:  # the root of a machine here has one active child
            inner = evolve(root, id=self.tree.free("machine"), name="machine")
            root = Part(root.id, root.name, Kind.COMPOUND, initial=(inner.id,), children=(inner,))
        version = str(self.value.get("version") or "1")
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 1
        called = top.meta.get("machine") or self.value.get("id") or "machine"
        data = words.data(self.value)
        deadline = length_of(top.meta.get("deadline"))
        root = settled(root, parents(root))
        return Outline(words.name(called), max(number, 1), root, data, deadline=deadline)

    def _part(self, place: Place) -> Part:
        value, meta, kind = place.value, place.meta, place.kind
        part = Part(
            id=place.id,
            name=place.path[-1] if place.path else (place.id if "root" in meta else "root"),
            kind=kind,
            ok=meta.get("ok") is not False,
            entry=words.actions(value.get("entry")),
            exit=words.actions(value.get("exit")),
            deferred=tuple(words.name(each) for each in listed(meta.get("defer"))),
            children=tuple(self._part(child) for child in place.children.values()),
            notes=tuple(words.notes(value)),
        )
        if kind in HISTORIES:
            return evolve(part, default=self._history(place), opening=words.actions(meta.get("opening")))
        if kind is Kind.COMPOUND:
            part = self._initial(place, part)
        given = [each if is_map(each) else {} for each in listed(meta.get("invoke"))]
        invokes = tuple(
            words.invoke(each, place.where(), given[slot] if slot < len(given) else {})
            for slot, each in enumerate(listed(value.get("invoke")))
        )
        edges = words.ordered(tuple(self._edges(place)), meta.get("order"))
        self.count += len(edges)
        if self.count > EDGES:
            raise FormatRefused(f"the machine has more than {EDGES:,} edges, each event of a pattern counted")
        said = meta.get("compensate")
        how = compensation_of(None if said is None else words.name(said), place.where())
        anew = meta.get("continueAsNew")
        return evolve(
            part,
            invokes=invokes,
            edges=edges,
            compensation=how,
            anew=None if anew is None else words.name(anew),
        )

    def _history(self, place: Place) -> tuple[str, ...]:
        if place.value.get("target"):
            return self.tree.targets(place, place.value["target"])
        parent = place.parent or place
        if parent.kind is Kind.PARALLEL:
            return tuple(child.id for child in parent.children.values() if child.kind not in HISTORIES)
        return self._initial(parent, Part("", "", Kind.COMPOUND)).initial

    def _initial(self, place: Place, part: Part) -> Part:
        given = place.value.get("initial")
        opening = words.actions(given.get("actions")) if is_map(given) else ()
        target = given.get("target") if is_map(given) else given
        if target is None:
            real = [child.id for child in place.children.values() if child.kind not in HISTORIES]
            if not real:
                raise FormatRefused(f"{place.where()}: it has a history and no state to remember")
            return evolve(part, initial=(real[0],))
        below = [
            each if isinstance(each, str) and each.startswith(("#", ".")) else f".{words.name(each)}"
            for each in listed(target)
        ]
        return evolve(part, initial=self.tree.targets(place, below), opening=opening)

    def _edges(self, place: Place) -> Iterable[Edge]:
        value = place.value
        for name, ways in mapping(value.get("on"), place, "on").items():
            if name == "":
                yield from self._ways(place, ways, Edge(TriggerKind.ALWAYS))
            elif name == "*":
                yield from self._ways(place, ways, Edge(TriggerKind.ANY))
            elif name in EVENTS:
                yield from self._ways(place, ways, Edge(EVENTS[name]))
            else:
                for each in self.names.matching(name) if name.endswith(".*") else [name]:
                    yield from self._ways(place, ways, Edge(TriggerKind.EVENT, event=each))
        yield from self._ways(place, value.get("always"), Edge(TriggerKind.ALWAYS))
        for key, ways in mapping(value.get("after"), place, "after").items():
            yield from self._ways(place, ways, Edge(TriggerKind.AFTER, delay=words.delay(key, place.where())))
        yield from self._ways(place, value.get("onDone"), Edge(TriggerKind.DONE))
        for slot, invoke in enumerate(listed(value.get("invoke"))):
            ends = invoke if is_map(invoke) else {}
            yield from self._ways(place, ends.get("onDone"), Edge(TriggerKind.INVOKE_DONE, invoke=slot))
            error = Edge(TriggerKind.INVOKE_ERROR, invoke=slot, error="Exception")
            yield from self._ways(place, ends.get("onError"), error)

    def _ways(self, place: Place, ways: Any, shape: Edge) -> Iterable[Edge]:
        for way in listed(ways):
            value: Any = way if is_map(way) else {"target": way}
            edge = words.guarded(evolve(shape, actions=words.actions(value.get("actions"))), value)
            targets = self.tree.targets(place, value.get("target"))
            reenter = value.get("reenter") is True or value.get("internal") is False
            meta = value.get("meta")
            own = meta.get(META) if is_map(meta) else None
            within = length_of(own.get("within")) if is_map(own) else None
            yield self._aimed(place, evolve(edge, targets=targets, internal=not reenter, within=within))

    def _aimed(self, place: Place, edge: Edge) -> Edge:
        """An edge to its own source that does not re-enter it: into its initial states, or nowhere."""
        if edge.targets != (place.id,) or not edge.internal:
            return edge
        if not place.children:
            return evolve(edge, targets=(), internal=False)
        if place.kind is Kind.PARALLEL:
            note = "the source is left and entered again here, which XState does not do"
            return evolve(edge, internal=False, notes=(note,))
        return evolve(edge, targets=self._initial(place, Part("", "", Kind.COMPOUND)).initial)
