"""The states of an XState machine with where they stand, what they are called, and where targets lead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from continuum_core.definition.chart import Kind
from continuum_scxml.document import DEPTH
from continuum_scxml.outline import HISTORIES, STATES, FormatRefused
from continuum_scxml.xstate_words import is_map, listed, short
from continuum_scxml.xstate_writer import META

__all__ = ["Place", "Tree", "mapping"]


@define(eq=False)
class Place:
    """A state's object with where it stands.

    :ivar id: unique in the machine: its own, else its key, else its path.
    """

    value: dict[str, Any]
    path: tuple[str, ...]
    parent: Place | None
    id: str = ""
    children: dict[str, Place] = field(factory=dict[str, "Place"])

    def walk(self) -> Iterator[Place]:
        """This state and all below it, in document order."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def where(self) -> str:
        """The path, for messages."""
        return "/".join(("", *self.path)) or "/"

    @property
    def meta(self) -> dict[str, Any]:
        """What this library wrote beside XState's own words."""
        meta = self.value.get("meta")
        own = meta.get(META) if is_map(meta) else None
        return own if is_map(own) else {}

    @property
    def kind(self) -> Kind:
        """What it is. Raises FormatRefused for a type that there is not."""
        said = self.value.get("type")
        if said == "history" or self.value.get("history"):
            return Kind.DEEP_HISTORY if self.value.get("history") == "deep" else Kind.SHALLOW_HISTORY
        if said in ("parallel", "final"):
            return Kind(said)
        if said not in (None, "atomic", "compound"):
            raise FormatRefused(f"{self.where()}: {short(said)} is no type of a state")
        if self.meta.get("kind") == "choice":
            return Kind.CHOICE
        return Kind.COMPOUND if any(c.kind not in HISTORIES for c in self.children.values()) else Kind.ATOMIC


@define(eq=False)
class Tree:
    """All states of a machine.

    :ivar ids: explicit ids, and those that were made for states without one.
    """

    top: Place
    ids: dict[str, Place] = field(factory=dict[str, Place])

    @classmethod
    def of(cls, value: dict[str, Any]) -> Tree:
        """The states of a machine's object. Raises FormatRefused."""
        tree = cls(_placed(value, (), None))
        places = list(tree.top.walk())
        if len(places) > STATES:
            raise FormatRefused(f"the machine has {len(places):,} states; at most {STATES:,} are read")
        for place in places:
            explicit = place.value.get("id")
            if isinstance(explicit, str) and explicit:
                if explicit in tree.ids:
                    raise FormatRefused(f"{place.where()}: a second state has the id {explicit!r}")
                tree.ids[explicit] = place
                place.id = explicit
        root = tree.top.meta.get("root")  # of a machine of ours; no edge leads there
        if isinstance(root, str) and root and root not in tree.ids:
            tree.top.id = root
            tree.ids[root] = tree.top
        keys = Counter(place.path[-1] for place in places if place.path)
        for place in places:
            if not place.id:
                key = place.path[-1] if place.path else "root"
                place.id = tree.free((key if keys[key] <= 1 else "_".join(place.path)) or "state")
                tree.ids[place.id] = place
        return tree

    def free(self, name: str) -> str:
        """An id like this that no state has."""
        free, number = name, 1
        while free in self.ids:
            number += 1
            free = f"{name}_{number}"
        return free

    def targets(self, place: Place, given: Any) -> tuple[str, ...]:
        """The ids of what a state names as targets. Raises FormatRefused for what is not there."""
        return tuple(self._target(place, each) for each in listed(given))

    def _target(self, place: Place, given: Any) -> str:
        if not isinstance(given, str) or not given:
            raise FormatRefused(f"{place.where()}: {short(given)} is no target")
        begin: Place | None
        if given.startswith("#"):
            if given[1:] in self.ids:
                return self.ids[given[1:]].id
            first, *rest = given[1:].split(".")
            begin = self.ids.get(first)
        else:
            begin = place if given.startswith(".") else place.parent or place
            whole = given.removeprefix(".")
            known = begin.children.get(whole)  # a key may have dots of its own
            begin, rest = (begin, whole.split(".")) if known is None else (known, [])
        for key in rest:
            begin = None if begin is None else begin.children.get(key)
        if begin is None or begin is self.top:
            raise FormatRefused(f"{place.where()}: there is no state {given!r} to go to")
        return begin.id


def _placed(value: dict[str, Any], path: tuple[str, ...], parent: Place | None) -> Place:
    if len(path) > DEPTH:
        raise FormatRefused(f"states are nested deeper than {DEPTH}")
    place = Place(value, path, parent)
    for key, child in mapping(value.get("states"), place, "states").items():
        if not is_map(child):
            raise FormatRefused(f"{place.where()}: state {key!r} is no object")
        place.children[key] = _placed(child, (*path, key), place)
    return place


def mapping(value: Any, place: Place, key: str) -> dict[str, Any]:
    """An object, or an empty one for none. Raises FormatRefused for anything else."""
    if value is None:
        return {}
    if not is_map(value):
        raise FormatRefused(f"{place.where()}: {key!r} is no object")
    return value
