"""XState JSON as an outline: machines of version 5, and the words of version 4 where they differ.

Keys, names of functions and targets are all that is read; what is not JSON (functions, in a file of
JavaScript) is not there to be read. Names that cannot be resolved are refused with the path of where they
stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from attrs import define, evolve, field

from continuum_core.definition.chart import ActionKind, Kind, TriggerKind
from continuum_scxml.document import DEPTH, SIZE
from continuum_scxml.outline import (
    HISTORIES,
    Action,
    Edge,
    FormatRefused,
    Invoke,
    Outline,
    Part,
    parents,
    settled,
)
from continuum_scxml.words import fits
from continuum_scxml.xstate_writer import FAILED, META

__all__ = ["read_xstate"]

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?", re.ASCII)
_LONGEST = 200


def read_xstate(text: str | bytes) -> Outline:
    """The outline of a machine's JSON. Raises FormatRefused with the path of what cannot be read."""
    size = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else len(text)
    if size > SIZE:
        raise FormatRefused(f"the document has {size:,} bytes; at most {SIZE:,} are read")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatRefused(f"this is no JSON: {error}") from error
    if not _is_map(value) or not _is_map(value.get("states")):
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


def _is_map(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


@define(eq=False)
class _Place:
    """A state's object with where it stands."""

    value: dict[str, Any]
    path: tuple[str, ...]
    parent: _Place | None
    id: str = ""
    children: dict[str, _Place] = field(factory=dict[str, "_Place"])

    def walk(self) -> Iterable[_Place]:
        yield self
        for child in self.children.values():
            yield from child.walk()

    def where(self) -> str:
        return "/".join(("", *self.path)) or "/"


@define(eq=False)
class _Reading:
    value: dict[str, Any]
    top: _Place = field(init=False)
    ids: dict[str, _Place] = field(factory=dict[str, _Place])  # explicit ids of the document
    names: dict[str, None] = field(factory=dict[str, None])  # of events

    def outline(self) -> Outline:
        self.top = _placed(self.value, (), None)
        self._identify()
        for place in self.top.walk():
            for name in _map(place.value.get("on"), place, "on"):
                if "*" not in name and name:
                    self.names.setdefault(name)
        root = self._part(self.top)
        if root.kind is not Kind.COMPOUND:  # the root of a machine here has one active child
            inner = evolve(root, id=self._free("machine"), name="machine")
            root = Part(root.id, root.name, Kind.COMPOUND, initial=(inner.id,), children=(inner,))
        meta = self._meta(self.top)
        version = str(self.value.get("version") or "1")
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 1
        name = meta.get("machine") or self.value.get("id") or "machine"
        above = parents(root)
        return Outline(_name(name), max(number, 1), settled(root, above), _data(self.value))

    def _identify(self) -> None:
        """Ids of the document, then ids of the outline: its own, else the key, else the path."""
        places = list(self.top.walk())
        for place in places:
            explicit = place.value.get("id")
            if isinstance(explicit, str) and explicit:
                if explicit in self.ids:
                    raise FormatRefused(f"{place.where()}: a second state has the id {explicit!r}")
                self.ids[explicit] = place
                place.id = explicit
        known = self._meta(self.top).get("root")  # of a machine of ours; no edge leads there
        if isinstance(known, str) and known and known not in self.ids:
            self.top.id = known
        keys = [place.path[-1] for place in places if place.path]
        for place in places:
            if place.id:
                continue
            key = place.path[-1] if place.path else "root"
            place.id = self._free(key if keys.count(key) <= 1 else "_".join(place.path))
            self.ids.setdefault(place.id, place)

    def _free(self, name: str) -> str:
        while name in self.ids or any(place.id == name for place in self.top.walk()):
            name += "_"
        return name

    def _meta(self, place: _Place) -> dict[str, Any]:
        meta = place.value.get("meta")
        own = meta.get(META) if _is_map(meta) else None
        return own if _is_map(own) else {}

    # --- one state ----------------------------------------------------------------------------------

    def _part(self, place: _Place) -> Part:
        value, meta = place.value, self._meta(place)
        kind = _kind(place, meta)
        children = tuple(self._part(child) for child in place.children.values())
        part = Part(
            id=place.id,
            name=place.path[-1] if place.path else place.id,
            kind=kind,
            ok=meta.get("ok") is not False,
            entry=_actions(value.get("entry")),
            exit=_actions(value.get("exit")),
            deferred=tuple(_name(each) for each in _listed(meta.get("defer"))),
            children=children,
            notes=tuple(_notes(value)),
        )
        if kind in HISTORIES:
            default = self._history(place)
            return evolve(part, default=default, opening=_actions(meta.get("opening")))
        if kind is Kind.COMPOUND:
            part = self._initial(place, part)
        given = [each if _is_map(each) else {} for each in _listed(meta.get("invoke"))]
        invokes = tuple(
            _invoke(each, place, given[slot] if slot < len(given) else {})
            for slot, each in enumerate(_listed(value.get("invoke")))
        )
        edges = tuple(self._edges(place))
        return evolve(part, invokes=invokes, edges=_ordered(edges, meta.get("order")))

    def _history(self, place: _Place) -> tuple[str, ...]:
        if place.value.get("target"):
            return self._targets(place, place.value["target"])
        parent = place.parent or self.top
        if parent.value.get("type") == "parallel":
            return tuple(c.id for c in parent.children.values() if c.value.get("type") != "history")
        return self._initial(parent, Part("", "", Kind.COMPOUND)).initial

    def _initial(self, place: _Place, part: Part) -> Part:
        given = place.value.get("initial")
        actions = _actions(given.get("actions")) if _is_map(given) else ()
        target = given.get("target") if _is_map(given) else given
        if target is None:
            first = next(c for c in place.children.values() if c.value.get("type") != "history")
            return evolve(part, initial=(first.id,))
        below = [t if isinstance(t, str) and t.startswith(("#", ".")) else f".{t}" for t in _listed(target)]
        return evolve(part, initial=self._targets(place, below), opening=actions)

    # --- edges ---------------------------------------------------------------------------------------

    def _edges(self, place: _Place) -> Iterable[Edge]:
        value = place.value
        for name, ways in _map(value.get("on"), place, "on").items():
            if name == "":
                yield from self._ways(place, ways, Edge(TriggerKind.ALWAYS))
            elif name == "*":
                yield from self._ways(place, ways, Edge(TriggerKind.ANY))
            else:
                for each in [n for n in self.names if fits(name, n)] if name.endswith(".*") else [name]:
                    yield from self._ways(place, ways, Edge(TriggerKind.EVENT, event=each))
        yield from self._ways(place, value.get("always"), Edge(TriggerKind.ALWAYS))
        for key, ways in _map(value.get("after"), place, "after").items():
            yield from self._ways(place, ways, Edge(TriggerKind.AFTER, delay=_delay(key, place)))
        yield from self._ways(place, value.get("onDone"), Edge(TriggerKind.DONE))
        for slot, invoke in enumerate(_listed(value.get("invoke"))):
            ends = invoke if _is_map(invoke) else {}
            yield from self._ways(place, ends.get("onDone"), Edge(TriggerKind.INVOKE_DONE, invoke=slot))
            error = Edge(TriggerKind.INVOKE_ERROR, invoke=slot, error="Exception")
            yield from self._ways(place, ends.get("onError"), error)

    def _ways(self, place: _Place, ways: Any, shape: Edge) -> Iterable[Edge]:
        for way in _listed(ways):
            value: Any = way if _is_map(way) else {"target": way}
            edge = _guarded(evolve(shape, actions=_actions(value.get("actions"))), value)
            targets = self._targets(place, value.get("target"))
            reenter = value.get("reenter") is True or value.get("internal") is False
            yield self._aimed(place, evolve(edge, targets=targets, internal=not reenter))

    def _aimed(self, place: _Place, edge: Edge) -> Edge:
        """An edge to its own source that does not re-enter it: into its initial states, or nowhere."""
        if edge.targets != (place.id,) or not edge.internal:
            return edge
        if not place.children:
            return evolve(edge, targets=(), internal=False)
        if _kind(place, self._meta(place)) is Kind.PARALLEL:
            note = "the source is left and entered again here, which XState does not do"
            return evolve(edge, internal=False, notes=(note,))
        return evolve(edge, targets=self._initial(place, Part("", "", Kind.COMPOUND)).initial)

    def _targets(self, place: _Place, given: Any) -> tuple[str, ...]:
        return tuple(self._target(place, each) for each in _listed(given))

    def _target(self, place: _Place, given: Any) -> str:
        if not isinstance(given, str) or not given:
            raise FormatRefused(f"{place.where()}: {_short(given)} is no target")
        if given.startswith("#"):
            if given[1:] in self.ids:
                return self.ids[given[1:]].id
            first, *rest = given[1:].split(".")
            begin = self.ids.get(first)
        else:
            inside = given.startswith(".")
            begin = place if inside else place.parent or place
            whole = given.removeprefix(".")
            known = begin.children.get(whole)  # a key may have dots of its own
            begin, rest = (begin, whole.split(".")) if known is None else (known, [])
        for key in rest:
            begin = None if begin is None else begin.children.get(key)
        if begin is None:
            raise FormatRefused(f"{place.where()}: there is no state {given!r} to go to")
        return begin.id


def _placed(value: dict[str, Any], path: tuple[str, ...], parent: _Place | None) -> _Place:
    if len(path) > DEPTH:
        raise FormatRefused(f"states are nested deeper than {DEPTH}")
    place = _Place(value, path, parent)
    for key, child in _map(value.get("states"), place, "states").items():
        if not _is_map(child):
            raise FormatRefused(f"{place.where()}: state {key!r} is no object")
        place.children[key] = _placed(child, (*path, key), place)
    return place


def _map(value: Any, place: _Place, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not _is_map(value):
        raise FormatRefused(f"{place.where()}: {key!r} is no object")
    return value


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if _is_list(value) else [value]


def _kind(place: _Place, meta: dict[str, Any]) -> Kind:
    said = place.value.get("type")
    if said == "history" or place.value.get("history"):
        return Kind.DEEP_HISTORY if place.value.get("history") == "deep" else Kind.SHALLOW_HISTORY
    if said in ("parallel", "final"):
        return Kind(said)
    if said not in (None, "atomic", "compound"):
        raise FormatRefused(f"{place.where()}: {_short(said)} is no type of a state")
    if meta.get("kind") == "choice":
        return Kind.CHOICE
    real = [c for c in place.children.values() if _kind(c, {}) not in HISTORIES]
    return Kind.COMPOUND if real else Kind.ATOMIC


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _name(value: Any) -> str:
    return value if isinstance(value, str) else _short(value)


_KINDS = {"xstate.raise": ActionKind.RAISE, "xstate.sendTo": ActionKind.SEND, "xstate.send": ActionKind.SEND}


def _actions(value: Any) -> tuple[Action, ...]:
    return tuple(_action(each) for each in _listed(value))


def _action(value: Any) -> Action:
    if not _is_map(value):
        return Action(ActionKind.ASSIGN, _short(value))
    params, said = value.get("params"), value.get("type")
    own: dict[str, Any] = params if _is_map(params) else {}
    kinds: Callable[[Any], bool] = [kind.value for kind in ActionKind].__contains__
    if set(own) <= {"kind", "event"} and kinds(own.get("kind")):
        event = own.get("event")
        return Action(ActionKind(own["kind"]), _name(said), event if isinstance(event, str) else None)
    plain = set(value) <= {"type"} and isinstance(said, str)
    kind = _KINDS.get(said, ActionKind.ASSIGN) if isinstance(said, str) else ActionKind.ASSIGN
    return Action(kind, said if plain and isinstance(said, str) else _short(value))


def _guarded(edge: Edge, value: dict[str, Any]) -> Edge:
    guard = value.get("guard", value.get("cond"))
    if guard is None:
        return edge
    params = guard.get("params") if _is_map(guard) else None
    if edge.trigger is TriggerKind.INVOKE_ERROR and _is_map(guard) and guard.get("type") == FAILED:
        given: dict[str, Any] = params if _is_map(params) else {}
        when = given.get("when")
        error = _name(given.get("error") or "Exception")
        return evolve(edge, error=error, guard=when if isinstance(when, str) else None)
    plain = _is_map(guard) and set(guard) <= {"type"}
    return evolve(edge, guard=_name(guard["type"]) if plain and _is_map(guard) and guard else _short(guard))


def _invoke(value: Any, place: _Place, given: dict[str, Any]) -> Invoke:
    if not _is_map(value):
        raise FormatRefused(f"{place.where()}: {_short(value)} is no invoke")
    source = value.get("src") or value.get("id") or "invoked"
    if _is_map(source):  # version 4
        source = source.get("type") or "invoked"
    key = given.get("key")
    notes = [f"input: {_short(value['input'])}"] if "input" in value else []
    return Invoke(
        _name(source), _name(given.get("input") or ""), None if key is None else _name(key), tuple(notes)
    )


def _delay(key: str, place: _Place) -> int | str:
    if not _NUMBER.fullmatch(key):
        return key
    whole, _, rest = key.partition(".")
    length = int(whole) * 1000 + int((rest + "000")[:3])
    if length > 100 * 366 * 86_400_000_000:
        raise FormatRefused(f"{place.where()}: a delay of {key} milliseconds is longer than a century")
    return max(length, 1)


def _ordered(edges: tuple[Edge, ...], order: Any) -> tuple[Edge, ...]:
    """Edges in the order of their declaration, where the document kept it."""
    numbers = _listed(order)
    if not all(isinstance(n, int) for n in numbers) or sorted(numbers) != list(range(len(edges))):
        return edges
    placed = sorted(zip(numbers, edges, strict=True), key=lambda pair: pair[0])
    return tuple(edge for _, edge in placed)


def _notes(value: dict[str, Any]) -> Iterable[str]:
    for key in ("description", "output", "tags"):
        if key in value:
            yield f"{key}: {_short(value[key])}"


def _data(value: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    context = value.get("context")
    return tuple((name, _short(each)) for name, each in context.items()) if _is_map(context) else ()
